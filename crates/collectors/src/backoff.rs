//! Waiting longer and longer, and never quite as long as the others.

use std::time::Duration;

use rand::RngExt as _;
use weir_process::Stop;

const FIRST: Duration = Duration::from_millis(100);
/// A store that is back is noticed within this, which is half of the 10 s in which a fresh event is to be reported after
/// a fault.
const LONGEST: Duration = Duration::from_secs(5);

/// Pauses between the attempts of one outage: doubling, with half of each left to chance.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// Nothing went wrong since the last success.
    pub(crate) fn is_fresh(&self) -> bool {
        self.attempts == 0
    }

    /// Success: the next pause is short again. True where something had gone wrong.
    pub(crate) fn reset(&mut self) -> bool {
        std::mem::take(&mut self.attempts) > 0
    }

    /// Waits for the next attempt; ends early at `stop`.
    pub(crate) async fn pause(&mut self, stop: &Stop) {
        let pause = self.next();
        stop.run_until_cancelled(tokio::time::sleep(pause)).await;
    }

    fn next(&mut self) -> Duration {
        let longest = LONGEST.min(FIRST.saturating_mul(1 << self.attempts.min(10)));
        self.attempts = self.attempts.saturating_add(1);
        longest.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_longest_and_start_anew() {
        let mut backoff = Backoff::default();
        assert!(backoff.is_fresh());
        assert!(backoff.next() <= FIRST);
        let later = (0..100).map(|_| backoff.next()).last().unwrap();
        assert!((LONGEST / 2..=LONGEST).contains(&later));
        assert!(backoff.reset());
        assert!(!backoff.reset());
        assert!(backoff.next() <= FIRST);
    }
}
