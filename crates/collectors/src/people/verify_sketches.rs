//! Verification of the sketches against the rows, for `weir reconcile`.
//!
//! A sketch follows from its users alone. So the sketch of the rows must be the same as the stored one with the
//! observations that are in no sketch yet. Where the counts differ, reports do not use the sketch, and the job rebuilds
//! it.

use std::{collections::BTreeMap, ops::Range};

use weir_database::{
    people::{Attributes, Observation, Observations, PersonKey, Sketch},
    time_bucket::{Grain, HOUR, MINUTE},
};

use super::{
    Derived, Mismatch, PeopleCounts, PeopleError,
    rebuild::{CountsByBucket, ROWS_AT_ONCE, counts, deltas, sketch_from_rows, waiting},
    sketching::sketch_of,
    transaction::{BucketKey, JobTransaction, SketchBucket, with_connection},
};

/// The rows of a span that have a person, with their times.
const ROWS: &str = "SELECT occurred_at, user_id, age, gender, followers, device, country, city FROM stored_events \
    WHERE occurred_at >= $1 AND occurred_at < $2 AND source = $3 AND user_id <> ''";

/// A row of [`ROWS`].
type TimedRow =
    (i64, String, Option<i16>, Option<i16>, Option<i64>, Option<i16>, Option<String>, Option<String>);

/// The mismatches of one source and day, hour by hour. Minutes are compared with their rows; hours and days with the
/// buckets that they consist of. `asked` has the range of buckets to compare for each grain, `span` the part of the day
/// that has all rows.
pub(super) async fn sketch_mismatches(
    transaction: &mut JobTransaction,
    source: i16,
    span: Range<i64>,
    asked: &[Range<i64>; 3],
) -> Result<Vec<Mismatch>, PeopleError> {
    let deltas = deltas(transaction, source, Derived::Sketches).await?;
    let mut unsketched = unsketched(&deltas)?;
    let waiting = waiting(transaction, source, Derived::Sketches).await?;
    let counts_of = async |transaction: &mut JobTransaction, grain| {
        counts(transaction, source, Derived::Sketches, grain, span.clone(), &waiting).await
    };
    let minutes = counts_of(transaction, Grain::Minute).await?;
    let hours = counts_of(transaction, Grain::Hour).await?;
    let days = counts_of(transaction, Grain::Day).await?;
    let is_compared = |counts: &CountsByBucket, asked: &Range<i64>, start: &i64| {
        let is_right = counts.get(start).is_some_and(|(measured, counted)| measured == counted);
        is_right && asked.contains(start) && *start >= span.start
    };
    let (mut mismatches, mut day) = (Vec::new(), SketchBucket::default());
    for hour in hours.keys() {
        let of_hour: Vec<i64> = minutes.range(*hour..hour + HOUR).map(|(minute, _)| *minute).collect();
        let mut keys: Vec<BucketKey> =
            of_hour.iter().map(|minute| (Grain::Minute.number(), *minute)).collect();
        keys.push((Grain::Hour.number(), *hour));
        let mut stored = transaction.sketches(source, &keys).await?;
        let stored_hour = stored.pop().unwrap_or_default();
        let mut united = SketchBucket::default();
        stored.iter().for_each(|minute| united.add(minute));
        if is_compared(&hours, &asked[1], hour) {
            mismatches.extend(compare((Grain::Hour.number(), *hour), &stored_hour, &united));
        }
        day.add(&stored_hour);
        let compared: Vec<i64> =
            of_hour.iter().filter(|minute| is_compared(&minutes, &asked[0], minute)).copied().collect();
        let mut expected = sketches_from_rows(transaction, source, &compared, &minutes).await?;
        for (minute, mut stored) in of_hour.into_iter().zip(stored) {
            let Some(expected) = expected.remove(&minute) else { continue };
            stored.observe(&unsketched.remove(&minute).unwrap_or_default());
            mismatches.extend(compare((Grain::Minute.number(), minute), &stored, &expected));
        }
    }
    for start in days.keys().filter(|start| is_compared(&days, &asked[2], start)) {
        let key = (Grain::Day.number(), *start);
        let stored = transaction.sketches(source, &[key]).await?.pop().unwrap_or_default();
        mismatches.extend(compare(key, &stored, &day));
    }
    Ok(mismatches)
}

/// The sketches of the rows of some minutes of one hour, given with the rollups' counts.
async fn sketches_from_rows(
    transaction: &mut JobTransaction,
    source: i16,
    minutes: &[i64],
    counts: &CountsByBucket,
) -> Result<BTreeMap<i64, SketchBucket>, PeopleError> {
    let measured = |minute: &i64| counts.get(minute).map_or(0, |(measured, _)| *measured);
    let mut sketches: BTreeMap<i64, SketchBucket> =
        minutes.iter().map(|minute| (*minute, SketchBucket::default())).collect();
    let (Some(first), Some(last)) = (minutes.first(), minutes.last()) else { return Ok(sketches) };
    if minutes.iter().map(measured).sum::<i64>() > ROWS_AT_ONCE {
        for (minute, sketch) in &mut sketches {
            *sketch = sketch_from_rows(transaction, source, *minute, measured(minute)).await?;
        }
        return Ok(sketches);
    }
    let rows: Vec<TimedRow> = with_connection!(transaction, connection => {
        sqlx::query_as(ROWS).bind(first).bind(last + MINUTE).bind(source).fetch_all(connection).await?
    });
    let mut observations: BTreeMap<i64, Vec<Observation<'_>>> = BTreeMap::new();
    for (occurred_at, user_id, age, gender, followers, device, country, city) in &rows {
        let minute = occurred_at.div_euclid(MINUTE);
        let (country, city) = (country.as_deref(), city.as_deref());
        let attributes = Attributes::of_row(source, *age, *gender, *followers, *device, country, city);
        let observation = Observation { minute, key: PersonKey::of(user_id), attributes };
        observations.entry(minute * MINUTE).or_default().push(observation);
    }
    for (minute, sketch) in &mut sketches {
        sketch.observe(&observations.remove(minute).unwrap_or_default());
    }
    Ok(sketches)
}

impl SketchBucket {
    fn add(&mut self, other: &Self) {
        self.unite(other.observations, &other.users.finish(), &other.names);
    }

    fn observe(&mut self, observations: &[Observation<'_>]) {
        if observations.is_empty() {
            return;
        }
        let (users, names) = sketch_of(&observations.iter().collect::<Vec<_>>());
        self.unite(observations.len() as i64, &users, &names);
    }
}

/// Observations that are in no sketch, by the start of their minute.
fn unsketched(deltas: &[Vec<u8>]) -> Result<BTreeMap<i64, Vec<Observation<'_>>>, PeopleError> {
    let mut unsketched: BTreeMap<i64, Vec<Observation<'_>>> = BTreeMap::new();
    for delta in deltas {
        for observation in Observations::read(delta)? {
            unsketched.entry(observation.minute * MINUTE).or_default().push(observation);
        }
    }
    Ok(unsketched)
}

fn compare(bucket: BucketKey, stored: &SketchBucket, expected: &SketchBucket) -> Option<Mismatch> {
    let (written, right) = (stored.users.finish(), expected.users.finish());
    let misplaced = written.differences(&right);
    let counts =
        |sketch: &Sketch, observations| PeopleCounts { users: sketch.users().round() as u64, observations };
    // The counts agree with the rollups already.
    (misplaced > 0).then(|| Mismatch {
        bucket,
        written: counts(&written, stored.observations),
        expected: counts(&right, stored.observations),
        misplaced,
    })
}
