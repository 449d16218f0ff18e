//! Which frames are out with somebody, and until when. In memory alone: after a restart nobody holds anything.

use std::collections::BTreeMap;

use tokio::time::Instant;

#[derive(Clone, Copy, Debug)]
struct Held {
    attempt: u64,
    /// When it is offered again: the acknowledgement deadline, or the end of a delay that was asked for.
    until: Instant,
}

/// The frames of one source that were offered and have no acknowledgement yet, by sequence.
#[derive(Debug, Default)]
pub(super) struct Leases(BTreeMap<i64, Held>);

impl Leases {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Those to be offered again, oldest first, with the attempt that they were at.
    pub(super) fn due(&self, now: Instant, limit: usize) -> Vec<(i64, u64)> {
        let due = self.0.iter().filter(|(_, held)| held.until <= now);
        due.take(limit).map(|(sequence, held)| (*sequence, held.attempt)).collect()
    }

    /// When the next one is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.values().map(|held| held.until).min()
    }

    /// A frame goes out.
    pub(super) fn offer(&mut self, sequence: i64, attempt: u64, until: Instant) {
        self.0.insert(sequence, Held { attempt, until });
    }

    /// Whoever holds this attempt holds it until then; a later attempt belongs to somebody else.
    pub(super) fn postpone(&mut self, sequence: i64, attempt: u64, until: Instant) {
        if let Some(held) = self.0.get_mut(&sequence).filter(|held| held.attempt == attempt) {
            held.until = until;
        }
    }

    /// It is acknowledged, or gone.
    pub(super) fn settle(&mut self, sequence: i64) {
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
        leases.offer(7, 1, now + Duration::from_secs(30));
        leases.offer(3, 2, now + Duration::from_secs(20));
        assert_eq!(leases.due(now, 10), []);
        assert_eq!(leases.next_due(), Some(now + Duration::from_secs(20)));
        assert_eq!(leases.due(now + Duration::from_secs(30), 10), [(3, 2), (7, 1)]);
        leases.settle(3);
        assert_eq!(leases.due(now + Duration::from_secs(30), 10), [(7, 1)]);
    }

    #[tokio::test]
    async fn who_lost_a_frame_can_not_postpone_it() {
        let now = Instant::now();
        let mut leases = Leases::default();
        leases.offer(1, 2, now);
        leases.postpone(1, 1, now + Duration::from_secs(60));
        assert_eq!(leases.due(now, 10), [(1, 2)]);
        leases.postpone(1, 2, now + Duration::from_secs(60));
        assert_eq!(leases.due(now, 10), []);
    }
}
