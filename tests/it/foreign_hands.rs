//! What Weir does not own: clocks, the settings of servers, and operators that delete, restore and share. Whatever they
//! do, no accepted event goes unnoticed, and the ready probe names what is wrong.

mod clocks;
mod skew;

use std::time::Duration;

use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbBackend, SqliteTransactionMode,
    TransactionOptions, TransactionTrait as _,
};
use serde_json::Value;

use crate::harness::{Weir, eventually};

/// The first sweep is 10 s after the start.
const SWEPT: Duration = Duration::from_secs(15);

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
