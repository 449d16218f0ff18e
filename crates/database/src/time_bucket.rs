//! Time buckets: the minutes, hours and days that rollups and sets of people are kept by.
//!
//! Every time is in µs since the Unix epoch, UTC; times before the epoch are negative.
//!
//! ```
//! use weir_database::time_bucket::{Grain, HOUR, MINUTE};
//!
//! assert_eq!(Grain::Hour.start_of(HOUR + 5 * MINUTE), HOUR);
//! assert_eq!(Grain::Hour.start_of(-1), -HOUR);
//! ```

/// One second in µs.
pub const SECOND: i64 = 1_000_000;
/// One minute in µs.
pub const MINUTE: i64 = 60 * SECOND;
/// One hour in µs.
pub const HOUR: i64 = 60 * MINUTE;
/// One day in µs.
pub const DAY: i64 = 24 * HOUR;

/// The width of a bucket. Each is made of whole buckets of the narrower ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grain {
    Minute,
    Hour,
    Day,
}

impl Grain {
    /// The narrowest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// The number in the column `grain` of `rollups`, `campaign_rollups` and `people_sets`: 1 to 3.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Minute => 1,
            Self::Hour => 2,
            Self::Day => 3,
        }
    }

    /// The grain with this number; `None` where the number is not 1 to 3.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|grain| i64::from(grain.number()) == number)
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// The width in µs.
    #[must_use]
    pub const fn width(self) -> i64 {
        match self {
            Self::Minute => MINUTE,
            Self::Hour => HOUR,
            Self::Day => DAY,
        }
    }

    /// The next narrower grain; `None` of minutes.
    #[must_use]
    pub const fn finer(self) -> Option<Self> {
        match self {
            Self::Minute => None,
            Self::Hour => Some(Self::Minute),
            Self::Day => Some(Self::Hour),
        }
    }

    /// The start of the bucket that `time` lies in.
    #[must_use]
    pub const fn start_of(self, time: i64) -> i64 {
        floor(time, self.width())
    }

    /// The first start of a bucket at or after `time`.
    #[must_use]
    pub const fn next_start(self, time: i64) -> i64 {
        ceil(time, self.width())
    }

    /// Whether a bucket starts at `time`.
    #[must_use]
    pub const fn is_start(self, time: i64) -> bool {
        time.rem_euclid(self.width()) == 0
    }

    /// [`Self::start_of`] as SQL, of an expression. The remainder of a negative number is negative in SQL, therefore it
    /// is made positive first.
    #[must_use]
    pub fn start_of_sql(self, time: &str) -> String {
        let width = self.width();
        format!("{time} - (({time} % {width}) + {width}) % {width}")
    }
}

/// The last multiple of `width` at or before `time`.
const fn floor(time: i64, width: i64) -> i64 {
    time.div_euclid(width) * width
}

/// The first multiple of `width` at or after `time`.
const fn ceil(time: i64, width: i64) -> i64 {
    -floor(-time, width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_begins_at_or_before_a_time_and_ends_after_it() {
        for grain in Grain::ALL {
            let width = grain.width();
            for (time, start, next) in [
                (0, 0, 0),
                (1, 0, width),
                (width - 1, 0, width),
                (width, width, width),
                (-1, -width, 0),
                (-width, -width, -width),
                (-width - 1, -2 * width, -width),
            ] {
                assert_eq!((grain.start_of(time), grain.next_start(time)), (start, next), "{grain:?} {time}");
                assert_eq!(grain.is_start(time), start == next, "{grain:?} {time}");
            }
        }
    }

    #[test]
    fn a_grain_is_found_by_its_number() {
        for grain in Grain::ALL {
            assert_eq!(Grain::from_number(grain.number().into()), Some(grain));
        }
        assert_eq!((Grain::from_number(0), Grain::from_number(4)), (None, None));
    }

    #[test]
    fn each_grain_but_the_narrowest_has_a_finer_one() {
        assert_eq!(Grain::ALL.map(Grain::finer), [None, Some(Grain::Minute), Some(Grain::Hour)]);
    }
}
