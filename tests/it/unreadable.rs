//! Messages that are no frame for this build: frames of the next version are deferred to newer collectors, and other
//! bytes become dead letters.

use std::time::Duration;

use async_nats::jetstream::{self, consumer::pull};
use chrono::TimeDelta;
use futures::StreamExt as _;
use sea_orm::ConnectionTrait as _;
use uuid::Uuid;
use weir_database::{Access, DatabaseUrl, connect};
use weir_event::Source;
use weir_journal::{DeadLetterStream, Observer, Settings};
use weir_testkit::{Storage, Weir, eventually};

on_files_and_on_servers!(
    a_frame_of_a_newer_version_waits_and_no_frame_waits_behind_it,
    many_frames_of_a_newer_version_delay_no_other_frame,
    a_frame_of_a_version_beyond_the_next_is_parked_whole_at_once,
    a_message_that_is_no_frame_becomes_a_dead_letter_and_is_counted,
);

/// The version of the next build.
const NEWER: u8 = 3;
/// More than collectors redeliver in one second.
const MANY: usize = 1_500;
const SOON: Duration = Duration::from_secs(30);

async fn a_frame_of_a_newer_version_waits_and_no_frame_waits_behind_it(weir: Weir) {
    append(&weir, &[newer_frame()]).await;
    frames_are_deferred(&weir, 1).await;
    let ledger = weir.folder().join("ledger").display().to_string();
    let sizes = ["--min", "50", "--max", "300", "--interval-ms", "100", "--duration", "2s"];
    let (status, output) = weir.run(&[&["publish"][..], &sizes, &["--ledger", &ledger]].concat(), &[]).await;
    assert!(status.success(), "{output}");

    let (status, output) = weir.run(&["verify", "--ledger", &ledger, "--wait", "5s"], &[]).await;
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(output.contains("1 frames still wait in the journal"), "{output}");
    assert!(output.lines().any(|line| line.contains("missing") && line.contains(" 0 ")), "{output}");

    frames_are_deferred(&weir, 2).await;
    assert_eq!(weir.log().matches("left to newer collectors").count(), 1, "it is logged again");
    let (ready, dependencies) = weir.readiness("up").await;
    let dependency = &dependencies["collectors.frame_version"];
    assert!(ready, "{dependencies}");
    assert!(dependency["reason"].as_str().is_some_and(|reason| reason.contains("version 3")), "{dependency}");
    let asked = weir.get("/events/facebook/nowhere").await;
    assert_eq!(asked.body["waitingFrames"], 1, "{asked:?}");
    assert_eq!(parked(&weir).await, 0);
}

async fn many_frames_of_a_newer_version_delay_no_other_frame(weir: Weir) {
    let frames: Vec<Vec<u8>> = (0..MANY).map(|_| newer_frame()).collect();
    append(&weir, &frames).await;
    frames_are_deferred(&weir, MANY).await;
    let sizes =
        ["--min", "100", "--max", "100", "--corrupt", "0", "--interval-ms", "100", "--duration", "1s"];
    let (status, output) = weir.run(&[&["publish"][..], &sizes].concat(), &[]).await;
    assert!(status.success(), "{output}");
    let accepted = weir.metric("events_accepted_total", &[("service", "ingest")]).await;
    eventually(async || {
        let processed = weir.metric("events_processed_total", &[]).await;
        if accepted > 0.0 && processed == accepted { Ok(()) } else { Err((accepted, processed)) }
    })
    .await;
    assert_eq!(waiting(&weir).await, MANY as u64);
    assert_eq!(parked(&weir).await, 0);
}

async fn a_frame_of_a_version_beyond_the_next_is_parked_whole_at_once(weir: Weir) {
    let frame = frame_of_version(NEWER + 1, 16_000);
    append(&weir, std::slice::from_ref(&frame)).await;
    is_parked_whole(&weir, &frame, "version 4").await;
    assert_eq!(weir.metric("frames_left_total", &[]).await, 0.0);
    weir.expect_all_accounted().await;
}

/// On files alone, because no test sets the clock of a nats-server.
#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_waited_for_a_newer_collector_for_seven_days_is_parked_whole() {
    let weir = Weir::on_files().await;
    let (frame, day) = (newer_frame(), TimeDelta::days(1));
    append_to_file(&weir, std::slice::from_ref(&frame), day * 7 + TimeDelta::hours(1)).await;
    append_to_file(&weir, &[newer_frame()], day * 7 - TimeDelta::hours(1)).await;
    is_parked_whole(&weir, &frame, "waited for a newer collector for 7 days").await;
    assert_eq!(waiting(&weir).await, 1, "the younger one is deferred");
}

/// Waits until the one dead letter is this frame.
async fn is_parked_whole(weir: &Weir, frame: &[u8], reason: &str) {
    eventually(async || match parked(weir).await {
        1 => Ok(()),
        letters => Err(letters),
    })
    .await;
    let letters = journal(weir).await.dead_letters(DeadLetterStream::Parked, 0, 10).await.unwrap();
    let letter = &letters[0].letter;
    assert!(!letter.is_truncated() && letter.raw == frame);
    assert!(letter.violations[0].message.contains(reason), "{:?}", letter.violations);
    // The entry is logged after the letter is appended.
    eventually(async || match weir.log().contains("a whole frame is parked") {
        true => Ok(()),
        false => Err("it is not logged"),
    })
    .await;
}

