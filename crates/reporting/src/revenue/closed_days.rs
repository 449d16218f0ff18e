//! Closed days of a range, and its rest: the ranking of the days hardly ever changes and stays cached.
//!
//! No amount is negative. A campaign among the first of the whole range therefore has sold something in the rest, or is
//! among the first of the days alone. Those few and the campaigns of the rest are all candidates.

use std::{cmp::Reverse, collections::HashSet};

use weir_database::time_bucket::Grain;

use super::queries::Revenue;
use crate::{
    plan::{self, Granularity},
    time_range::TimeRange,
};

/// Fewer days are not worth two rankings: the rest may be as long as two days and today.
const MIN_DAYS: i64 = 4;

/// A range in two parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClosedDays {
    /// Whole days that are over: only late sales change them.
    pub(super) days: TimeRange,
    /// The range before and behind the days, in one or two parts.
    pub(super) rest: Vec<TimeRange>,
}

impl ClosedDays {
    /// The parts of `range` at the time `now`, in µs since the Unix epoch; `None` where too few days are over, or where
    /// there is no rest.
    pub(super) fn of(range: TimeRange, now: i64) -> Option<Self> {
        let is_days = |piece: &plan::Piece| piece.granularity == Granularity::Buckets(Grain::Day);
        let days = plan::pieces(range, Grain::Day).into_iter().find(is_days)?.range;
        let today = Grain::Day.start_of(now);
        let end = days.to.map_or(today, |to| to.min(today));
        if days.from.is_some_and(|from| end - from < MIN_DAYS * Grain::Day.width()) {
            return None;
        }
        let before = days.from.map(|from| TimeRange { from: range.from, to: Some(from) });
        let behind = TimeRange { from: Some(end), to: range.to };
        let rest = before.into_iter().chain([behind]).filter(|part| !part.is_empty());
        let rest: Vec<TimeRange> = rest.collect();
        (!rest.is_empty()).then_some(Self { days: TimeRange { to: Some(end), ..days }, rest })
    }
}

/// The first `limit` campaigns of a whole range. `of_rest` has the top campaigns with revenue in the rest, and their
/// revenue in the whole range. `of_days` has the top campaigns of the days, and their revenue in those days.
pub(super) fn merge(
    of_rest: Vec<(String, Revenue)>,
    of_days: &[(String, Revenue)],
    limit: usize,
) -> Vec<(String, Revenue)> {
    let known: HashSet<&str> = of_rest.iter().map(|(name, _)| name.as_str()).collect();
    // A campaign of the rest that is not among its first may come back here with less than its revenue: it stays behind
    // the first ones.
    let others = of_days.iter().filter(|(name, _)| !known.contains(name.as_str()));
    let others: Vec<(String, Revenue)> = others.cloned().collect();
    let mut merged = of_rest;
    merged.extend(others);
    merged.sort_by(|(name, revenue), (other, others)| {
        (Reverse(revenue.total), name).cmp(&(Reverse(others.total), other))
    });
    merged.truncate(limit);
    merged
}

#[cfg(test)]
mod tests {
    use weir::contract::Money;

    use super::*;

    const DAY: i64 = Grain::Day.width();
    const NOW: i64 = 20 * DAY + DAY / 2;

    fn range(from: impl Into<Option<i64>>, to: impl Into<Option<i64>>) -> TimeRange {
        TimeRange { from: from.into(), to: to.into() }
    }

    fn parts(from: impl Into<Option<i64>>, to: impl Into<Option<i64>>) -> Option<ClosedDays> {
        ClosedDays::of(range(from, to), NOW)
    }

    #[test]
    fn today_and_partial_days_are_the_rest() {
        let expected = |days, rest: &[TimeRange]| Some(ClosedDays { days, rest: rest.to_vec() });
        let (from, to) = (3 * DAY - 1, 9 * DAY + 1);
        assert_eq!(
            parts(from, to),
            expected(range(3 * DAY, 9 * DAY), &[range(from, 3 * DAY), range(9 * DAY, to)])
        );
        assert_eq!(parts(3 * DAY, None), expected(range(3 * DAY, 20 * DAY), &[range(20 * DAY, None)]));
        assert_eq!(parts(None, 21 * DAY), expected(range(None, 20 * DAY), &[range(20 * DAY, 21 * DAY)]));
        assert_eq!(parts(None, None), expected(range(None, 20 * DAY), &[range(20 * DAY, None)]));
    }

    #[test]
    fn a_range_of_few_days_or_of_days_alone_is_one_part() {
        assert_eq!(parts(3 * DAY, 9 * DAY), None);
        assert_eq!(parts(None, 20 * DAY), None);
        assert_eq!(parts(3 * DAY, 7 * DAY - 1), None);
        assert_eq!(parts(17 * DAY, None), None);
        assert_eq!(parts(21 * DAY, 40 * DAY), None);
        assert_eq!(parts(5, 5), None);
    }

    #[test]
    fn the_first_of_both_parts_are_the_first_of_the_range() {
        let of = |name: &str, total| (name.to_owned(), Revenue { total: Money(total), transactions: 1 });
        let days = [of("a", 9), of("d", 7), of("b", 5)];
        let names = |rest, limit| {
            let merged = merge(rest, &days, limit);
            merged.into_iter().map(|(name, revenue)| (name, revenue.total.0)).collect::<Vec<_>>()
        };
        let expected = |names: &[(&str, i128)]| {
            names.iter().map(|(name, total)| ((*name).to_owned(), *total)).collect::<Vec<_>>()
        };
        assert_eq!(names(vec![of("b", 8), of("c", 7)], 3), expected(&[("a", 9), ("b", 8), ("c", 7)]));
        assert_eq!(
            names(vec![of("b", 8), of("c", 7)], 9),
            expected(&[("a", 9), ("b", 8), ("c", 7), ("d", 7)])
        );
        assert_eq!(names(Vec::new(), 1), expected(&[("a", 9)]));
    }
}
