//! Kills of a collector after each step of an erasure: the next collector completes it.

use serde_json::{Value, json};
use weir_testkit::{Storage, Weir, database::stored_events, eventually};

use super::{ADA, NAME, erase, letters, of};

/// The failpoints, in the order of the steps.
const MOMENTS: [&str; 4] = ["erasure-recorded", "erasure-rows", "erasure-letters", "collector-before-ack"];

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_whose_collector_dies_after_any_step_is_completed_by_the_next() {
    // Short, so that the journal redelivers a dead collector's frames within the story.
    let settings = [("JOURNAL_ACK_WAIT_MS", "2000"), ("LOG_LEVEL", "debug")];
    let settings = settings.map(|(name, value)| (name, value.to_owned())).to_vec();
    let mut weir = Weir::fleet_with(Storage::servers().await, settings).await;
    let events: Vec<Value> = MOMENTS.iter().map(|moment| of(&person(moment), moment)).collect();
    let mut items = events.clone();
    items.extend(events.into_iter().map(|mut event| {
        event["timestamp"] = "yesterday".into();
        event
    }));
    weir.post(&json!(items)).await.expect_accepted(MOMENTS.len(), MOMENTS.len());
    eventually(async || match weir.reported_events().await {
        stored if stored == MOMENTS.len() as u64 => Ok(()),
        other => Err(other),
    })
    .await;
    weir.kill("collect-facebook-too").await;

    for (died, moment) in (1..).zip(MOMENTS) {
        weir.kill("collect-facebook").await;
        weir.start_process_with("collect-facebook", &[("WEIR_FAILPOINT", moment)]);
        let order = ["erase", "facebook", &person(moment), "--wait", "0s", "--json"];
        let (_, output) = weir.run(&order, &[]).await;
        let asked: Value =
            serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error} in {output}"));
        weir.exit_of("collect-facebook").await;
        weir.start_process("collect-facebook");
        let receipt = erase(&weir, &["--receipt", asked["erasureId"].as_str().unwrap()]).await;
        assert_eq!(
            (&receipt["rows"], &receipt["deadLetters"]),
            (&json!(1), &json!(1)),
            "{moment}: {receipt}"
        );
        assert_eq!(letters(&weir).await, MOMENTS.len() as u64 - died, "{moment}");
    }
    let rows = format!("{:?}", stored_events(&weir.store().await).await);
    let log = weir.log();
    for trace in [ADA, NAME] {
        assert!(!rows.contains(trace), "{trace} is stored: {rows}");
        assert!(!log.contains(trace), "{trace} is logged");
    }
}

fn person(moment: &str) -> String {
    format!("{ADA}-{moment}")
}
