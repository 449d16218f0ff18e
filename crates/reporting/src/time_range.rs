//! The range of event time that a question is about, and the two clocks it is told in: the contract's
//! timestamps and the store's microseconds.

use prost_types::Timestamp;
use weir::contract::reporting::v1::DateRange;

const MICROSECONDS_PER_SECOND: i64 = 1_000_000;
const NANOSECONDS_PER_MICROSECOND: i64 = 1_000;
/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z: what protobuf allows.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
const NANOSECONDS: std::ops::RangeInclusive<i32> = 0..=999_999_999;

const MINUTE: i64 = 60 * MICROSECONDS_PER_SECOND;

/// Half-open, `[from, to)`, in microseconds since the Unix epoch; `None` is unbounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Span {
    pub(crate) from: Option<i64>,
    pub(crate) to: Option<i64>,
}

impl Span {
    /// Whether no time lies in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.from.zip(self.to).is_some_and(|(from, to)| from >= to)
    }

    /// Whether no end lies within a minute.
    pub(crate) fn is_of_whole_minutes(&self) -> bool {
        [self.from, self.to].into_iter().flatten().all(|end| end.rem_euclid(MINUTE) == 0)
    }
}

/// What a question ranges over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    span: Span,
    asked: DateRange,
}

impl Bounds {
    /// Bounds of valid timestamps.
    ///
    /// An event's time has no digits finer than microseconds, so one that is not before a bound is not before
    /// the next whole microsecond either: both bounds are rounded up.
    pub(crate) fn new(from: Option<Timestamp>, to: Option<Timestamp>) -> Self {
        let span = Span { from: from.map(ceiling), to: to.map(ceiling) };
        Self { span, asked: DateRange { from, to } }
    }

    /// The range in the store's clock.
    pub(crate) fn span(&self) -> Span {
        self.span
    }

    /// The range as it was asked for.
    pub(crate) fn asked(&self) -> DateRange {
        self.asked
    }

    /// The range as it can be answered where rows before `horizon` may be gone: an end before it that is no whole
    /// minute is rounded outward. With it what the answer says of that; `None` where nothing was rounded.
    pub(crate) fn answerable(&self, horizon: Option<i64>) -> (Span, Option<DateRange>) {
        let Span { from, to } = self.span;
        if self.span.is_empty() {
            return (self.span, None);
        }
        let is_gone =
            |end: &i64| horizon.is_some_and(|horizon| *end < horizon) && end.rem_euclid(MINUTE) != 0;
        let earlier = from.filter(is_gone).map(|from| from.div_euclid(MINUTE) * MINUTE);
        let later = to.filter(is_gone).map(|to| (to.div_euclid(MINUTE) + 1) * MINUTE);
        let rounded = DateRange {
            from: earlier.map(timestamp).or(self.asked.from),
            to: later.map(timestamp).or(self.asked.to),
        };
        let span = Span { from: earlier.or(from), to: later.or(to) };
        (span, (span != self.span).then_some(rounded))
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
        assert_eq!(bounds.span().from, Some(-62_135_596_800_000_000));
        assert_eq!(bounds.span().to, Some(253_402_300_800_000_000));
    }

    /// Of seconds, and nanoseconds of the first end.
    fn answerable(
        from: Option<(i64, i32)>,
        to: Option<i64>,
        horizon: Option<i64>,
    ) -> (Span, Option<DateRange>) {
        let from = from.map(|(seconds, nanos)| Timestamp { seconds, nanos });
        let to = to.map(|seconds| Timestamp { seconds, nanos: 0 });
        Bounds::new(from, to).answerable(horizon.map(|seconds| seconds * MICROSECONDS_PER_SECOND))
    }

    fn span(from: Option<i64>, to: Option<i64>) -> Span {
        let microseconds = |seconds: i64| seconds * MICROSECONDS_PER_SECOND;
        Span { from: from.map(microseconds), to: to.map(microseconds) }
    }

    fn range(from: Option<i64>, to: Option<i64>) -> DateRange {
        let at = |seconds| Timestamp { seconds, nanos: 0 };
        DateRange { from: from.map(at), to: to.map(at) }
    }

    #[test]
    fn an_end_between_minutes_before_the_horizon_is_rounded_outward() {
        let both = (span(Some(60), Some(180)), Some(range(Some(60), Some(180))));
        assert_eq!(answerable(Some((61, 0)), Some(179), Some(180)), both);
        let first = (span(Some(60), Some(200)), Some(range(Some(60), Some(200))));
        assert_eq!(answerable(Some((119, 0)), Some(200), Some(180)), first);
        let last = (span(None, Some(120)), Some(range(None, Some(120))));
        assert_eq!(answerable(None, Some(61), Some(180)), last);
        // Within one minute, and before the epoch.
        let minute = (span(Some(-60), Some(0)), Some(range(Some(-60), Some(0))));
        assert_eq!(answerable(Some((-2, 0)), Some(-1), Some(180)), minute);
    }

    #[test]
    fn what_rows_can_tell_is_not_rounded() {
        let at = |(seconds, nanos)| Timestamp { seconds, nanos };
        let exact = |from: Option<(i64, i32)>, to: Option<i64>, horizon| {
            let asked = Bounds::new(from.map(at), to.map(|to| at((to, 0)))).span();
            assert_eq!(answerable(from, to, horizon), (asked, None));
        };
        exact(Some((61, 5)), Some(179), None);
        exact(Some((60, 0)), Some(120), Some(180));
        exact(Some((181, 0)), Some(182), Some(180));
        exact(None, None, Some(180));
        // Empty, also where only finer digits than an event's lie between the ends.
        exact(Some((61, 0)), Some(61), Some(180));
        exact(Some((60, 999_999_001)), Some(61), Some(180));
    }

    #[test]
    fn a_microsecond_before_the_epoch_has_a_timestamp() {
        assert_eq!(timestamp(-1), Timestamp { seconds: -1, nanos: 999_999_000 });
        assert_eq!(timestamp(1_000_001), Timestamp { seconds: 1, nanos: 1_000 });
    }
}
