//! How wide a bucket of the rollups is.

use crate::store::rollups::MINUTE;

/// How wide a bucket of the rollups is; each is made of whole ones of those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grain {
    Minute,
    Hour,
    Day,
}

impl Grain {
    /// The narrowest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// As the rollups number it.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Minute => 1,
            Self::Hour => 2,
            Self::Day => 3,
        }
    }

    /// Microseconds.
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

    /// The start of the bucket of this width that `time` lies in; µs since the Unix epoch.
    pub(super) fn start(self, time: i64) -> i64 {
        time - time.rem_euclid(self.width())
    }

    /// The same in SQL, whose remainder of a time before the epoch is negative.
    pub(super) fn start_of(self, time: &str) -> String {
        let width = self.width();
        format!("{time} - (({time} % {width}) + {width}) % {width}")
    }
}
