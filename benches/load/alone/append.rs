//! The journals alone: appends of frames with 512 events, which are durable before the acknowledgement.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use async_nats::{
    HeaderMap,
    header::NATS_MESSAGE_ID,
    jetstream::{self, stream},
};
use bytes::Bytes;
use chrono::Utc;
use futures::{StreamExt as _, TryStreamExt as _, stream as futures_stream};
use prost::Message as _;
use uuid::Uuid;
use weir::contract::event::v1;
use weir_journal::{Frame, FramedEvent, Framer, Journal, MAX_FRAME_EVENTS, SealedFrame, Settings};
use weir_testkit::events::Generator;

use crate::loops::Throughput;

/// Appends at the same time. More gain nothing, because the server stores one message after the other.
const IN_FLIGHT: usize = 16;
const SUBJECT: &str = "alone";

/// Appends to JetStream, with message ids as ingest sends them.
///
/// # Errors
/// The server refuses an append.
pub(crate) async fn to_jetstream(url: &str, duration: Duration) -> anyhow::Result<Throughput> {
    let context = jetstream::new(async_nats::connect(url).await?);
    let stream =
        stream::Config { name: SUBJECT.into(), subjects: vec![SUBJECT.into()], ..Default::default() };
    context.create_stream(stream).await?;
    let payload = payload();
    let started = Instant::now();
    let goes_on = |_: &u64| std::future::ready(started.elapsed() < duration);
    let appended = futures_stream::iter(0_u64..)
        .take_while(goes_on)
        .map(|_| append(&context, payload.clone()))
        .buffer_unordered(IN_FLIGHT)
        .try_fold(0, |frames, ()| std::future::ready(Ok(frames + 1)))
        .await?;
    let elapsed = started.elapsed();
    context.delete_stream(SUBJECT).await?;
    Ok(Throughput { events: appended * MAX_FRAME_EVENTS as u64, elapsed })
}

async fn append(context: &jetstream::Context, payload: Bytes) -> anyhow::Result<()> {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, Uuid::now_v7().to_string());
    context.publish_with_headers(SUBJECT, headers, payload).await?.await?;
    Ok(())
}

/// A frame encoded as the journal's message.
fn payload() -> Bytes {
    let frame = frame();
    let event = |framed: FramedEvent| v1::FramedEvent {
        event: v1::Event::from(framed.event).encode_to_vec().into(),
        ..v1::FramedEvent::default()
    };
    let message = v1::Frame {
        version: 1,
        frame_id: frame.id,
        source: frame.source.number(),
        origins: frame.origins.into_iter().map(v1::Origin::from).collect(),
        events: frame.events.into_iter().map(event).collect(),
        erasure: None,
    };
    message.encode_to_vec().into()
}

/// Appends a quarter of a million events to an embedded journal in a folder, within a few seconds.
///
/// # Errors
/// The folder can't be written.
pub(crate) async fn to_files(folder: &Path) -> anyhow::Result<Throughput> {
    const FRAMES: usize = 512;
    let journal = Journal::open(folder, Settings::default()).await?;
    let frame = frame();
    let frames: Vec<SealedFrame> = (0..FRAMES).flat_map(|_| seal(&frame)).collect();
    let events = frames.iter().map(SealedFrame::accepted).sum();
    let started = Instant::now();
    futures_stream::iter(&frames)
        .map(|frame| journal.append(std::slice::from_ref(frame)))
        .buffer_unordered(IN_FLIGHT)
        .try_collect::<()>()
        .await?;
    let reached = Throughput { events, elapsed: started.elapsed() };
    journal.close(Duration::from_secs(1)).await;
    Ok(reached)
}

/// The same events in a frame with a new id.
fn seal(frame: &Frame) -> Vec<SealedFrame> {
    let mut framer = Framer::new(None);
    frame.events.iter().for_each(|framed| framer.push(framed.event.clone(), &frame.origins[0], 0));
    framer.finish()
}

/// A full frame of one source.
fn frame() -> Frame {
    let now = Utc::now();
    let mut frames = Generator::all_new(0).frames(0..2 * MAX_FRAME_EVENTS as u64, |_| now);
    frames.remove(0)
}
