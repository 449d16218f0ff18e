//! The owner's watch over the journal: makes anew what vanished, notes what it holds, and purges acknowledged frames.
//! Unacknowledged ones never are.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{consumer, stream};
use chrono::{TimeDelta, Utc};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use weir_event::Source;
use weir_process::clock;

use super::{
    api::{self, ApiError, Context, StreamInfo},
    checkpoint_bucket::Notebook,
    message_limits::Sizes,
    setting::Shrinking,
    streams,
};
use crate::{JournalError, JournalState, Names, Settings, limits};

/// What changes is noted within a second, and a stream that vanished is made anew within five.
pub(super) const INTERVAL: Duration = Duration::from_millis(500);
/// A dead-letter stream or the bucket of notes that vanished is made anew within this, or when a letter can't be laid down.
const OTHERS_INTERVAL: Duration = Duration::from_secs(5);
/// Ages are counted in days.
const AGE_INTERVAL: Duration = Duration::from_secs(60);

/// Watches until it is stopped or dropped.
#[derive(Debug)]
pub(super) struct Keeper {
    wanted: Arc<Notify>,
    trouble: watch::Receiver<Option<String>>,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

/// What the watch works with.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) context: Context,
    pub(super) settings: Settings,
    pub(super) notebook: Arc<Notebook>,
    pub(super) sizes: Arc<Sizes>,
}

impl Keeper {
    pub(super) fn keep(kept: Kept) -> Self {
        let (wanted, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let (told, trouble) = watch::channel(None);
        tokio::spawn(stop.clone().run_until_cancelled_owned(kept.watch(Arc::clone(&wanted), told)));
        Self { wanted, trouble, _stop_on_drop: stop.clone().drop_guard(), stop }
    }

    /// Looks now and not only at the next tick.
    pub(super) fn look(&self) {
        self.wanted.notify_one();
    }

    /// Why the streams are not as they must be, when that was seen last.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }

    pub(super) fn stop(&self) {
        self.stop.cancel();
    }
}

impl Kept {
    async fn watch(self, wanted: Arc<Notify>, told: watch::Sender<Option<String>>) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut aged_at, mut others_at): (Option<Instant>, Option<Instant>) = (None, None);
        let mut aged = None;
        loop {
            let is_wanted = tokio::select! {
                _ = ticks.tick() => false,
                () = wanted.notified() => true,
            };
            let by_age = aged_at.is_none_or(|at| at.elapsed() >= AGE_INTERVAL);
            let others = is_wanted || others_at.is_none_or(|at| at.elapsed() >= OTHERS_INTERVAL);
            let trouble = match self.look(by_age, others, aged).await {
                Ok(through) => {
                    aged = through;
                    aged_at = if by_age { Some(Instant::now()) } else { aged_at };
                    others_at = if others { Some(Instant::now()) } else { others_at };
                    None
                }
                Err(Finding::Wrong(reason)) => {
                    let is_new = told.borrow().is_none();
                    self.mend(&reason, is_new).await.err().map(JournalError::reason)
                }
                Err(Finding::Away(error)) => {
                    tracing::debug!(%error, "the journal can't be looked at");
                    continue;
                }
            };
            if let Some(reason) = trouble.as_ref().filter(|reason| told.borrow().as_ref() != Some(*reason)) {
                tracing::error!(reason, "the journal's streams and consumers can't be made as they must be");
            }
            told.send_replace(trouble);
        }
    }

    /// Makes streams and consumers anew that somebody removed, and changes back what somebody changed. What a stream held is
    /// counted as lost when it is noted next.
    async fn mend(&self, reason: &str, is_new: bool) -> Result<(), JournalError> {
        if is_new {
            tracing::error!(reason, "the journal's streams and consumers are not as they must be");
        }
        streams::set_up(&self.context, &self.settings, Shrinking::Refused).await?;
        tracing::warn!("the journal's streams and consumers are as they must be again");
        Ok(())
    }

    /// Returns up to which sequence frames were past their age when that was looked at last: `aged`, or anew.
    async fn look(&self, by_age: bool, others: bool, aged: Option<u64>) -> Result<Option<u64>, Finding> {
        let names = &self.settings.names;
        let seen = observe(&self.context, names).await?;
        self.sizes.note_events(&seen.stream.info);
        if let Some(reason) = streams::must_change(&seen.stream.info, &seen.consumers, &self.settings) {
            // An age may have removed what waits, as long as it was there.
            self.notebook.suspect_removal();
            return Err(Finding::Wrong(reason));
        }
        let noted = JournalState { may_purge: may_purge(&seen, aged), ..seen.state.clone() };
        if let Err(error) = self.notebook.note(noted).await {
            tracing::debug!(%error, "what the journal holds can't be noted");
        }
        let age = TimeDelta::from_std(self.settings.acknowledged_frame_age).unwrap_or(TimeDelta::MAX);
        let purging = Purging { context: &self.context, names, floors: seen.floors(), age };
        purging.make_room(&seen.stream).await?;
        let aged = if by_age { purging.by_age(&seen.stream).await? } else { aged };
        // Last: what is wrong beside EVENTS must not keep it from being noted and purged.
        let wrong = if others { streams::find_others(&self.context, &self.settings).await? } else { None };
        wrong.map_or(Ok(aged), |reason| Err(Finding::Wrong(reason)))
    }
}

