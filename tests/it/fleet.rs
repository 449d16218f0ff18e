//! A fleet with one process for each role, as in production: it gives the same answers, and its collectors share the
//! frames of a source.

use serde_json::json;
use weir_testkit::{Weir, events::Sender, eventually};

use crate::{
    model::{Model, Query},
    reports::expect_reports,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_of_single_roles_answers_as_one_and_two_collectors_share_a_source() {
    let mut weir = Weir::fleet().await;
    let (mut sender, mut model) = (Sender::new("fleet", 9), Model::default());
    eventually(async || {
        let events = sender.events(5_000);
        model.accept(&events);
        weir.post(&json!(events)).await.expect_accepted(events.len(), 0);
        let shares =
            [processed(&weir, "collect-facebook").await, processed(&weir, "collect-facebook-too").await];
        if shares.iter().all(|share| *share > 0.0) { Ok(()) } else { Err(shares) }
    })
    .await;
    weir.drained(model.len()).await;
    expect_reports(&weir, &model, &Query::default()).await;
    assert_eq!(weir.metric("events_duplicate_total", &[]).await, 0.0);
    weir.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_of_a_fleet_lists_its_dependencies() {
    let weir = Weir::fleet().await;
    for process in ["edge", "ingest", "collect-facebook", "collect-tiktok", "reporting"] {
        let (ready, dependencies) = weir.readiness(process).await;
        assert!(ready, "{process}: {dependencies}");
        assert!(
            dependencies.as_object().is_some_and(|named| !named.is_empty()),
            "{process} names no dependency"
        );
    }
}

async fn processed(weir: &Weir, process: &str) -> f64 {
    weir.metric_of(process, "events_processed_total", &[("source", "facebook")]).await
}
