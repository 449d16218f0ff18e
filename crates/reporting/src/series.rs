//! Series of buckets in UTC, without gaps between the first and the last bucket with data.

use weir::contract::reporting::v1::GroupBy;
use weir_database::time_bucket::Grain;

use crate::error::{FieldError, ReportError};

/// The most buckets of a response.
pub(crate) const MAX_BUCKETS: u64 = 10_000;

/// The width of a series' buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grouping {
    Hour,
    Day,
}

impl Grouping {
    /// The grouping of a request; `None` where it wants no series.
    pub(crate) fn of(group_by: Option<GroupBy>) -> Option<Self> {
        match group_by? {
            GroupBy::Unspecified => None,
            GroupBy::Hour => Some(Self::Hour),
            GroupBy::Day => Some(Self::Day),
        }
    }

    /// The grain of the buckets. No wider bucket of the rollups is added up.
    pub(crate) fn grain(self) -> Grain {
        match self {
            Self::Hour => Grain::Hour,
            Self::Day => Grain::Day,
        }
    }

    /// The width in µs.
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
        ReportError::InvalidRequest(vec![FieldError::new("group_by", description)])
    }
}

/// Fills every gap with a default value. `values` have the starts of their buckets in µs, ascending.
///
/// # Errors
/// There would be more than [`MAX_BUCKETS`].
pub(crate) fn fill_gaps<T: Default>(
    values: Vec<(i64, T)>,
    grouping: Grouping,
) -> Result<Vec<(i64, T)>, ReportError> {
    let (Some((first, _)), Some((last, _))) = (values.first(), values.last()) else {
        return Ok(values);
    };
    let steps = last.abs_diff(*first) / grouping.width().unsigned_abs();
    if steps >= MAX_BUCKETS {
        return Err(grouping.too_many());
    }
    let starts = (*first..=*last).step_by(usize::try_from(grouping.width()).unwrap_or(usize::MAX));
    let mut values = values.into_iter().peekable();
    let value = |start| values.next_if(|(bucket, _)| *bucket == start).unwrap_or((start, T::default()));
    Ok(starts.map(value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = Grain::Hour.width();

    #[test]
    fn gaps_are_filled_and_nothing_is_added_outside() {
        let filled = fill_gaps(vec![(-HOUR, 5), (HOUR, 7)], Grouping::Hour).unwrap();
        assert_eq!(filled, [(-HOUR, 5), (0, 0), (HOUR, 7)]);
        assert_eq!(fill_gaps(vec![(0, 1)], Grouping::Day).unwrap(), [(0, 1)]);
        assert_eq!(fill_gaps(Vec::<(i64, u64)>::new(), Grouping::Day).unwrap(), []);
    }

    #[test]
    fn ten_thousand_buckets_are_allowed_and_one_more_is_not() {
        for (grouping, advice) in [(Grouping::Hour, "group by day"), (Grouping::Day, "shorter range")] {
            let last = |buckets: i64| vec![(0, 1), ((buckets - 1) * grouping.width(), 1)];
            assert_eq!(fill_gaps(last(10_000), grouping).unwrap().len(), 10_000);
            let ReportError::InvalidRequest(errors) = fill_gaps(last(10_001), grouping).unwrap_err() else {
                panic!("the request is invalid");
            };
            assert_eq!(errors[0].field, "group_by");
            assert!(errors[0].description.contains(advice), "{errors:?}");
        }
    }
}
