//! Time ranges of reports: as requested, in the store's microseconds, and as far as the store still has rows.

use prost_types::Timestamp;
use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{Condition, Expr, ExprTrait as _, Query},
};
use weir::contract::{event::v1::Source, reporting::v1::DateRange};
use weir_database::{
    entity::horizons::{Column, Entity},
    time_bucket::{Grain, SECOND},
};

use crate::store::Snapshot;

const NANOSECONDS_PER_MICROSECOND: i64 = 1_000;
/// 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z, the range of protobuf.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
const NANOSECONDS: std::ops::RangeInclusive<i32> = 0..=999_999_999;

/// Half-open, `[from, to)`, in µs since the Unix epoch; `None` is unbounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TimeRange {
    pub(crate) from: Option<i64>,
    pub(crate) to: Option<i64>,
}

impl TimeRange {
    /// Whether no time lies in the range.
    pub(crate) fn is_empty(&self) -> bool {
        self.from.zip(self.to).is_some_and(|(from, to)| from >= to)
    }

    /// Whether a time lies in the range.
    pub(crate) fn has(&self, time: i64) -> bool {
        self.from.is_none_or(|from| from <= time) && self.to.is_none_or(|to| time < to)
    }

    /// Whether both ends are whole minutes.
    pub(crate) fn is_of_whole_minutes(&self) -> bool {
        [self.from, self.to].into_iter().flatten().all(|end| Grain::Minute.is_start(end))
    }

    /// The condition that a time lies in the range.
    pub(crate) fn contains(&self, time: Expr) -> Condition {
        Condition::all()
            .add_option(self.from.map(|from| time.clone().gte(from)))
            .add_option(self.to.map(|to| time.lt(to)))
    }
}

/// The range of event time that a request selects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestedRange {
    range: TimeRange,
    requested: DateRange,
}

impl RequestedRange {
    /// The range between valid timestamps.
    ///
    /// Event times have no digits finer than microseconds. An event at or after a bound is therefore also at or after
    /// the next whole microsecond: both bounds are rounded up.
    pub(crate) fn new(from: Option<Timestamp>, to: Option<Timestamp>) -> Self {
        let range = TimeRange { from: from.map(ceiling), to: to.map(ceiling) };
        Self { range, requested: DateRange { from, to } }
    }

    /// The range in µs.
    pub(crate) fn range(&self) -> TimeRange {
        self.range
    }

    /// The range as the request states it.
    pub(crate) fn requested(&self) -> DateRange {
        self.requested
    }

    /// The range that can be answered where rows before `horizon` may be removed: an end before it that is no whole
    /// minute is rounded outward. The second value is the rounded range of the response; `None` where nothing was
    /// rounded.
    pub(crate) fn answerable(&self, horizon: Option<i64>) -> (TimeRange, Option<DateRange>) {
        let TimeRange { from, to } = self.range;
        if self.range.is_empty() {
            return (self.range, None);
        }
        let is_removed =
            |end: &i64| horizon.is_some_and(|horizon| *end < horizon) && !Grain::Minute.is_start(*end);
        let earlier = from.filter(is_removed).map(|from| Grain::Minute.start_of(from));
        let later = to.filter(is_removed).map(|to| Grain::Minute.next_start(to));
        let rounded = DateRange {
            from: earlier.map(timestamp).or(self.requested.from),
            to: later.map(timestamp).or(self.requested.to),
        };
        let range = TimeRange { from: earlier.or(from), to: later.or(to) };
        (range, (range != self.range).then_some(rounded))
    }
}

/// The horizons of both sources in one snapshot. From its horizon on a source has the rows of all its events; retention
/// removed older ones. Only rollups answer for the time before.
#[derive(Debug)]
pub(crate) struct Horizons(Vec<HorizonRow>);

#[derive(Debug, FromQueryResult)]
struct HorizonRow {
    source: i16,
    complete_from: i64,
}

impl Horizons {
    /// The horizons for a report that reads rows only at the ends of `range`. Nothing is read where both ends are whole
    /// minutes: rollups answer them.
    ///
    /// # Errors
    /// The database can't be reached or is too slow.
    pub(crate) async fn for_ends(snapshot: &Snapshot, range: &RequestedRange) -> Result<Self, DbErr> {
        if range.range().is_of_whole_minutes() { Ok(Self(Vec::new())) } else { Self::read(snapshot).await }
    }

    /// # Errors
    /// The database can't be reached or is too slow.
    pub(crate) async fn read(snapshot: &Snapshot) -> Result<Self, DbErr> {
        let query = Query::select().columns([Column::Source, Column::CompleteFrom]).from(Entity).take();
        Ok(Self(snapshot.all(&query).await?))
    }

    /// The time from which on every event of `source` (of both, where it is `None`) has its row: µs since the Unix
    /// epoch, a whole minute. `None` where no row was removed.
    pub(crate) fn of(&self, source: Option<Source>) -> Option<i64> {
        let matches =
            |row: &&HorizonRow| source.is_none_or(|source| i32::from(source) == i32::from(row.source));
        self.0.iter().filter(matches).map(|row| row.complete_from).max()
    }
}

