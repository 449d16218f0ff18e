//! Termination of sessions whose client stalled during `COPY`, whichever process it belongs to.
//!
//! PostgreSQL ends a transaction whose client is silent between two statements (`idle_in_transaction_session_timeout`).
//! Inside `COPY`, none of the server's timeouts apply: behind a connection that died unnoticed, or of a frozen process,
//! the transaction would keep its frames from every other collector. A session does react to `pg_terminate_backend`.

use std::time::Duration;

use tokio::time::{self, MissedTickBehavior};
use tracing::{debug, warn};
use weir_database::dialect::Pool;
use weir_process::Stop;

use crate::store::{COPY_EVENTS, Store, StoreError, TRANSACTION_LIMIT, with_time_limit};

/// The interval of looking for stalled sessions: one query of `pg_stat_activity`.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// Terminates the stalled sessions of this account and this application, and counts them. PostgreSQL lets every account
/// terminate its own sessions. The application's name matters, because operators copy as well. `MATERIALIZED` has every
/// condition checked before any session is terminated. `$1`: the least age of the statement in seconds; `$2`: how the
/// statement begins.
const TERMINATE: &str = "WITH stalled AS MATERIALIZED ( \
        SELECT pid FROM pg_stat_activity \
        WHERE datname = current_database() AND usename = current_user \
            AND application_name = current_setting('application_name') \
            AND state = 'active' AND wait_event = 'ClientRead' AND starts_with(query, $2) \
            AND query_start < clock_timestamp() - make_interval(secs => $1) \
    ) SELECT COUNT(*) FILTER (WHERE pg_terminate_backend(pid)) FROM stalled";

/// Looks for stalled sessions until `stop`. Waits out an outage, which the ready probe reports.
pub(crate) async fn terminate_stalled_copies(store: Store, stop: Stop) {
    let mut tick = time::interval(CHECK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        match stop.run_until_cancelled(store.terminate_stalled_copies()).await {
            Some(Ok(0)) | None => {}
            Some(Ok(terminated)) => {
                warn!(terminated, "terminated sessions whose client stalled during COPY")
            }
            Some(Err(error)) => debug!(%error, "stalled sessions can't be looked for"),
        }
    }
}

impl Store {
    /// Terminates the sessions of this account that have waited for more rows of a `COPY` for longer than a collector's
    /// transaction may take. Returns how many there were. SQLite has no such sessions.
    ///
    /// # Errors
    /// Never [`StoreError::Permanent`].
    pub async fn terminate_stalled_copies(&self) -> Result<u64, StoreError> {
        let Pool::Postgres(pool) = &self.pool else { return Ok(0) };
        let terminating = sqlx::query_scalar::<_, i64>(TERMINATE)
            .bind(TRANSACTION_LIMIT.as_secs_f64())
            .bind(COPY_EVENTS)
            .fetch_one(pool);
        Ok(with_time_limit(terminating).await?.unsigned_abs())
    }
}
