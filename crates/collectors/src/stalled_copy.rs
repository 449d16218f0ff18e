//! Looks after copies whose sender fell silent, in whichever process: `crate::store` says why nobody else does.

use std::time::Duration;

use tokio::time::{self, MissedTickBehavior};
use tracing::{debug, warn};
use weir_process::Stop;

use crate::store::Store;

/// A look at who is connected to the database.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Works until `stop`; an outage is waited out, and readiness tells of it.
pub(crate) async fn end_silent_copies(store: Store, stop: Stop) {
    let mut tick = time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        match stop.run_until_cancelled(store.end_silent_copies()).await {
            Some(Ok(0)) | None => {}
            Some(Ok(ended)) => {
                warn!(ended, "collectors fell silent while they stored, and lost their sessions")
            }
            Some(Err(error)) => debug!(%error, "nobody looks for silent collectors"),
        }
    }
}
