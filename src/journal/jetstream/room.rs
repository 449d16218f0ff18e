//! Room in `EVENTS`: above 70 % of its bytes, acknowledged frames are purged, oldest first; unacknowledged ones
//! never are. On the way a stream that vanished is made anew, loudly.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{Context, stream};
use tokio::{sync::Notify, time::MissedTickBehavior};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    api::{self, ApiError},
    streams,
};
use crate::{
    event::Source,
    journal::{JournalError, Settings, limits, subject},
};

/// Filling the last 30 % of 8 GiB takes minutes at full load.
const INTERVAL: Duration = Duration::from_secs(5);

/// Keeps room until it is stopped or dropped.
#[derive(Debug)]
pub(super) struct Room {
    wanted: Arc<Notify>,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

impl Room {
    pub(super) fn keep(context: Context, settings: Settings) -> Self {
        let wanted = Arc::new(Notify::new());
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(watch(context, settings, Arc::clone(&wanted))));
        Self { wanted, _stop_on_drop: stop.clone().drop_guard(), stop }
    }

    /// Looks now and not only at the next tick.
    pub(super) fn look(&self) {
        self.wanted.notify_one();
    }

    pub(super) fn stop(&self) {
        self.stop.cancel();
    }
}

async fn watch(context: Context, settings: Settings, wanted: Arc<Notify>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = wanted.notified() => {}
        }
        match make(&context).await {
            Ok(()) => {}
            Err(ApiError::NotFound(error)) => restore(&context, &settings, &error.to_string()).await,
            Err(error) => tracing::debug!(%error, "the journal's room can't be seen"),
        }
    }
}

/// Makes streams and consumers anew that somebody removed: what they held is lost, and this is where it is told.
pub(super) async fn restore(context: &Context, settings: &Settings, reason: &str) {
    tracing::error!(reason, "a stream or consumer of the journal vanished and is made anew");
    match streams::set_up(context, settings).await {
        Ok(()) => tracing::warn!("the journal's streams and consumers are there again"),
        Err(error @ (JournalError::Unreachable(_) | JournalError::Unusable(_))) => {
            tracing::error!(%error, "the journal's streams and consumers can't be made anew");
        }
    }
}

async fn make(context: &Context) -> Result<(), ApiError> {
    let mut info = api::stream_info(context, subject::EVENTS).await?;
    let Some(mut excess) = excess(&info) else { return Ok(()) };
    let floors = floors(context).await?;
    let highest = floors.iter().map(|(_, floor)| *floor).max().unwrap_or_default();
    let mut purged = 0;
    // Sizes differ and the oldest may be unacknowledged: the guess of how far to go widens until it is enough.
    let mut stretch = 1;
    loop {
        let cut = guess(&info.state, excess, stretch).min(highest);
        purged += purge(context, &floors, cut).await?;
        info = api::stream_info(context, subject::EVENTS).await?;
        match self::excess(&info) {
            Some(more) if cut < highest => excess = more,
            _ => break,
        }
        stretch *= 2;
    }
    if purged > 0 {
        tracing::info!(
            frames = purged,
            bytes = info.state.bytes,
            "acknowledged frames were purged to make room"
        );
    }
    Ok(())
}

/// Bytes over the mark.
fn excess(info: &stream::Info) -> Option<u64> {
    let mark = limits::mark(u64::try_from(info.config.max_bytes).ok()?);
    info.state.bytes.checked_sub(mark).filter(|excess| *excess > 0)
}

/// Per subject the highest sequence that its consumer has acknowledged together with everything before it.
async fn floors(context: &Context) -> Result<Vec<(String, u64)>, ApiError> {
    let mut floors = Vec::with_capacity(Source::ALL.len());
    for source in Source::ALL {
        let info = api::consumer_info(context, &subject::consumer(*source)).await?;
        floors.push((subject::events(*source), info.ack_floor.stream_sequence));
    }
    Ok(floors)
}

/// The sequence up to which frames of the mean size hold the excess, `stretch` times over.
fn guess(state: &stream::State, excess: u64, stretch: u64) -> u64 {
    let mean = (state.bytes / state.messages.max(1)).max(1);
    state.first_sequence.saturating_add(excess.div_ceil(mean).saturating_mul(stretch))
}

async fn purge(context: &Context, floors: &[(String, u64)], cut: u64) -> Result<u64, ApiError> {
    let mut purged = 0;
    for (subject, floor) in floors {
        let up_to = cut.min(*floor);
        if up_to > 0 {
            purged += api::purge(context, subject, up_to).await?;
        }
    }
    Ok(purged)
}
