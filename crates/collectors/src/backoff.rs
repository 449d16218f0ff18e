//! Exponential backoff with jitter, ended by a stop.

use std::time::Duration;

use rand::RngExt as _;
use weir_process::Stop;

const FIRST: Duration = Duration::from_millis(100);
/// A job notices within this time that the store is back. It is half of the 10 s within which a fresh event is to be
/// reported after a fault.
const LONGEST: Duration = Duration::from_secs(5);

/// Pauses between the attempts of one outage. Each is twice the one before, and half of it is random.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// Whether no pause has been made since the last success: a failure now is the first of its outage.
    pub(crate) fn is_first_failure(&self) -> bool {
        self.attempts == 0
    }

    /// Notes a success, so that the next pause is short again. Returns true where there was a failure before.
    pub(crate) fn reset(&mut self) -> bool {
        std::mem::take(&mut self.attempts) > 0
    }

    /// Waits before the next attempt. `stop` ends the wait early.
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
    fn pauses_grow_to_the_longest_and_a_success_makes_them_short_again() {
        let mut backoff = Backoff::default();
        assert!(backoff.is_first_failure());
        assert!(backoff.next() <= FIRST);
        let later = (0..100).map(|_| backoff.next()).last().unwrap();
        assert!((LONGEST / 2..=LONGEST).contains(&later));
        assert!(backoff.reset());
        assert!(!backoff.reset());
        assert!(backoff.next() <= FIRST);
    }
}
