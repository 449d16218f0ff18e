//! The queue of one source's frames, in memory: the cursor and the leases. Consumers and the writer share it. A restart
//! empties it, so that every unacknowledged frame is delivered again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::Notify, time::Instant};
use weir_event::Source;

/// One queue per source.
#[derive(Clone, Debug)]
pub(super) struct SourceQueues {
    facebook: Arc<SourceQueue>,
    tiktok: Arc<SourceQueue>,
}

/// The queue of one source. Frames up to the cursor are leased or acknowledged; frames behind it wait.
#[derive(Debug)]
pub(super) struct SourceQueue {
    pub(super) source: Source,
    /// The last sequence that was delivered since the file was opened. A consumer holds the lock while it delivers.
    pub(super) cursor: tokio::sync::Mutex<i64>,
    /// Notified after an append, after a lease changed, and when the writer ends.
    pub(super) changed: Notify,
    leases: Mutex<Leases>,
}

/// The frames of one source that were delivered and are not acknowledged, by sequence.
#[derive(Debug, Default)]
pub(super) struct Leases(BTreeMap<i64, LeaseEntry>);

#[derive(Clone, Copy, Debug)]
struct LeaseEntry {
    attempt: u64,
    /// The time of the next delivery: the acknowledgement deadline, or the end of a requested delay.
    until: Instant,
}

impl Default for SourceQueues {
    fn default() -> Self {
        let new = |source| Arc::new(SourceQueue::new(source));
        Self { facebook: new(Source::Facebook), tiktok: new(Source::Tiktok) }
    }
}

impl SourceQueues {
    pub(super) fn of(&self, source: Source) -> &Arc<SourceQueue> {
        match source {
            Source::Facebook => &self.facebook,
            Source::Tiktok => &self.tiktok,
        }
    }
}

impl SourceQueue {
    fn new(source: Source) -> Self {
        Self {
            source,
            cursor: tokio::sync::Mutex::new(0),
            changed: Notify::new(),
            leases: Mutex::new(Leases::default()),
        }
    }

    pub(super) fn leases(&self) -> MutexGuard<'_, Leases> {
        // Every change of the leases is one step, so that a panic elsewhere leaves them consistent.
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leases {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Up to `limit` frames whose lease has ended, oldest first, each with its last attempt.
    pub(super) fn due(&self, now: Instant, limit: usize) -> Vec<(i64, u64)> {
        let due = self.0.iter().filter(|(_, entry)| entry.until <= now);
        due.take(limit).map(|(sequence, entry)| (*sequence, entry.attempt)).collect()
    }

    /// The time at which the next lease ends.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.values().map(|entry| entry.until).min()
    }

    /// Leases a frame for one delivery.
    pub(super) fn grant(&mut self, sequence: i64, attempt: u64, until: Instant) {
        self.0.insert(sequence, LeaseEntry { attempt, until });
    }

    /// Moves the end of a lease. Ignores an earlier attempt: the frame belongs to another consumer by now.
    pub(super) fn move_end(&mut self, sequence: i64, attempt: u64, until: Instant) {
        if let Some(entry) = self.0.get_mut(&sequence).filter(|entry| entry.attempt == attempt) {
            entry.until = until;
        }
    }

    /// Ends the lease of a frame that is acknowledged or gone.
    pub(super) fn remove(&mut self, sequence: i64) {
        self.0.remove(&sequence);
    }

    pub(super) fn contains(&self, sequence: i64) -> bool {
        self.0.contains_key(&sequence)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_lease_is_due_at_its_deadline_and_not_before() {
        let now = Instant::now();
        let mut leases = Leases::default();
        leases.grant(7, 1, now + Duration::from_secs(30));
        leases.grant(3, 2, now + Duration::from_secs(20));
        assert_eq!(leases.due(now, 10), []);
        assert_eq!(leases.next_due(), Some(now + Duration::from_secs(20)));
        assert_eq!(leases.due(now + Duration::from_secs(30), 10), [(3, 2), (7, 1)]);
        leases.remove(3);
        assert_eq!(leases.due(now + Duration::from_secs(30), 10), [(7, 1)]);
    }

    #[tokio::test]
    async fn an_earlier_attempt_does_not_extend_the_lease_of_a_later_one() {
        let now = Instant::now();
        let mut leases = Leases::default();
        leases.grant(1, 2, now);
        leases.move_end(1, 1, now + Duration::from_secs(60));
        assert_eq!(leases.due(now, 10), [(1, 2)]);
        leases.move_end(1, 2, now + Duration::from_secs(60));
        assert_eq!(leases.due(now, 10), []);
    }
}
