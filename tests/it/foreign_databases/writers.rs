//! A schema that admits newer builds alone.

use sea_orm::ConnectionTrait as _;
use serde_json::json;
use weir_event::Source;
use weir_testkit::{Weir, database::stored_events, events::with_id, eventually};

use super::lives;

on_files_and_on_servers!(a_schema_for_newer_builds_stops_a_collector_that_runs_and_one_that_starts);

const RAISE: &str = "UPDATE oldest_writer SET migration = 'm29990101_000001_later'";
const LOWER: &str = "UPDATE oldest_writer SET migration = 'm20261128_000012_database_clock'";

async fn a_schema_for_newer_builds_stops_a_collector_that_runs_and_one_that_starts(mut weir: Weir) {
    let store = weir.store().await;
    assert_eq!(weir.post(&with_id(Source::Facebook, "before")).await.status, 202);
    eventually(async || match stored_events(&store).await.len() {
        1 => Ok(()),
        other => Err(other),
    })
    .await;
    store.execute_unprepared(RAISE).await.unwrap();
    assert_eq!(weir.post(&with_id(Source::Facebook, "after")).await.status, 202);
    is_refused(&weir).await;
    weir.stop().await;
    weir.launch_again(&[("up", &["up"])]);
    lives(&weir, "up").await;
    is_refused(&weir).await;
    let (status, told) = weir.run(&["migrate", "status"], &[]).await;
    assert!(
        status.success() && told.contains("m29990101_000001_later") && told.contains("too old"),
        "{told}"
    );
    let (status, told) = weir.run(&["reconcile", "--repair"], &[]).await;
    assert!(status.code() == Some(1) && told.contains("too old to write"), "{told}");
    assert_eq!(stored_events(&store).await.len(), 1);

    store.execute_unprepared(LOWER).await.unwrap();
    weir.ready().await;
    eventually(async || match stored_events(&store).await.len() {
        2 => Ok(()),
        other => Err(other),
    })
    .await;
    let letters = weir.run(&["dead-letters", "list", "--graveyard", "parked"], &[]).await;
    assert!(!letters.1.contains("too old"), "{letters:?}");
    let (status, told) = weir.run(&["migrate", "status"], &[]).await;
    assert!(status.success() && told.contains("this one may"), "{told}");
}

/// Not ready, with cause and remedy, and told once.
async fn is_refused(weir: &Weir) {
    eventually(async || {
        let (ready, dependencies) = weir.readiness("up").await;
        let told = &dependencies["collectors.database"];
        let reason = told["reason"].as_str().unwrap_or_default();
        let words = ["too old to write", "m29990101_000001_later", "start a newer build"];
        if !ready && told["ready"] == json!(false) && words.iter().all(|word| reason.contains(word)) {
            return Ok(());
        }
        Err(dependencies)
    })
    .await;
}
