//! The days of a range that are over, and the rest of it, so that what changes is ranked without ranking what does not.
//!
//! No amount is negative: a campaign that is among the first of the whole range has sold something in the rest of it,
//! or is among the first of the days alone. So those few and the campaigns of the rest are all that there is to look at.

use std::{cmp::Reverse, collections::HashSet};

use super::{Revenue, ranking_cache::Ranking};
use crate::{
    plan::{self, Grain, Origin},
    time_range::Span,
};

/// Fewer are not worth two rankings: the rest may be as long as two days and today.
const FEWEST_DAYS: i64 = 4;

/// A range in two parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    /// Whole days that are over: sales of them are late ones.
    pub(super) days: Span,
    /// What lies before and behind them, one or two spans.
    pub(super) rest: Vec<Span>,
}

impl Settled {
    /// The parts of `span` at a moment, in microseconds since the Unix epoch; `None` where too few of its days are over,
    /// or nothing else is in it.
    pub(super) fn of(span: Span, now: i64) -> Option<Self> {
        let is_days = |piece: &plan::Piece| piece.origin == Origin::Buckets(Grain::Day);
        let days = plan::pieces(span, Grain::Day).into_iter().find(is_days)?.span;
        let width = Grain::Day.width();
        let today = now.div_euclid(width) * width;
        let end = days.to.map_or(today, |to| to.min(today));
        if days.from.is_some_and(|from| end - from < FEWEST_DAYS * width) {
            return None;
        }
        let before = days.from.map(|from| Span { from: span.from, to: Some(from) });
        let behind = Span { from: Some(end), to: span.to };
        let rest = before.into_iter().chain([behind]).filter(|span| !span.is_empty());
        let rest: Vec<Span> = rest.collect();
        (!rest.is_empty()).then_some(Self { days: Span { to: Some(end), ..days }, rest })
    }
}

/// The first `limit` of a whole range: `of_rest` are the first of the campaigns that have something in its rest, with
/// what they have in all of it, `of_days` the first of its days, with what they have in those.
pub(super) fn merged(
    of_rest: Vec<(String, Revenue)>,
    of_days: &Ranking,
    limit: usize,
) -> Vec<(String, Revenue)> {
    let known: HashSet<&str> = of_rest.iter().map(|(name, _)| name.as_str()).collect();
    // One that is in the rest and not among the first there stays behind them with less than it has.
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
    use super::*;
    use crate::decimal::Money;

    const DAY: i64 = Grain::Day.width();
    const NOW: i64 = 20 * DAY + DAY / 2;

    fn span(from: impl Into<Option<i64>>, to: impl Into<Option<i64>>) -> Span {
        Span { from: from.into(), to: to.into() }
    }

    fn settled(from: impl Into<Option<i64>>, to: impl Into<Option<i64>>) -> Option<Settled> {
        Settled::of(span(from, to), NOW)
    }

    #[test]
    fn today_and_ragged_ends_are_the_rest() {
        let parted = |days, rest: &[Span]| Some(Settled { days, rest: rest.to_vec() });
        let (from, to) = (3 * DAY - 1, 9 * DAY + 1);
        assert_eq!(
            settled(from, to),
            parted(span(3 * DAY, 9 * DAY), &[span(from, 3 * DAY), span(9 * DAY, to)])
        );
        assert_eq!(settled(3 * DAY, None), parted(span(3 * DAY, 20 * DAY), &[span(20 * DAY, None)]));
        assert_eq!(settled(None, 21 * DAY), parted(span(None, 20 * DAY), &[span(20 * DAY, 21 * DAY)]));
        assert_eq!(settled(None, None), parted(span(None, 20 * DAY), &[span(20 * DAY, None)]));
    }

    #[test]
    fn few_days_or_nothing_but_days_are_one_part() {
        assert_eq!(settled(3 * DAY, 9 * DAY), None);
        assert_eq!(settled(None, 20 * DAY), None);
        assert_eq!(settled(3 * DAY, 7 * DAY - 1), None);
        assert_eq!(settled(17 * DAY, None), None);
        assert_eq!(settled(21 * DAY, 40 * DAY), None);
        assert_eq!(settled(5, 5), None);
    }

    #[test]
    fn the_first_of_both_parts_are_the_first_of_all() {
        let of = |name: &str, total| (name.to_owned(), Revenue { total: Money(total), transactions: 1 });
        let days = Ranking::from([of("a", 9), of("d", 7), of("b", 5)]);
        let names = |rest, limit| {
            let merged = merged(rest, &days, limit);
            merged.into_iter().map(|(name, revenue)| (name, revenue.total.0)).collect::<Vec<_>>()
        };
        let told = |names: &[(&str, i128)]| {
            names.iter().map(|(name, total)| ((*name).to_owned(), *total)).collect::<Vec<_>>()
        };
        assert_eq!(names(vec![of("b", 8), of("c", 7)], 3), told(&[("a", 9), ("b", 8), ("c", 7)]));
        assert_eq!(names(vec![of("b", 8), of("c", 7)], 9), told(&[("a", 9), ("b", 8), ("c", 7), ("d", 7)]));
        assert_eq!(names(Vec::new(), 1), told(&[("a", 9)]));
    }
}
