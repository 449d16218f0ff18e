//! The period of a comparison, and the grains of the buckets that it touches.

use std::ops::Range;

use crate::store::rollups::MINUTE;

/// The width of a bucket of the rollups. Each bucket consists of whole ones of the grains before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grain {
    Minute,
    Hour,
    Day,
}

impl Grain {
    /// All grains, the narrowest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// The number in the rollups.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Minute => 1,
            Self::Hour => 2,
            Self::Day => 3,
        }
    }

    /// The width in microseconds.
    #[must_use]
    pub const fn width(self) -> i64 {
        match self {
            Self::Minute => MINUTE,
            Self::Hour => 60 * MINUTE,
            Self::Day => 24 * 60 * MINUTE,
        }
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    pub(super) fn of_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|grain| i64::from(grain.number()) == number)
    }

    /// The start of the bucket of this width that contains `time`; both µs since the Unix epoch.
    pub(super) fn start(self, time: i64) -> i64 {
        time - time.rem_euclid(self.width())
    }

    /// The same in SQL, where the remainder of a time before the epoch is negative.
    pub(super) fn start_of(self, time: &str) -> String {
        let width = self.width();
        format!("{time} - (({time} % {width}) + {width}) % {width}")
    }
}

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
        grain.start(from)..grain.start(to - 1) + grain.width()
    }

    /// The touched buckets of a grain within one day.
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
