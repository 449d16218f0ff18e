//! How a range of event time is put together: from the coarsest buckets that fit, and from rows where it begins or
//! ends between two whole minutes.

use crate::time_range::Span;

const MINUTE: i64 = 60_000_000;

/// How wide a bucket of the rollups is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grain {
    Minute,
    Hour,
    Day,
}

impl Grain {
    /// As the rollups number it.
    pub(crate) fn number(self) -> i16 {
        match self {
            Self::Minute => 1,
            Self::Hour => 2,
            Self::Day => 3,
        }
    }

    /// Microseconds.
    pub(crate) const fn width(self) -> i64 {
        match self {
            Self::Minute => MINUTE,
            Self::Hour => 60 * MINUTE,
            Self::Day => 24 * 60 * MINUTE,
        }
    }

    fn finer(self) -> Option<Self> {
        match self {
            Self::Minute => None,
            Self::Hour => Some(Self::Minute),
            Self::Day => Some(Self::Hour),
        }
    }
}

/// What a piece of a range is answered from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Rows of events: less than a minute of them.
    Rows,
    /// Whole buckets.
    Buckets(Grain),
}

/// A part of a range that has one origin; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) origin: Origin,
    pub(crate) span: Span,
}

/// The pieces of `span`, in order, without gap or overlap: at most rows, minutes, hours, days, hours, minutes, rows.
/// No bucket is wider than `coarsest`.
pub(crate) fn pieces(span: Span, coarsest: Grain) -> Vec<Piece> {
    let mut pieces = Vec::new();
    divide(span, Some(coarsest), &mut pieces);
    pieces
}

/// Takes the whole buckets of `grain` out of the middle and leaves both sides to finer ones.
fn divide(span: Span, grain: Option<Grain>, pieces: &mut Vec<Piece>) {
    if span.is_empty() {
        return;
    }
    let Some(grain) = grain else {
        return pieces.push(Piece { origin: Origin::Rows, span });
    };
    let width = grain.width();
    let first = span.from.map(|from| -(-from).div_euclid(width) * width);
    let last = span.to.map(|to| to.div_euclid(width) * width);
    let is_within_one_bucket = first.zip(last).is_some_and(|(first, last)| first > last);
    if is_within_one_bucket {
        return divide(span, grain.finer(), pieces);
    }
    let middle = Span { from: first, to: last };
    // An end that is unbounded leaves nothing on its side.
    if first.is_some() {
        divide(Span { from: span.from, to: first }, grain.finer(), pieces);
    }
    if !middle.is_empty() {
        pieces.push(Piece { origin: Origin::Buckets(grain), span: middle });
    }
    if last.is_some() {
        divide(Span { from: last, to: span.to }, grain.finer(), pieces);
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

    use super::*;

    const GRAINS: [Grain; 3] = [Grain::Minute, Grain::Hour, Grain::Day];

    fn span(from: impl Into<Option<i64>>, to: impl Into<Option<i64>>) -> Span {
        Span { from: from.into(), to: to.into() }
    }

    /// Unbounded, on a whole bucket of some width or just beside it, or anywhere, on either side of the epoch.
    fn end(random: &mut StdRng) -> Option<i64> {
        let width = *[1, MINUTE, 60 * MINUTE, 24 * 60 * MINUTE].choose(random).unwrap();
        let days = 3 * 24 * 60 * MINUTE / width;
        let beside = *[-1, 0, 0, 0, 1].choose(random).unwrap();
        random.random_bool(0.9).then(|| random.random_range(-days..days) * width + beside)
    }

    fn assert_covered(span: Span, coarsest: Grain) {
        let pieces = pieces(span, coarsest);
        let mut reached = span.from;
        for (place, piece) in pieces.iter().enumerate() {
            assert_eq!(piece.span.from, reached, "a gap or an overlap before piece {place} of {pieces:?}");
            assert!(place == 0 || reached.is_some(), "something before {place} is unbounded in {pieces:?}");
            assert!(!piece.span.is_empty(), "{pieces:?}");
            reached = piece.span.to;
        }
        if pieces.is_empty() {
            assert!(span.is_empty(), "nothing of {span:?}");
        } else {
            assert_eq!(reached, span.to, "{pieces:?} of {span:?}");
        }
        assert!(pieces.len() <= 7, "{pieces:?}");
        pieces.iter().for_each(|piece| assert_sound(piece, coarsest));
    }

    fn assert_sound(piece: &Piece, coarsest: Grain) {
        let Span { from, to } = piece.span;
        match piece.origin {
            Origin::Rows => assert!(to.unwrap() - from.unwrap() < MINUTE, "{piece:?} is long"),
            Origin::Buckets(grain) => {
                let is_whole = |end: i64| end.rem_euclid(grain.width()) == 0;
                assert!(
                    grain <= coarsest && from.is_none_or(is_whole) && to.is_none_or(is_whole),
                    "{piece:?}"
                );
            }
        }
        let next = match piece.origin {
            Origin::Rows => Some(Grain::Minute),
            Origin::Buckets(Grain::Minute) => Some(Grain::Hour),
            Origin::Buckets(Grain::Hour) => Some(Grain::Day),
            Origin::Buckets(Grain::Day) => None,
        };
        // Otherwise a bucket of the next grain would have fitted.
        if let Some(next) = next.filter(|next| *next <= coarsest) {
            let first = from.unwrap().div_euclid(next.width());
            let last = (to.unwrap() - 1).div_euclid(next.width());
            assert_eq!(first, last, "{piece:?} leaves its {next:?}");
        }
    }

    #[test]
    fn the_pieces_of_any_range_cover_it_once_and_in_order() {
        let mut random = StdRng::seed_from_u64(3);
        for _ in 0..20_000 {
            let (one, other) = (end(&mut random), end(&mut random));
            for coarsest in GRAINS {
                assert_covered(span(one, other), coarsest);
                assert_covered(span(other, one), coarsest);
            }
        }
    }

    #[test]
    fn a_range_is_rows_minutes_hours_days_and_back() {
        let (hour, day) = (60 * MINUTE, 24 * 60 * MINUTE);
        let all = pieces(span(day - hour - MINUTE - 1, 3 * day + hour + MINUTE + 1), Grain::Day);
        let buckets = Origin::Buckets;
        let expected = [
            (Origin::Rows, day - hour - MINUTE - 1, day - hour - MINUTE),
            (buckets(Grain::Minute), day - hour - MINUTE, day - hour),
            (buckets(Grain::Hour), day - hour, day),
            (buckets(Grain::Day), day, 3 * day),
            (buckets(Grain::Hour), 3 * day, 3 * day + hour),
            (buckets(Grain::Minute), 3 * day + hour, 3 * day + hour + MINUTE),
            (Origin::Rows, 3 * day + hour + MINUTE, 3 * day + hour + MINUTE + 1),
        ];
        assert_eq!(all, expected.map(|(origin, from, to)| Piece { origin, span: span(from, to) }));
    }

    #[test]
    fn what_is_unbounded_needs_the_coarsest_buckets_alone() {
        for coarsest in GRAINS {
            let all = Piece { origin: Origin::Buckets(coarsest), span: span(None, None) };
            assert_eq!(pieces(span(None, None), coarsest), [all]);
        }
    }
}
