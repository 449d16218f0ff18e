//! Two deployments on one nats-server, separated by a prefix.

use futures::StreamExt as _;
use serde_json::json;
use weir_testkit::{Storage, Weir, events::Sender, eventually, nats::Operator};

#[tokio::test(flavor = "multi_thread")]
async fn deployments_with_different_prefixes_share_a_server_and_no_event() {
    let plain = Weir::on_servers().await;
    let Storage::Servers { nats, .. } = plain.storage() else { unreachable!("the story uses servers") };
    let settings = vec![("NATS_URL", nats.url()), ("JOURNAL_PREFIX", "acme".to_owned())];
    let acme = Weir::up_with(Storage::servers().await, settings).await;
    let (mut plain_sender, mut acme_sender) = (Sender::new("plain", 47), Sender::new("acme", 48));
    for round in 1..=10 {
        plain.post(&json!(plain_sender.events(5))).await.expect_accepted(5, 0);
        acme.post(&json!(acme_sender.events(7))).await.expect_accepted(7, 0);
        for (weir, events) in [(&plain, 5 * round), (&acme, 7 * round)] {
            eventually(async || match weir.reported_events().await {
                reported if reported == events => Ok(()),
                reported => Err(format!("{reported} of {events} events are reported")),
            })
            .await;
        }
    }
    let streams = streams(&plain.operator().await).await;
    for name in ["EVENTS", "DEAD_LETTERS", "REJECTED"] {
        for wanted in [name.to_owned(), format!("acme_{name}")] {
            assert!(streams.contains(&wanted), "{wanted} is not among {streams:?}");
        }
    }
    assert!(streams.contains(&"KV_acme_WEIR_STATE".to_owned()), "{streams:?}");
    let events = acme.operator().await.settings("acme_EVENTS").await;
    assert!(events.subjects.iter().all(|subject| subject.starts_with("acme.")), "{:?}", events.subjects);
}

async fn streams(operator: &Operator) -> Vec<String> {
    operator.context.stream_names().map(Result::unwrap).collect().await
}
