//! The pace of a body: how long Weir waits for bytes that a caller owes.

use std::time::Duration;

/// The time that a body has before the least rate counts, and that rate in bytes a second. They are those of Apache's
/// mod_reqtimeout (`body=20,MinRate=500`, <https://httpd.apache.org/docs/2.4/mod/mod_reqtimeout.html>).
const GRACE: Duration = Duration::from_secs(20);
const LEAST_RATE: u64 = 500;

/// The bounds of a body. Only time counts in which Weir itself waits for bytes.
#[derive(Clone, Copy, Debug)]
pub struct BodyPace {
    /// The longest pause.
    pub stall: Duration,
    /// The time for the whole body.
    pub whole: Duration,
}

/// The body came too slowly: it paused for too long, took too long, or was slower than 500 bytes a second after 20 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body came too slowly")]
pub struct SlowBody;

/// The pace of one body so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    bounds: BodyPace,
    waited: Duration,
    bytes: u64,
}

impl Pace {
    pub(crate) fn new(bounds: BodyPace) -> Self {
        Self { bounds, waited: Duration::ZERO, bytes: 0 }
    }

    /// The time that the next bytes may take.
    pub(crate) fn left(&self) -> Duration {
        let by_rate = GRACE + Duration::from_secs(self.bytes / LEAST_RATE);
        self.bounds.stall.min(self.bounds.whole.min(by_rate).saturating_sub(self.waited))
    }

    /// Notes that bytes came after a wait.
    pub(crate) fn record(&mut self, waited: Duration, bytes: usize) {
        self.waited += waited;
        self.bytes += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_body_is_bound_by_its_pauses_its_whole_time_and_its_rate() {
        let mut pace = Pace::new(BodyPace { stall: seconds(10), whole: seconds(120) });
        assert_eq!(pace.left(), seconds(10));
        pace.record(seconds(9), 1);
        assert_eq!(pace.left(), seconds(10));
        // A byte every few seconds is too slow after 20 s.
        pace.record(seconds(6), 1);
        assert_eq!(pace.left(), seconds(5));
        // 500 bytes are another second.
        pace.record(seconds(4), 500);
        assert_eq!(pace.left(), seconds(2));
        pace.record(seconds(1), 1 << 20);
        assert_eq!(pace.left(), seconds(10));
        pace.record(seconds(95), 0);
        assert_eq!(pace.left(), seconds(5));
    }
}
