//! The period that is compared: every bucket that it touches.

use std::ops::Range;

use super::grain::Grain;

/// Beyond every time that an event can have, and far enough from the ends of 64 bits to be counted with.
const ENDS: Range<i64> = -(1 << 62)..1 << 62;

/// Half-open, µs since the Unix epoch; `None` is unbounded. A bucket that it touches is compared whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    pub from: Option<i64>,
    pub to: Option<i64>,
}

impl Period {
    /// The buckets of a grain that it touches, by their starts. Empty where the period is.
    pub(super) fn buckets(self, grain: Grain) -> Range<i64> {
        let (from, to) = (self.from.unwrap_or(ENDS.start), self.to.unwrap_or(ENDS.end));
        if from >= to {
            return from..from;
        }
        grain.start(from)..grain.start(to - 1) + grain.width()
    }

    /// Those of them that lie in one day.
    pub(super) fn buckets_of(self, grain: Grain, day: i64) -> Range<i64> {
        let buckets = self.buckets(grain);
        buckets.start.max(day)..buckets.end.min(day + Grain::Day.width())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = Grain::Minute.width();
    const HOUR: i64 = Grain::Hour.width();
    const DAY: i64 = Grain::Day.width();

    #[test]
    fn every_bucket_that_is_touched_belongs_to_it() {
        let period = Period { from: Some(DAY + HOUR - 1), to: Some(2 * DAY + MINUTE) };
        assert_eq!(period.buckets(Grain::Minute), DAY + HOUR - MINUTE..2 * DAY + MINUTE);
        assert_eq!(period.buckets(Grain::Hour), DAY..2 * DAY + HOUR);
        assert_eq!(period.buckets(Grain::Day), DAY..3 * DAY);
        assert_eq!(period.buckets_of(Grain::Hour, 2 * DAY), 2 * DAY..2 * DAY + HOUR);
    }

    #[test]
    fn a_period_before_the_epoch_touches_the_buckets_it_lies_in() {
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