async fn a_message_that_is_no_frame_becomes_a_dead_letter_and_is_counted(weir: Weir) {
    append(&weir, &[b"\xff".to_vec()]).await;
    let labels = [("service", "facebook-collector"), ("source", "facebook"), ("error_type", "parked")];
    eventually(async || match weir.metric("events_failed_total", &labels).await {
        1.0 => Ok(()),
        counted => Err(counted),
    })
    .await;
    assert_eq!(parked(&weir).await, 1);
    weir.expect_all_accounted().await;
    eventually(async || match waiting(&weir).await {
        0 => Ok(()),
        waiting => Err(waiting),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_collector_gets_the_frames_that_an_older_one_deferred() {
    let weir = Weir::on_servers().await;
    let Storage::Servers { nats, .. } = weir.storage() else { unreachable!("servers were asked for") };
    let frame = newer_frame();
    append(&weir, std::slice::from_ref(&frame)).await;
    frames_are_deferred(&weir, 1).await;

    let context = jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    let newer: jetstream::consumer::Consumer<pull::Config> =
        context.get_consumer_from_stream("collector-facebook", "EVENTS").await.unwrap();
    let mut offered = newer.fetch().max_messages(1).expires(SOON).messages().await.unwrap();
    let offered = offered.next().await.expect("the frame is offered again").unwrap();
    assert_eq!(offered.payload, frame);
    offered.double_ack().await.unwrap();

    assert_eq!(waiting(&weir).await, 0);
    eventually(async || {
        let (_, dependencies) = weir.readiness("up").await;
        let dependency = &dependencies["collectors.frame_version"];
        if dependency["ready"] == true { Ok(()) } else { Err(dependency.clone()) }
    })
    .await;
}

fn newer_frame() -> Vec<u8> {
    frame_of_version(NEWER, 0)
}

/// Encodes a frame by hand, independently of this build: version, id, source, a field of the next build, and some
/// bytes in another field.
fn frame_of_version(version: u8, bytes: u16) -> Vec<u8> {
    let id = Uuid::now_v7().to_string();
    let mut frame = vec![0x08, version, 0x12, u8::try_from(id.len()).unwrap()];
    frame.extend(id.as_bytes());
    frame.extend([0x18, u8::try_from(Source::Facebook.number()).unwrap(), 0x78, 0x01]);
    // Field 16, with a length of two groups of seven bits.
    frame.extend([0x82, 0x01, (bytes & 0x7f) as u8 | 0x80, (bytes >> 7) as u8]);
    frame.resize(frame.len() + usize::from(bytes), b'x');
    frame
}

/// Appends messages for the collectors of Facebook, past ingest.
async fn append(weir: &Weir, messages: &[Vec<u8>]) {
    match weir.storage() {
        Storage::Servers { nats, .. } => {
            let context = jetstream::new(async_nats::connect(nats.url()).await.unwrap());
            for message in messages {
                let sent = context.publish("events.facebook", message.clone().into()).await.unwrap();
                sent.await.unwrap();
            }
        }
        Storage::Files => append_to_file(weir, messages, TimeDelta::zero()).await,
    }
}

/// Appends messages that have the age `ago`.
async fn append_to_file(weir: &Weir, messages: &[Vec<u8>], ago: TimeDelta) {
    let url = DatabaseUrl::file(&weir.store_file().with_file_name("journal.db"));
    let journal = connect(&url, Access::Write, Duration::ZERO).await.unwrap();
    let source = Source::Facebook.number();
    let append = messages.iter().map(|message| {
        let (id, bytes) = (Uuid::now_v7(), hex::encode(message));
        let now = (chrono::Utc::now() - ago).timestamp_micros();
        format!(
            "INSERT INTO frame (frame_id, source, bytes, stored_at, payload) \
             VALUES ('{id}', {source}, {}, {now}, x'{bytes}'); \
             INSERT INTO waiting (sequence, source) VALUES (last_insert_rowid(), {source});",
            message.len()
        )
    });
    let append: String = append.collect();
    journal.execute_unprepared(&format!("BEGIN IMMEDIATE; {append} COMMIT;")).await.unwrap();
}

/// Waits until collectors have deferred so many deliveries.
async fn frames_are_deferred(weir: &Weir, offers: usize) {
    eventually(async || {
        let left = weir.metric("frames_left_total", &[("source", "facebook")]).await;
        if left >= offers as f64 { Ok(()) } else { Err(format!("{left} of {offers} offers were left")) }
    })
    .await;
}

/// Frames that no collector has acknowledged.
async fn waiting(weir: &Weir) -> u64 {
    let backlog = journal(weir).await.backlog(Source::Facebook).await.unwrap();
    backlog.waiting + backlog.in_flight
}

async fn parked(weir: &Weir) -> u64 {
    journal(weir).await.dead_letter_stats(DeadLetterStream::Parked).await.unwrap().letters
}

async fn journal(weir: &Weir) -> Observer {
    match weir.storage() {
        Storage::Servers { nats, .. } => {
            Observer::connect(&nats.servers(), Settings::default(), SOON).await.unwrap()
        }
        Storage::Files => Observer::open(weir.store_file().parent().unwrap()).await.unwrap(),
    }
}
