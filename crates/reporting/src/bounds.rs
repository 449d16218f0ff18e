//! The range of event time that a question is about, and the two clocks it is told in: the contract's
//! timestamps and the store's microseconds.

use prost_types::Timestamp;
use weir::contract::reporting::v1::DateRange;

const MICROSECONDS_PER_SECOND: i64 = 1_000_000;
const NANOSECONDS_PER_MICROSECOND: i64 = 1_000;
/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z: what protobuf allows.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
const NANOSECONDS: std::ops::RangeInclusive<i32> = 0..=999_999_999;

/// Half-open, `[from, to)`, in microseconds since the Unix epoch; `None` is unbounded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) from: Option<i64>,
    pub(crate) to: Option<i64>,
    asked: DateRange,
}

impl Bounds {
    /// Bounds of valid timestamps.
    ///
    /// An event's time has no digits finer than microseconds, so one that is not before a bound is not before
    /// the next whole microsecond either: both bounds are rounded up.
    pub(crate) fn new(from: Option<Timestamp>, to: Option<Timestamp>) -> Self {
        Self { from: from.map(ceiling), to: to.map(ceiling), asked: DateRange { from, to } }
    }

    /// The range as it was asked for.
    pub(crate) fn asked(&self) -> DateRange {
        self.asked
    }
}

/// Whether protobuf allows it.
pub(crate) fn is_valid(timestamp: &Timestamp) -> bool {
    SECONDS.contains(&timestamp.seconds) && NANOSECONDS.contains(&timestamp.nanos)
}

/// The first whole microsecond at or after a valid timestamp.
fn ceiling(timestamp: Timestamp) -> i64 {
    let nanoseconds = i64::from(timestamp.nanos);
    let microseconds = (nanoseconds + NANOSECONDS_PER_MICROSECOND - 1) / NANOSECONDS_PER_MICROSECOND;
    timestamp.seconds * MICROSECONDS_PER_SECOND + microseconds
}

/// The contract's timestamp of a microsecond since the Unix epoch.
pub(crate) fn timestamp(microseconds: i64) -> Timestamp {
    let nanoseconds = microseconds.rem_euclid(MICROSECONDS_PER_SECOND) * NANOSECONDS_PER_MICROSECOND;
    Timestamp {
        seconds: microseconds.div_euclid(MICROSECONDS_PER_SECOND),
        nanos: i32::try_from(nanoseconds).expect("a remainder of a second is under a billion nanoseconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finer_digits_are_rounded_up_on_either_side_of_the_epoch() {
        for (seconds, nanos, microseconds) in [
            (0, 0, 0),
            (0, 1, 1),
            (0, 1_000, 1),
            (0, 1_001, 2),
            (1, 999_999_999, 2_000_000),
            (-1, 999_999_001, 0),
            (-1, 999_999_000, -1),
            (-1, 1, -999_999),
        ] {
            assert_eq!(ceiling(Timestamp { seconds, nanos }), microseconds);
        }
    }

    #[test]
    fn the_widest_range_of_protobuf_fits() {
        let bounds = Bounds::new(
            Some(Timestamp { seconds: *SECONDS.start(), nanos: 0 }),
            Some(Timestamp { seconds: *SECONDS.end(), nanos: *NANOSECONDS.end() }),
        );
        assert_eq!(bounds.from, Some(-62_135_596_800_000_000));
        assert_eq!(bounds.to, Some(253_402_300_800_000_000));
    }

    #[test]
    fn a_microsecond_before_the_epoch_has_a_timestamp() {
        assert_eq!(timestamp(-1), Timestamp { seconds: -1, nanos: 999_999_000 });
        assert_eq!(timestamp(1_000_001), Timestamp { seconds: 1, nanos: 1_000 });
    }
}
