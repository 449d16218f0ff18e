//! A schema that admits only newer builds.

use sea_orm::ConnectionTrait as _;
use serde_json::json;
use weir_event::Source;
use weir_testkit::{Weir, database::stored_events, events::with_id, eventually};

use super::is_live;

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
    is_live(&weir, "up").await;
    is_refused(&weir).await;
    let (status, output) = weir.run(&["migrate", "status"], &[]).await;
    assert!(
        status.success() && output.contains("m29990101_000001_later") && output.contains("too old"),
        "{output}"
    );
    let (status, output) = weir.run(&["reconcile", "--repair"], &[]).await;
    assert!(status.code() == Some(1) && output.contains("too old to write"), "{output}");
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
    let (status, output) = weir.run(&["migrate", "status"], &[]).await;
    assert!(status.success() && output.contains("this one may"), "{output}");
}

/// Waits until the process is not ready, with cause and remedy.
async fn is_refused(weir: &Weir) {
    eventually(async || {
        let (ready, dependencies) = weir.readiness("up").await;
        let database = &dependencies["collectors.database"];
        let reason = database["reason"].as_str().unwrap_or_default();
        let words = ["too old to write", "m29990101_000001_later", "start a newer build"];
        if !ready && database["ready"] == json!(false) && words.iter().all(|word| reason.contains(word)) {
            return Ok(());
        }
        Err(dependencies)
    })
    .await;
}
