//! Changes by other hands (docs/reliability.md#i11-foreign-hands): wrong clocks, changed settings of servers, and
//! operators that delete, restore and share. No accepted event is lost uncounted, and the ready probe names the cause.

mod clocks;
mod erasures;
mod files;
mod other_applications;
mod prefix;
mod restored;
mod settings;
mod skew;
mod vanished;

use std::time::Duration;

use reqwest::StatusCode;
use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbBackend, SqliteTransactionMode,
    TransactionOptions, TransactionTrait as _,
};
use serde_json::Value;
use weir_event::Source;
use weir_testkit::{Storage, Weir, database::stored_events, events::with_id, eventually};

/// Ingest records the waiting frames within a second of each change.
const NOTE_INTERVAL: Duration = Duration::from_millis(1_500);
/// The first sweep starts 10 s after the process.
const FIRST_SWEEP: Duration = Duration::from_secs(15);

/// The processes that Facebook's events need.
const ONE_SOURCE: &[(&str, &[&str])] =
    &[("edge", &["edge"]), ("ingest", &["ingest"]), ("collect-facebook", &["collect", "facebook"])];

/// Starts a small fleet for Facebook's events, and waits until it is ready.
async fn one_source() -> Weir {
    let mut weir = Weir::launch(Storage::servers().await, Vec::new(), ONE_SOURCE);
    weir.ready().await;
    weir
}

/// Locks the store against writers until the transaction ends, so that frames wait. Readers are not blocked.
async fn lock_store(store: &DatabaseConnection) -> DatabaseTransaction {
    match store.get_database_backend() {
        DbBackend::Postgres => {
            let lock = store.begin().await.unwrap();
            lock.execute_unprepared("LOCK TABLE frames, events IN SHARE MODE").await.unwrap();
            lock
        }
        _ => {
            let sqlite_transaction_mode = Some(SqliteTransactionMode::Immediate);
            let options = TransactionOptions { sqlite_transaction_mode, ..TransactionOptions::default() };
            store.begin_with_options(options).await.unwrap()
        }
    }
}

/// Posts events of Facebook one after the other, each until it is accepted.
async fn post_each(weir: &Weir, ids: impl Iterator<Item = String>) {
    for id in ids {
        let event = with_id(Source::Facebook, &id);
        eventually(async || {
            let answer = weir.post(&event).await;
            match answer.status {
                StatusCode::ACCEPTED => Ok(()),
                StatusCode::SERVICE_UNAVAILABLE => Err(answer),
                _ => panic!("{answer:?}"),
            }
        })
        .await;
    }
}

/// Waits until exactly these events are stored.
async fn expect_stored(store: &DatabaseConnection, ids: impl Iterator<Item = String>) {
    let mut expected: Vec<String> = ids.collect();
    expected.sort();
    eventually(async || {
        let mut stored: Vec<String> =
            stored_events(store).await.into_iter().map(|event| event.event_id).collect();
        stored.sort();
        if stored == expected { Ok(()) } else { Err(format!("{stored:?} are stored, not {expected:?}")) }
    })
    .await;
}

/// Waits until a process is ready and its probe reports an optional dependency as missing; returns the reason.
async fn expect_reported(weir: &Weir, process: &str, dependency: &str) -> String {
    eventually(async || {
        let (ready, dependencies) = weir.readiness(process).await;
        let probed: &Value = &dependencies[dependency];
        let reason =
            probed["reason"].as_str().filter(|_| probed["ready"] == false && probed["required"] == false);
        match reason {
            Some(reason) if ready => Ok(reason.to_owned()),
            _ => Err(format!("{process} does not name {dependency}: ready {ready}, {dependencies}")),
        }
    })
    .await
}

/// Waits until each process shows this number of lost frames of Facebook.
async fn expect_lost_frames(weir: &Weir, processes: &[&str], frames: u64) {
    for process in processes {
        eventually(async || match lost(weir, process).await {
            Some(lost) if lost == frames as f64 => Ok(()),
            other => Err(format!("{process} shows {other:?} lost frames, not {frames}")),
        })
        .await;
    }
}

/// The number of lost frames of Facebook that a process shows.
async fn lost(weir: &Weir, process: &str) -> Option<f64> {
    weir.series_value(process, "weir_frames_lost", &[("source", "facebook")]).await
}

/// Ids with a common prefix.
fn ids(prefix: &str, number: usize) -> impl Iterator<Item = String> + use<> {
    let prefix = prefix.to_owned();
    (0..number).map(move |place| format!("{prefix}-{place}"))
}
