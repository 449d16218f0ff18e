//! Missing schemas: one that is not created yet, and one that was dropped.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DbBackend};
use weir_database::{Access, connect, up};
use weir_event::Source;
use weir_testkit::{Storage, Weir, events::with_id, eventually, postgres::Postgres};

use super::{becomes_ready, one_source, reporting, reports_cause};

#[tokio::test(flavor = "multi_thread")]
async fn reporting_migrates_nothing_and_is_ready_when_the_tables_are_there() {
    let database_url = Postgres::shared().await.fresh_database_url().await;
    let mut weir = reporting(&database_url).await;
    let reason = reports_cause(&weir, "reporting", &["no tables", "weir migrate up"]).await;
    assert!(reason.contains("collector"), "{reason}");
    let (status, output) = weir.run(&["migrate", "status"], &[]).await;
    assert!(status.success() && output.contains("missing") && !output.contains("applied"), "{output}");
    let (status, output) = weir.run(&["migrate", "up"], &[]).await;
    assert!(status.success(), "{output}");
    becomes_ready(&weir, "reporting").await;
    weir.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_tables_are_reported_by_each_role_and_events_wait() {
    let database_url = Postgres::shared().await.fresh_database_url().await;
    let mut weir = one_source(&database_url).await;
    weir.ready().await;
    weir.join("reporting", &["reporting"], &[]).await;
    let store = connect(&database_url.parse().unwrap(), Access::Write, Duration::ZERO).await.unwrap();
    store.execute_unprepared("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await.unwrap();
    for process in ["collect-facebook", "reporting"] {
        reports_cause(&weir, process, &["no tables", "weir migrate up"]).await;
    }
    assert_eq!(weir.post(&with_id(Source::Facebook, "waits")).await.status, 202);
    up(&store, None).await.unwrap();
    weir.ready().await;
    eventually(async || match weir.reported_events().await {
        1 => Ok(()),
        other => Err(other),
    })
    .await;
    store.execute_unprepared("ALTER TABLE rollups RENAME TO elsewhere").await.unwrap();
    for process in ["collect-facebook", "reporting"] {
        reports_cause(&weir, process, &["lacks the tables rollups"]).await;
    }
    store.execute_unprepared("ALTER TABLE elsewhere RENAME TO rollups").await.unwrap();
    weir.ready().await;
    weir.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_tables_are_gone_is_not_ready() {
    let weir = Weir::on_files().await;
    assert!(matches!(weir.storage(), Storage::Files));
    let store = weir.store().await;
    assert_eq!(store.get_database_backend(), DbBackend::Sqlite);
    store.execute_unprepared("ALTER TABLE rollups RENAME TO elsewhere").await.unwrap();
    eventually(async || {
        let (ready, dependencies) = weir.readiness("up").await;
        let reasons = ["collectors.database", "reporting.database"]
            .map(|name| dependencies[name]["reason"].as_str().unwrap_or_default().to_owned());
        if !ready && reasons.iter().all(|reason| reason.contains("lacks the tables rollups")) {
            return Ok(());
        }
        Err(dependencies)
    })
    .await;
    store.execute_unprepared("ALTER TABLE elsewhere RENAME TO rollups").await.unwrap();
    becomes_ready(&weir, "up").await;
}