/// Whether protobuf allows the timestamp.
pub(crate) fn is_valid(timestamp: &Timestamp) -> bool {
    SECONDS.contains(&timestamp.seconds) && NANOSECONDS.contains(&timestamp.nanos)
}

/// The first whole microsecond at or after a valid timestamp.
fn ceiling(timestamp: Timestamp) -> i64 {
    let nanoseconds = i64::from(timestamp.nanos);
    let microseconds = (nanoseconds + NANOSECONDS_PER_MICROSECOND - 1) / NANOSECONDS_PER_MICROSECOND;
    timestamp.seconds * SECOND + microseconds
}

/// The contract's timestamp of a microsecond since the Unix epoch.
pub(crate) fn timestamp(microseconds: i64) -> Timestamp {
    let nanoseconds = microseconds.rem_euclid(SECOND) * NANOSECONDS_PER_MICROSECOND;
    Timestamp {
        seconds: microseconds.div_euclid(SECOND),
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
        let range = RequestedRange::new(
            Some(Timestamp { seconds: *SECONDS.start(), nanos: 0 }),
            Some(Timestamp { seconds: *SECONDS.end(), nanos: *NANOSECONDS.end() }),
        );
        assert_eq!(range.range().from, Some(-62_135_596_800_000_000));
        assert_eq!(range.range().to, Some(253_402_300_800_000_000));
    }

    /// [`RequestedRange::answerable`] of seconds, with nanoseconds of the first end.
    fn answerable(
        from: Option<(i64, i32)>,
        to: Option<i64>,
        horizon: Option<i64>,
    ) -> (TimeRange, Option<DateRange>) {
        let from = from.map(|(seconds, nanos)| Timestamp { seconds, nanos });
        let to = to.map(|seconds| Timestamp { seconds, nanos: 0 });
        RequestedRange::new(from, to).answerable(horizon.map(|seconds| seconds * SECOND))
    }

    fn range(from: Option<i64>, to: Option<i64>) -> TimeRange {
        let microseconds = |seconds: i64| seconds * SECOND;
        TimeRange { from: from.map(microseconds), to: to.map(microseconds) }
    }

    fn dates(from: Option<i64>, to: Option<i64>) -> DateRange {
        let at = |seconds| Timestamp { seconds, nanos: 0 };
        DateRange { from: from.map(at), to: to.map(at) }
    }

    #[test]
    fn an_end_between_minutes_before_the_horizon_is_rounded_outward() {
        let both = (range(Some(60), Some(180)), Some(dates(Some(60), Some(180))));
        assert_eq!(answerable(Some((61, 0)), Some(179), Some(180)), both);
        let first = (range(Some(60), Some(200)), Some(dates(Some(60), Some(200))));
        assert_eq!(answerable(Some((119, 0)), Some(200), Some(180)), first);
        let last = (range(None, Some(120)), Some(dates(None, Some(120))));
        assert_eq!(answerable(None, Some(61), Some(180)), last);
        // Within one minute, and before the epoch.
        let minute = (range(Some(-60), Some(0)), Some(dates(Some(-60), Some(0))));
        assert_eq!(answerable(Some((-2, 0)), Some(-1), Some(180)), minute);
    }

    #[test]
    fn a_range_that_rows_can_answer_is_not_rounded() {
        let at = |(seconds, nanos)| Timestamp { seconds, nanos };
        let exact = |from: Option<(i64, i32)>, to: Option<i64>, horizon| {
            let requested = RequestedRange::new(from.map(at), to.map(|to| at((to, 0)))).range();
            assert_eq!(answerable(from, to, horizon), (requested, None));
        };
        exact(Some((61, 5)), Some(179), None);
        exact(Some((60, 0)), Some(120), Some(180));
        exact(Some((181, 0)), Some(182), Some(180));
        exact(None, None, Some(180));
        // Empty ranges, also where only digits finer than a microsecond lie between the ends.
        exact(Some((61, 0)), Some(61), Some(180));
        exact(Some((60, 999_999_001)), Some(61), Some(180));
    }

    #[test]
    fn a_microsecond_before_the_epoch_has_a_timestamp() {
        assert_eq!(timestamp(-1), Timestamp { seconds: -1, nanos: 999_999_000 });
        assert_eq!(timestamp(1_000_001), Timestamp { seconds: 1, nanos: 1_000 });
    }

    #[test]
    fn the_latest_horizon_of_the_requested_sources_counts() {
        let horizons = |rows: &[(i16, i64)]| {
            Horizons(
                rows.iter()
                    .map(|(source, complete_from)| HorizonRow {
                        source: *source,
                        complete_from: *complete_from,
                    })
                    .collect(),
            )
        };
        let both = horizons(&[(1, 60), (2, 120)]);
        let of = |horizons: &Horizons| {
            [None, Some(Source::Facebook), Some(Source::Tiktok)].map(|source| horizons.of(source))
        };
        assert_eq!(of(&both), [Some(120), Some(60), Some(120)]);
        assert_eq!(of(&horizons(&[(1, 60)])), [Some(60), Some(60), None]);
        assert_eq!(of(&horizons(&[])), [None; 3]);
    }
}
