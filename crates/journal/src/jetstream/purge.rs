//! Purging of acknowledged frames, by size and by age. An unacknowledged frame is never purged.

use async_nats::jetstream::stream;
use chrono::{TimeDelta, Utc};
use weir_event::Source;
use weir_process::clock;

use super::{
    api::{self, ApiError, Context, StreamInfo},
    observation::EventsObservation,
};
use crate::{limits::high_watermark, names::Names};

/// Whether the owner may purge frames before its next observation that are unacknowledged in `observation`. That is so if
/// the stream is half way to the high-water mark, or if these frames are among those up to `aged`, which are old.
pub(super) fn may_purge_soon(observation: &EventsObservation, aged: Option<u64>) -> bool {
    let info = &observation.stream.info;
    let half_full = u64::try_from(info.config.max_bytes)
        .is_ok_and(|max_bytes| max_bytes > 0 && info.state.bytes > high_watermark(max_bytes) / 2);
    let is_aged = |source: &Source| {
        let of_source = observation.checkpoint.of(*source);
        of_source.waiting > 0 && aged.is_none_or(|aged| of_source.floor < aged)
    };
    half_full || Source::ALL.iter().any(is_aged)
}

/// Purges acknowledged frames, up to each source's acknowledgement floor.
pub(super) struct Purge<'a> {
    pub(super) context: &'a Context,
    pub(super) names: &'a Names,
    pub(super) floors: Vec<(Source, u64)>,
    /// Frames older than this are purged.
    pub(super) age: TimeDelta,
}

impl Purge<'_> {
    /// Purges the oldest frames if the stream is over the high-water mark.
    pub(super) async fn by_size(&self, observed: &StreamInfo) -> Result<(), ApiError> {
        let Some(mut excess) = excess(&observed.info) else { return Ok(()) };
        let highest = self.floors.iter().map(|(_, floor)| *floor).max().unwrap_or_default();
        let mut state = observed.info.state.clone();
        let mut purged = 0;
        // Frames differ in size, and the oldest may be unacknowledged: the estimate doubles until it frees enough.
        let mut factor = 1;
        loop {
            let cut = estimate_cut(&state, excess, factor).min(highest);
            purged += self.up_to(cut).await?;
            let info = api::stream_info(self.context, &self.names.events_stream()).await?.info;
            state = info.state.clone();
            match self::excess(&info) {
                Some(more) if cut < highest => excess = more,
                _ => break,
            }
            factor *= 2;
        }
        if purged > 0 {
            tracing::info!(
                frames = purged,
                bytes = state.bytes,
                "acknowledged frames were purged to make room"
            );
        }
        Ok(())
    }

    /// Purges old frames by the server's clock, which also stored their times. Does nothing if this process's clock is far
    /// from the server's: one of the two is wrong. Returns the sequence up to which frames are old, acknowledged or not;
    /// `None` if that is unknown.
    pub(super) async fn by_age(&self, observed: &StreamInfo) -> Result<Option<u64>, ApiError> {
        let trusted = observed.server_time.filter(|now| !clock::is_far(Utc::now() - *now));
        let Some(now) = trusted else { return Ok(None) };
        let (oldest, state) = (now - self.age, &observed.info.state);
        if state.messages == 0 || state.first_timestamp > oldest {
            return Ok(Some(state.first_sequence.saturating_sub(1)));
        }
        let kept = api::first_since(self.context, &self.names.events_stream(), oldest).await?;
        let aged = kept.saturating_sub(1);
        let purged = self.up_to(aged).await?;
        if purged > 0 {
            tracing::info!(frames = purged, "old acknowledged frames were purged");
        }
        Ok(Some(aged))
    }

    async fn up_to(&self, cut: u64) -> Result<u64, ApiError> {
        let events = self.names.events_stream();
        let mut purged = 0;
        for (source, floor) in &self.floors {
            let up_to = cut.min(*floor);
            if up_to > 0 {
                for subject in [self.names.events(*source), self.names.erasures(*source)] {
                    purged += api::purge(self.context, &events, &subject, up_to).await?;
                }
            }
        }
        Ok(purged)
    }
}

/// The bytes over the high-water mark; `None` if there are none.
fn excess(info: &stream::Info) -> Option<u64> {
    let max_bytes = u64::try_from(info.config.max_bytes).ok().filter(|bytes| *bytes > 0)?;
    info.state.bytes.checked_sub(high_watermark(max_bytes)).filter(|excess| *excess > 0)
}

/// The sequence up to which frames of the mean size hold `factor` times the excess.
fn estimate_cut(state: &stream::State, excess: u64, factor: u64) -> u64 {
    let mean = (state.bytes / state.messages.max(1)).max(1);
    state.first_sequence.saturating_add(excess.div_ceil(mean).saturating_mul(factor))
}
