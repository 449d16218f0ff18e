//! Figures over time: buckets in UTC, without gaps between the first and the last one that has data.

use weir::contract::reporting::v1::GroupBy;

use crate::{
    error::{Fault, ReportError},
    plan::Grain,
};

/// How many buckets an answer has at most.
pub(crate) const MAX_BUCKETS: u64 = 10_000;

/// How wide a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grouping {
    Hour,
    Day,
}

impl Grouping {
    /// `None` where no series is asked for.
    pub(crate) fn of(group_by: Option<GroupBy>) -> Option<Self> {
        match group_by? {
            GroupBy::Unspecified => None,
            GroupBy::Hour => Some(Self::Hour),
            GroupBy::Day => Some(Self::Day),
        }
    }

    /// Of its buckets, which no bucket that is added up may be wider than.
    pub(crate) fn grain(self) -> Grain {
        match self {
            Self::Hour => Grain::Hour,
            Self::Day => Grain::Day,
        }
    }

    /// Microseconds.
    fn width(self) -> i64 {
        self.grain().width()
    }

    fn too_many(self) -> ReportError {
        let (unit, advice) = match self {
            Self::Hour => ("hours", "group by day"),
            Self::Day => ("days", "ask for a shorter range"),
        };
        let description =
            format!("more than {MAX_BUCKETS} {unit} from the first to the last with data; {advice}");
        ReportError::Question(vec![Fault::new("group_by", description)])
    }
}

/// Puts an empty figure into every gap. `figures` are those with data, by bucket start in microseconds,
/// ascending.
///
/// # Errors
/// There would be more than [`MAX_BUCKETS`].
pub(crate) fn fill<T: Default>(
    figures: Vec<(i64, T)>,
    grouping: Grouping,
) -> Result<Vec<(i64, T)>, ReportError> {
    let (Some((first, _)), Some((last, _))) = (figures.first(), figures.last()) else {
        return Ok(figures);
    };
    let steps = last.abs_diff(*first) / grouping.width().unsigned_abs();
    if steps >= MAX_BUCKETS {
        return Err(grouping.too_many());
    }
    let starts = (*first..=*last).step_by(usize::try_from(grouping.width()).unwrap_or(usize::MAX));
    let mut figures = figures.into_iter().peekable();
    let figure = |start| figures.next_if(|(bucket, _)| *bucket == start).unwrap_or((start, T::default()));
    Ok(starts.map(figure).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    #[test]
    fn gaps_are_filled_and_nothing_is_added_outside() {
        let filled = fill(vec![(-HOUR, 5), (HOUR, 7)], Grouping::Hour).unwrap();
        assert_eq!(filled, [(-HOUR, 5), (0, 0), (HOUR, 7)]);
        assert_eq!(fill(vec![(0, 1)], Grouping::Day).unwrap(), [(0, 1)]);
        assert_eq!(fill(Vec::<(i64, u64)>::new(), Grouping::Day).unwrap(), []);
    }

    #[test]
    fn ten_thousand_buckets_are_an_answer_and_one_more_is_not() {
        for (grouping, advice) in [(Grouping::Hour, "group by day"), (Grouping::Day, "shorter range")] {
            let last = |buckets: i64| vec![(0, 1), ((buckets - 1) * grouping.width(), 1)];
            assert_eq!(fill(last(10_000), grouping).unwrap().len(), 10_000);
            let ReportError::Question(faults) = fill(last(10_001), grouping).unwrap_err() else {
                panic!("the question is at fault");
            };
            assert_eq!(faults[0].field, "group_by");
            assert!(faults[0].description.contains(advice), "{faults:?}");
        }
    }
}
