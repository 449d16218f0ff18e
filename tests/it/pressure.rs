//! Overload of ingest, and a shutdown under load.

use std::time::Duration;

use async_nats::jetstream;
use bytes::Bytes;
use futures::{StreamExt as _, channel::mpsc, future::join_all};
use reqwest::{Body, Response};
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use serde_json::json;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;
use weir::contract::{
    event::v1::Violation,
    ingest::v1::{
        Item, PublishEventsRequest, RejectedItem, ingest_service_client::IngestServiceClient, item::Content,
    },
};
use weir_database::{Access, connect};
use weir_process::Reason;
use weir_testkit::{Storage, Weir, events::Sender, eventually};

const MIB: usize = 1 << 20;
/// The lowest bound on bytes in flight that ingest accepts.
const ROOM: usize = 32 * MIB;
/// An acknowledgement deadline beyond the story: the journal offers a held frame again only if its collector hands it
/// back.
const NEVER_MS: &str = "600000";
const IN_FLIGHT: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn ingest_accepts_calls_within_its_memory_bound_and_answers_before_every_deadline() {
    let settings = vec![("INGEST_MAX_IN_FLIGHT_BYTES", ROOM.to_string())];
    let weir = Weir::up_with(Storage::servers().await, settings).await;
    signal_nats(&weir, "STOP");
    // A call without an answer before this deadline would be ended by the client, without a reason of ingest.
    let deadline = Duration::from_secs(8);
    let calls = join_all((0..6).map(|_| publish(&weir, 12, deadline)));
    let mut calls = Box::pin(calls);
    let mut most = 0.0_f64;
    let answers = loop {
        tokio::select! {
            answered = &mut calls => break answered,
            held = weir.metric("weir_ingest_call_bytes_in_flight", &[]) => most = most.max(held),
        }
    };
    signal_nats(&weir, "CONT");
    assert!(most > 0.0 && most <= ROOM as f64, "{most} bytes were in flight");
    assert_eq!(weir.metric("weir_ingest_call_bytes_limit", &[]).await, ROOM as f64);
    let refusals: Vec<Status> = answers.into_iter().map(Result::unwrap_err).collect();
    for (reason, code, count) in
        [(Reason::Overloaded, Code::ResourceExhausted, 4), (Reason::JournalUnavailable, Code::Unavailable, 2)]
    {
        let refused: Vec<_> = refusals.iter().filter(|status| Reason::of(status) == Some(reason)).collect();
        assert_eq!(refused.len(), count, "{reason:?} in {refusals:?}");
        assert!(
            refused.iter().all(|status| status.code() == code && status.get_details_retry_info().is_some())
        );
    }
    eventually(async || publish(&weir, 12, Duration::from_secs(20)).await).await;
}

fn signal_nats(weir: &Weir, signal: &str) {
    let Storage::Servers { nats, .. } = weir.storage() else { panic!("there is no nats-server on files") };
    nats.signal(signal);
}

/// One call with so many MiB.
async fn publish(weir: &Weir, mebibytes: usize, deadline: Duration) -> Result<(), Status> {
    let url = format!("http://{}", weir.addresses.ingest);
    let mut client = IngestServiceClient::connect(url).await.expect("ingest listens");
    let violations = vec![Violation { pointer: "/data".into(), message: "is too long".into() }];
    let rejected = RejectedItem { raw: vec![b'x'; MIB], violations, ..RejectedItem::default() };
    let item = Item { content: Some(Content::Rejected(rejected)), ..Item::default() };
    let items = vec![item; mebibytes];
    let mut request = Request::new(PublishEventsRequest { items, ..PublishEventsRequest::default() });
    request.set_timeout(deadline);
    client.publish_events(request).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_under_load_answers_every_request_and_hands_held_frames_back() {
    let settings = vec![("JOURNAL_ACK_WAIT_MS", NEVER_MS.to_owned())];
    let mut weir = Weir::up_with(Storage::servers().await, settings).await;
    let mut sender = Sender::new("ending", 14);
    let Storage::Servers { database_url, .. } = weir.storage() else {
        panic!("there is no database on files")
    };
    let database = connect(&database_url.parse().unwrap(), Access::Write, Duration::from_secs(10)).await;
    let database = database.unwrap();
    let lock = database.begin().await.unwrap();
    lock.execute_unprepared("LOCK TABLE events IN ACCESS EXCLUSIVE MODE").await.unwrap();
    weir.post(&json!(sender.events(500))).await.expect_accepted(500, 0);
    wait_for_held_frames(&weir).await;

    let (halves, answers): (Vec<_>, Vec<_>) =
        (0..IN_FLIGHT).map(|_| half_a_request(&weir, json!(sender.events(500)).to_string())).unzip();
    let answers = tokio::spawn(join_all(answers));
    eventually(async || match weir.metric("weir_edge_body_bytes_in_flight", &[]).await {
        bytes if bytes >= (IN_FLIGHT * 64 * 1024) as f64 => Ok(()),
        bytes => Err(bytes),
    })
    .await;
    weir.signal("TERM").await;
    eventually(async || if weir.log().contains(r#""message":"stopping""#) { Ok(()) } else { Err(()) }).await;
    for (sender, rest) in halves {
        sender.unbounded_send(rest).unwrap();
    }
    for answer in answers.await.unwrap() {
        assert_eq!(answer.unwrap().status(), 202);
    }
    weir.stopped().await;
    let log = weir.log();
    for role in ["edge", "ingest", "collectors", "reporting", "journal"] {
        let ended = |line: &str| line.contains(r#""message":"role ended""#) && line.contains(role);
        assert!(log.lines().any(ended), "the log has no end of {role}: {log}");
    }

    lock.rollback().await.unwrap();
    weir.start_again().await;
    let accepted = (500 * (1 + IN_FLIGHT)) as u64;
    eventually(async || match weir.reported_events().await {
        events if events == accepted => Ok(()),
        events => Err(format!("{events} of {accepted}")),
    })
    .await;
}

/// Waits until collectors hold frames of both sources.
async fn wait_for_held_frames(weir: &Weir) {
    let Storage::Servers { nats, .. } = weir.storage() else { panic!("there is no nats-server on files") };
    let operator = jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    let events = operator.get_stream("EVENTS").await.unwrap();
    for consumer in ["collector-facebook", "collector-tiktok"] {
        eventually(async || match events.consumer_info(consumer).await.unwrap().num_ack_pending {
            0 => Err("no collector holds a frame"),
            _ => Ok(()),
        })
        .await;
    }
}

type Rest = (mpsc::UnboundedSender<Bytes>, Bytes);

/// A request that has sent half of its body, and the sender and bytes of the other half.
fn half_a_request(
    weir: &Weir,
    body: String,
) -> (Rest, impl Future<Output = reqwest::Result<Response>> + use<>) {
    let mut first = Bytes::from(body);
    let rest = first.split_off(first.len() / 2);
    let (sender, receiver) = mpsc::unbounded();
    sender.unbounded_send(first).expect("the receiver is here");
    let body = Body::wrap_stream(receiver.map(Ok::<_, std::io::Error>));
    let answer = weir.request("/events").header("content-type", "application/json").body(body).send();
    ((sender, rest), answer)
}
