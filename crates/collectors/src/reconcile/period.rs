//! The period of a comparison, and the buckets that it touches.

use std::ops::Range;

use weir_database::time_bucket::Grain;

/// Limits beyond every event time, and far enough from the limits of 64 bits for arithmetic.
const ENDS: Range<i64> = -(1 << 62)..1 << 62;

/// The compared period: half-open, µs since the Unix epoch; `None` is unbounded. A bucket that it touches is compared
/// whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    pub from: Option<i64>,
    pub to: Option<i64>,
}

impl Period {
    /// The touched buckets of a grain, by their starts; empty where the period is.
    pub(super) fn buckets(self, grain: Grain) -> Range<i64> {
        let (from, to) = (self.from.unwrap_or(ENDS.start), self.to.unwrap_or(ENDS.end));
        if from >= to {
            return from..from;
        }
        grain.start_of(from)..grain.start_of(to - 1) + grain.width()
    }

    /// The touched buckets of a grain within one day.
    pub(super) fn buckets_of(self, grain: Grain, day: i64) -> Range<i64> {
        let buckets = self.buckets(grain);
        buckets.start.max(day)..buckets.end.min(day + Grain::Day.width())
    }
}

#[cfg(test)]
mod tests {
    use weir_database::time_bucket::{DAY, HOUR, MINUTE};

    use super::*;

    #[test]
    fn a_period_has_every_bucket_that_it_touches() {
        let period = Period { from: Some(DAY + HOUR - 1), to: Some(2 * DAY + MINUTE) };
        assert_eq!(period.buckets(Grain::Minute), DAY + HOUR - MINUTE..2 * DAY + MINUTE);
        assert_eq!(period.buckets(Grain::Hour), DAY..2 * DAY + HOUR);
        assert_eq!(period.buckets(Grain::Day), DAY..3 * DAY);
        assert_eq!(period.buckets_of(Grain::Hour, 2 * DAY), 2 * DAY..2 * DAY + HOUR);
    }

    #[test]
    fn a_period_before_the_epoch_touches_the_buckets_around_it() {
        let period = Period { from: Some(-1), to: Some(0) };
        assert_eq!(period.buckets(Grain::Hour), -HOUR..0);
    }

    #[test]
    fn an_empty_period_touches_nothing() {
        for (from, to) in [(5, 5), (6, 5)] {
            assert!(Period { from: Some(from), to: Some(to) }.buckets(Grain::Day).is_empty());
        }
    }
}
