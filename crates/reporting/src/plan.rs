//! Plans of ranges: the coarsest buckets that fit a range, and rows where it begins or ends between two whole minutes.

use weir_database::time_bucket::Grain;

use crate::time_range::TimeRange;

/// The granularity of the data that answers a piece of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Granularity {
    /// Rows of events: less than a minute.
    Rows,
    /// Whole buckets.
    Buckets(Grain),
}

/// A part of a range with one granularity; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) granularity: Granularity,
    pub(crate) range: TimeRange,
}

/// The pieces of `range`, in order, without gap or overlap: at most rows, minutes, hours, days, hours, minutes, rows.
/// No bucket is wider than `coarsest`.
pub(crate) fn pieces(range: TimeRange, coarsest: Grain) -> Vec<Piece> {
    let mut pieces = Vec::new();
    divide(range, Some(coarsest), &mut pieces);
    pieces
}

/// Plans the whole buckets of `grain` in the middle, and both sides with finer buckets.
fn divide(range: TimeRange, grain: Option<Grain>, pieces: &mut Vec<Piece>) {
    if range.is_empty() {
        return;
    }
    let Some(grain) = grain else {
        return pieces.push(Piece { granularity: Granularity::Rows, range });
    };
    let first = range.from.map(|from| grain.next_start(from));
    let last = range.to.map(|to| grain.start_of(to));
    let is_within_one_bucket = first.zip(last).is_some_and(|(first, last)| first > last);
    if is_within_one_bucket {
        return divide(range, grain.finer(), pieces);
    }
    let middle = TimeRange { from: first, to: last };
    // Nothing is left on the side of an unbounded end.
    if first.is_some() {
        divide(TimeRange { from: range.from, to: first }, grain.finer(), pieces);
    }
    if !middle.is_empty() {
        pieces.push(Piece { granularity: Granularity::Buckets(grain), range: middle });
    }
    if last.is_some() {
        divide(TimeRange { from: last, to: range.to }, grain.finer(), pieces);
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

    use weir_database::time_bucket::{DAY, HOUR, MINUTE};

    use super::*;

    fn range(from: impl Into<Option<i64>>, to: impl Into<Option<i64>>) -> TimeRange {
        TimeRange { from: from.into(), to: to.into() }
    }

    /// A random end: unbounded, the start of a bucket of some width, just beside one, or any time; on either side of
    /// the epoch.
    fn end(random: &mut StdRng) -> Option<i64> {
        let width = *[1, MINUTE, HOUR, DAY].choose(random).unwrap();
        let days = 3 * DAY / width;
        let beside = *[-1, 0, 0, 0, 1].choose(random).unwrap();
        random.random_bool(0.9).then(|| random.random_range(-days..days) * width + beside)
    }

    fn assert_covered(range: TimeRange, coarsest: Grain) {
        let pieces = pieces(range, coarsest);
        let mut reached = range.from;
        for (index, piece) in pieces.iter().enumerate() {
            assert_eq!(piece.range.from, reached, "a gap or an overlap before piece {index} of {pieces:?}");
            assert!(index == 0 || reached.is_some(), "a piece before {index} is unbounded in {pieces:?}");
            assert!(!piece.range.is_empty(), "{pieces:?}");
            reached = piece.range.to;
        }
        if pieces.is_empty() {
            assert!(range.is_empty(), "no piece of {range:?}");
        } else {
            assert_eq!(reached, range.to, "{pieces:?} of {range:?}");
        }
        assert!(pieces.len() <= 7, "{pieces:?}");
        pieces.iter().for_each(|piece| assert_sound(piece, coarsest));
    }

    fn assert_sound(piece: &Piece, coarsest: Grain) {
        let TimeRange { from, to } = piece.range;
        match piece.granularity {
            Granularity::Rows => assert!(to.unwrap() - from.unwrap() < MINUTE, "{piece:?} is long"),
            Granularity::Buckets(grain) => {
                let is_whole = |end: i64| grain.is_start(end);
                assert!(
                    grain <= coarsest && from.is_none_or(is_whole) && to.is_none_or(is_whole),
                    "{piece:?}"
                );
            }
        }
        let next = match piece.granularity {
            Granularity::Rows => Some(Grain::Minute),
            Granularity::Buckets(Grain::Minute) => Some(Grain::Hour),
            Granularity::Buckets(Grain::Hour) => Some(Grain::Day),
            Granularity::Buckets(Grain::Day) => None,
        };
        // Otherwise a bucket of the next grain would have fitted.
        if let Some(next) = next.filter(|next| *next <= coarsest) {
            let first = next.start_of(from.unwrap());
            let last = next.start_of(to.unwrap() - 1);
            assert_eq!(first, last, "{piece:?} leaves its {next:?}");
        }
    }

    #[test]
    fn the_pieces_of_any_range_cover_it_once_and_in_order() {
        let mut random = StdRng::seed_from_u64(3);
        for _ in 0..20_000 {
            let (one, other) = (end(&mut random), end(&mut random));
            for coarsest in Grain::ALL {
                assert_covered(range(one, other), coarsest);
                assert_covered(range(other, one), coarsest);
            }
        }
    }

    #[test]
    fn a_range_is_rows_minutes_hours_days_and_back() {
        let (hour, day) = (HOUR, DAY);
        let all = pieces(range(day - hour - MINUTE - 1, 3 * day + hour + MINUTE + 1), Grain::Day);
        let buckets = Granularity::Buckets;
        let expected = [
            (Granularity::Rows, day - hour - MINUTE - 1, day - hour - MINUTE),
            (buckets(Grain::Minute), day - hour - MINUTE, day - hour),
            (buckets(Grain::Hour), day - hour, day),
            (buckets(Grain::Day), day, 3 * day),
            (buckets(Grain::Hour), 3 * day, 3 * day + hour),
            (buckets(Grain::Minute), 3 * day + hour, 3 * day + hour + MINUTE),
            (Granularity::Rows, 3 * day + hour + MINUTE, 3 * day + hour + MINUTE + 1),
        ];
        assert_eq!(
            all,
            expected.map(|(granularity, from, to)| Piece { granularity, range: range(from, to) })
        );
    }

    #[test]
    fn an_unbounded_range_is_one_piece_of_the_coarsest_buckets() {
        for coarsest in Grain::ALL {
            let all = Piece { granularity: Granularity::Buckets(coarsest), range: range(None, None) };
            assert_eq!(pieces(range(None, None), coarsest), [all]);
        }
    }
}
