//! `google.protobuf.Timestamp` from and to chrono's `DateTime`.

use chrono::{DateTime, SubsecRound as _, Utc};
use prost_types::Timestamp;

/// The timestamp of an instant, to the nanosecond.
#[must_use]
#[inline]
pub fn timestamp(instant: DateTime<Utc>) -> Timestamp {
    let nanos = i32::try_from(instant.timestamp_subsec_nanos()).unwrap_or_default();
    Timestamp { seconds: instant.timestamp(), nanos }
}

/// The instant of a timestamp, to the nanosecond; `None` outside chrono's range.
///
/// protobuf allows less than chrono: the years 1 to 9999 and no leap second. Callers that need that rule check it.
#[must_use]
#[inline]
pub fn instant(timestamp: Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(timestamp.seconds, u32::try_from(timestamp.nanos).ok()?)
}

/// The instant of a timestamp, cut to the microsecond: events, origins and erasures keep no finer digits. `None` for an
/// absent timestamp, and outside chrono's range.
#[must_use]
#[inline]
pub fn instant_micros(timestamp: Option<Timestamp>) -> Option<DateTime<Utc>> {
    instant(timestamp?).map(|instant| instant.trunc_subsecs(6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_reads_back_on_either_side_of_the_epoch() {
        for (seconds, nanos) in [(0, 0), (-1, 999_999_999), (1_757_834_505, 1), (253_402_300_799, 0)] {
            let message = Timestamp { seconds, nanos };
            assert_eq!(instant(message).map(timestamp), Some(message));
        }
    }

    #[test]
    fn digits_below_the_microsecond_are_cut() {
        let cut = instant_micros(Some(Timestamp { seconds: 1, nanos: 1_999 })).map(timestamp);
        assert_eq!(cut, Some(Timestamp { seconds: 1, nanos: 1_000 }));
        assert_eq!(instant_micros(None), None);
    }

    #[test]
    fn an_impossible_timestamp_has_no_instant() {
        for (seconds, nanos) in [(0, -1), (0, i32::MAX), (i64::MAX, 0), (i64::MIN, 0)] {
            assert_eq!(instant(Timestamp { seconds, nanos }), None);
        }
    }
}