/// Why a look did not find what it must find.
enum Finding {
    /// A stream or consumer is gone, or is otherwise.
    Wrong(String),
    Away(ApiError),
}

impl From<ApiError> for Finding {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::NotFound(error) => Self::Wrong(error.to_string()),
            error @ (ApiError::Refused(_)
            | ApiError::Denied(_)
            | ApiError::NoJetStream(_)
            | ApiError::Away(_)) => Self::Away(error),
        }
    }
}

/// What a look at the server tells.
pub(super) struct Observation {
    pub(super) stream: StreamInfo,
    /// In the order of [`Source::ALL`].
    pub(super) consumers: Vec<consumer::Info>,
    pub(super) state: JournalState,
}

impl Observation {
    /// Per source the highest sequence that its consumer has acknowledged together with everything before it.
    fn floors(&self) -> Vec<(Source, u64)> {
        Source::ALL.iter().map(|source| (*source, self.state.of(*source).floor)).collect()
    }
}

/// Asks for `EVENTS` and its consumers.
pub(super) async fn observe(context: &Context, names: &Names) -> Result<Observation, ApiError> {
    let events = names.events_stream();
    let stream = api::stream_info(context, &events).await?;
    let mut state = JournalState {
        journal: super::ack_floor::identity(&stream.info),
        last_sequence: stream.info.state.last_sequence,
        first_sequence: stream.info.state.first_sequence,
        may_purge: true,
        ..JournalState::default()
    };
    let mut consumers = Vec::with_capacity(Source::ALL.len());
    for &source in Source::ALL {
        let info = api::consumer_info(context, &events, &names.consumer(source)).await?;
        let of_source = state.of_mut(source);
        of_source.waiting = info.num_pending + info.num_ack_pending as u64;
        of_source.floor = info.ack_floor.stream_sequence;
        consumers.push(info);
    }
    Ok(Observation { stream, consumers, state })
}

/// Whether an owner may remove frames that wait as of `seen`, once they are acknowledged and before the next look: the stream
/// is half way to where room is made, or they are past their age, which is reached up to `aged`.
fn may_purge(seen: &Observation, aged: Option<u64>) -> bool {
    let info = &seen.stream.info;
    let half_full = u64::try_from(info.config.max_bytes)
        .is_ok_and(|max_bytes| max_bytes > 0 && info.state.bytes > limits::mark(max_bytes) / 2);
    let is_aged = |source: &Source| {
        let of_source = seen.state.of(*source);
        of_source.waiting > 0 && aged.is_none_or(|aged| of_source.floor < aged)
    };
    half_full || Source::ALL.iter().any(is_aged)
}

/// Removes acknowledged frames, up to each source's floor.
struct Purging<'a> {
    context: &'a Context,
    names: &'a Names,
    floors: Vec<(Source, u64)>,
    /// How old an acknowledged frame may be.
    age: TimeDelta,
}

impl Purging<'_> {
    /// Above 70 % of the bytes the oldest ones make room.
    async fn make_room(&self, seen: &StreamInfo) -> Result<(), ApiError> {
        let Some(mut excess) = excess(&seen.info) else { return Ok(()) };
        let highest = self.floors.iter().map(|(_, floor)| *floor).max().unwrap_or_default();
        let mut state = seen.info.state.clone();
        let mut purged = 0;
        // Sizes differ and the oldest may be unacknowledged: the guess of how far to go widens until it is enough.
        let mut stretch = 1;
        loop {
            let cut = guess(&state, excess, stretch).min(highest);
            purged += self.up_to(cut).await?;
            let info = api::stream_info(self.context, &self.names.events_stream()).await?.info;
            state = info.state.clone();
            match self::excess(&info) {
                Some(more) if cut < highest => excess = more,
                _ => break,
            }
            stretch *= 2;
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

    /// Those that are old by the server's clock, which wrote their times too. A process whose own clock is far off stays
    /// away: one of the two is wrong. Returns up to which sequence frames are old, acknowledged or not; `None` where that
    /// can't be told.
    async fn by_age(&self, seen: &StreamInfo) -> Result<Option<u64>, ApiError> {
        let Some(now) = seen.told_at.filter(|now| !clock::is_far(Utc::now() - *now)) else { return Ok(None) };
        let (oldest, state) = (now - self.age, &seen.info.state);
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

/// Bytes over the mark.
fn excess(info: &stream::Info) -> Option<u64> {
    let max_bytes = u64::try_from(info.config.max_bytes).ok().filter(|bytes| *bytes > 0)?;
    info.state.bytes.checked_sub(limits::mark(max_bytes)).filter(|excess| *excess > 0)
}

/// The sequence up to which frames of the mean size hold the excess, `stretch` times over.
fn guess(state: &stream::State, excess: u64, stretch: u64) -> u64 {
    let mean = (state.bytes / state.messages.max(1)).max(1);
    state.first_sequence.saturating_add(excess.div_ceil(mean).saturating_mul(stretch))
}
