//! Things that Weir does not own: clocks, the settings of servers, and operators that delete, restore and share. Whatever
//! they do, no accepted event goes unnoticed, and the ready probe names what is wrong.

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
use weir_testkit::{Ground, Weir, database::stored_events, events::with_id, eventually};

/// Ingest notes what waits within a second of each change.
const NOTED: Duration = Duration::from_millis(1_500);
/// The first sweep is 10 s after the start.
const SWEPT: Duration = Duration::from_secs(15);

/// The roles that one source needs.
const ONE_SOURCE: &[(&str, &[&str])] =
    &[("edge", &["edge"]), ("ingest", &["ingest"]), ("collect-facebook", &["collect", "facebook"])];

/// A small fleet for Facebook's events, ready.
async fn one_source() -> Weir {
    let mut weir = Weir::launched(Ground::servers().await, Vec::new(), ONE_SOURCE);
    weir.ready().await;
    weir
}

/// Holds the store, so that nothing more is stored and frames wait, until it is given back. Readers do not notice.
async fn held(store: &DatabaseConnection) -> DatabaseTransaction {
    match store.get_database_backend() {
        DbBackend::Postgres => {
            let hold = store.begin().await.unwrap();
            hold.execute_unprepared("LOCK TABLE frames, events IN SHARE MODE").await.unwrap();
            hold
        }
        _ => {
            let sqlite_transaction_mode = Some(SqliteTransactionMode::Immediate);
            let options = TransactionOptions { sqlite_transaction_mode, ..TransactionOptions::default() };
            store.begin_with_options(options).await.unwrap()
        }
    }
}

/// Posts Facebook's events one after the other, each until it is accepted.
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

/// Waits until exactly these of Facebook's events have rows.
async fn stored_are(store: &DatabaseConnection, ids: impl Iterator<Item = String>) {
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

/// Waits until a process that is ready names a dependency that it does not require; says what it says of it.
async fn named(weir: &Weir, process: &str, dependency: &str) -> String {
    eventually(async || {
        let (ready, dependencies) = weir.readiness(process).await;
        let told: &Value = &dependencies[dependency];
        let reason = told["reason"].as_str().filter(|_| told["ready"] == false && told["required"] == false);
        match reason {
            Some(reason) if ready => Ok(reason.to_owned()),
            _ => Err(format!("{process} does not name {dependency}: ready {ready}, {dependencies}")),
        }
    })
    .await
}

/// Waits until each process shows how many of Facebook's frames are lost.
async fn lost_is(weir: &Weir, processes: &[&str], frames: u64) {
    for process in processes {
        eventually(async || match lost(weir, process).await {
            Some(lost) if lost == frames as f64 => Ok(()),
            other => Err(format!("{process} shows {other:?} lost frames, not {frames}")),
        })
        .await;
    }
}

async fn lost(weir: &Weir, process: &str) -> Option<f64> {
    weir.shown(process, "weir_frames_lost", &[("source", "facebook")]).await
}

/// Ids that begin alike.
fn ids(prefix: &str, number: usize) -> impl Iterator<Item = String> + use<> {
    let prefix = prefix.to_owned();
    (0..number).map(move |place| format!("{prefix}-{place}"))
}
