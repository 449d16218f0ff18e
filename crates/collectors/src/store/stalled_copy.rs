//! Copies whose sender fell silent.
//!
//! A transaction that is silent between two statements the server gives up by itself (`postgres::BEGIN`). While it reads
//! a copy it takes no notice of any of its timeouts: behind a connection that died unnoticed, or of a process that is
//! frozen, it would keep its frames from every other collector. The signal that ends a session it does notice.

use super::{Pool, Store, StoreError, postgres};

/// Every account may end its own sessions. Materialized, so that nobody is ended before all of the conditions are looked
/// at; of this application's sessions alone, because operators copy as well. `$1`: for how long a copy has gone on at least,
/// in seconds; `$2`: how its statement begins.
const END: &str = "WITH silent AS MATERIALIZED ( \
        SELECT pid FROM pg_stat_activity \
        WHERE datname = current_database() AND usename = current_user \
            AND application_name = current_setting('application_name') \
            AND state = 'active' AND wait_event = 'ClientRead' AND starts_with(query, $2) \
            AND query_start < clock_timestamp() - make_interval(secs => $1) \
    ) SELECT COUNT(*) FILTER (WHERE pg_terminate_backend(pid)) FROM silent";

impl Store {
    /// Ends the sessions of this account that wait for the rest of a copy for longer than any collector takes for a
    /// transaction, and returns how many. SQLite knows no copies.
    ///
    /// # Errors
    /// Never [`StoreError::Permanent`].
    pub async fn end_silent_copies(&self) -> Result<u64, StoreError> {
        let Pool::Postgres(pool) = &self.pool else { return Ok(0) };
        let asking = sqlx::query_scalar::<_, i64>(END)
            .bind(postgres::LIMIT.as_secs_f64())
            .bind(postgres::COPY_EVENTS)
            .fetch_one(pool);
        Ok(postgres::in_time(asking).await?.unsigned_abs())
    }
}
