//! What the time is by the store's clock: the database's own, or this process's where the store is a file.

use chrono::Utc;
use sqlx::AssertSqlSafe;
use weir_migration::clock::NOW_IN_POSTGRES;

use super::{Pool, Store, postgres::in_time};

impl Store {
    /// The time by the store's clock, µs since the Unix epoch.
    pub(crate) async fn now(&self) -> Result<i64, sqlx::Error> {
        match &self.pool {
            Pool::Postgres(pool) => {
                let question = format!("SELECT {NOW_IN_POSTGRES}");
                in_time(sqlx::query_scalar(AssertSqlSafe(question)).fetch_one(pool)).await
            }
            Pool::Sqlite(_) => Ok(Utc::now().timestamp_micros()),
        }
    }
}
