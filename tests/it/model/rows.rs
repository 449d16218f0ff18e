//! The rows of a report: their order, and the buckets of a series.

use std::{cmp::Reverse, collections::BTreeMap, ops::AddAssign};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::query::{Width, instant};

/// At most `limit` rows, ordered by size descending, then by name.
pub(super) fn by_size_then_name<Name: Ord + Clone>(
    sizes: impl IntoIterator<Item = (Name, u64)>,
    limit: usize,
) -> Vec<(Name, u64)> {
    let mut rows: Vec<_> = sizes.into_iter().collect();
    rows.sort_by_key(|(name, size)| (Reverse(*size), name.clone()));
    rows.truncate(limit);
    rows
}

/// The start of the bucket that contains `at`.
pub(super) fn bucket(at: DateTime<Utc>, width: Width) -> DateTime<Utc> {
    let seconds = width.duration().num_seconds();
    DateTime::from_timestamp(at.timestamp().div_euclid(seconds) * seconds, 0)
        .expect("the bucket starts near the event's timestamp")
}

/// The rows from the first to the last bucket with data, empty buckets between them included.
pub(super) fn series<V: AddAssign + Default + Copy>(
    values: impl Iterator<Item = (DateTime<Utc>, V)>,
    width: Width,
    row: impl Fn(String, V) -> Value,
) -> Value {
    let mut buckets = BTreeMap::<_, V>::new();
    for (start, value) in values {
        *buckets.entry(start).or_default() += value;
    }
    let Some((&first, &last)) = buckets.keys().next().zip(buckets.keys().next_back()) else {
        return json!([]);
    };
    let starts = std::iter::successors(Some(first), |start| Some(*start + width.duration()));
    let rows = starts.take_while(|start| *start <= last);
    rows.map(|start| row(instant(start), buckets.get(&start).copied().unwrap_or_default())).collect()
}
