//! Sketching: adds the observations of deltas to the sketches of their buckets, before they are folded into sets.
//!
//! It costs little, because a sketch looks at most observations only once. So it keeps up with a load that folding can't
//! keep up with, and a day of too many users for sets is known before its users get numbers.

use std::collections::BTreeMap;

use weir_database::{
    people::{Observation, Observations, PersonKey, Sketch, SketchNames, SketchUnion},
    time_bucket::{Grain, MINUTE},
};

use super::{
    Derived, People, PeopleError, StepOutcome,
    minutes::{buckets_of_minute, consecutive},
    transaction::{BucketKey, JobTransaction, SketchBucket, parts_of, with_connection},
};

/// The oldest deltas that are in no sketch yet.
const UNSKETCHED: &str = "SELECT id, data FROM people_deltas \
    WHERE source = $1 AND erasure_id IS NULL AND NOT sketched AND id <= $2 ORDER BY id LIMIT 16";
const MARK_SKETCHED: &str = "UPDATE people_deltas SET sketched = $2 WHERE id = $1";

/// The observations of different minutes that are sketched at once: each user is in the sketch of the minute, of the hour
/// and of the day. A single minute may have more, because a sketch has 8,192 users at most.
const OBSERVATIONS_AT_ONCE: i64 = 16_384;
/// The room of a minute besides its users, as observations. Old events may be of thousands of minutes.
const LEAST_PER_MINUTE: i64 = 16;

impl SketchBucket {
    pub(super) fn unite(&mut self, observations: i64, users: &Sketch, names: &SketchNames) {
        self.observations += observations;
        self.users.unite(users);
        self.names.extend(names, users);
    }
}

impl People {
    /// Adds the oldest deltas of a source that are in no sketch yet to the sketches.
    ///
    /// # Errors
    /// The database can't be written now. Nothing has changed then.
    pub async fn sketch(&self, source: i16) -> Result<StepOutcome, PeopleError> {
        let Some(mut transaction) = self.try_begin().await? else { return Ok(StepOutcome::Busy) };
        let sketched = sketch_deltas(&mut transaction, source, i64::MAX).await?;
        transaction.commit().await?;
        Ok(if sketched == 0 { StepOutcome::Idle } else { StepOutcome::Changed(sketched) })
    }
}

/// Sketches the oldest deltas with ids up to `last` that are in no sketch yet. Returns the number of observations.
pub(super) async fn sketch_deltas(
    transaction: &mut JobTransaction,
    source: i16,
    last: i64,
) -> Result<u64, PeopleError> {
    let deltas: Vec<(i64, Vec<u8>)> = with_connection!(&mut *transaction, connection => {
        sqlx::query_as(UNSKETCHED).bind(source).bind(last).fetch_all(connection).await?
    });
    let observations = observations_of(&deltas)?;
    add_to_sketches(transaction, source, &observations, 1).await?;
    for (id, _) in &deltas {
        with_connection!(&mut *transaction, connection => {
            sqlx::query(MARK_SKETCHED).bind(id).bind(true).execute(connection).await?;
        });
    }
    Ok(observations.len() as u64)
}

/// The observations of deltas, which are given with their ids.
pub(super) fn observations_of(deltas: &[(i64, Vec<u8>)]) -> Result<Vec<Observation<'_>>, PeopleError> {
    let mut observations = Vec::new();
    for (_, data) in deltas {
        observations.extend(Observations::read(data)?);
    }
    Ok(observations)
}

/// Adds observations to the sketches of every grain. Each counts as `weight` events. Observations before the horizon are
/// left out, because no report can ask for them.
pub(super) async fn add_to_sketches(
    transaction: &mut JobTransaction,
    source: i16,
    observations: &[Observation<'_>],
    weight: i64,
) -> Result<(), PeopleError> {
    let horizon = transaction.horizon(source).await?.div_euclid(MINUTE);
    let mut minutes: BTreeMap<i64, Vec<&Observation<'_>>> = BTreeMap::new();
    for observation in observations.iter().filter(|observation| observation.minute >= horizon) {
        minutes.entry(observation.minute).or_default().push(observation);
    }
    let minutes: Vec<(i64, Vec<&Observation<'_>>)> = minutes.into_iter().collect();
    let size = |(_, observations): &(i64, Vec<_>)| observations.len() as i64 + LEAST_PER_MINUTE;
    for minutes in parts_of(&minutes, size, OBSERVATIONS_AT_ONCE) {
        let mut added: BTreeMap<BucketKey, SketchBucket> = BTreeMap::new();
        for (minute, observations) in minutes {
            let (users, names) = sketch_of(observations);
            for bucket in buckets_of_minute(*minute) {
                added.entry(bucket).or_default().unite(observations.len() as i64 * weight, &users, &names);
            }
        }
        unite_with_stored(transaction, source, added).await?;
    }
    Ok(())
}

async fn unite_with_stored(
    transaction: &mut JobTransaction,
    source: i16,
    added: BTreeMap<BucketKey, SketchBucket>,
) -> Result<(), PeopleError> {
    let (buckets, added): (Vec<BucketKey>, Vec<SketchBucket>) = added.into_iter().unzip();
    let mut added = added.into_iter();
    for part in transaction.parts(Derived::Sketches, source, &buckets).await? {
        let mut stored = transaction.sketches(source, part).await?;
        for (stored, added) in stored.iter_mut().zip(&mut added) {
            stored.unite(added.observations, &added.users.finish(), &added.names);
        }
        transaction.write_sketches(source, part.iter().copied().zip(stored)).await?;
    }
    Ok(())
}

/// The sketch of some observations, with the names of those that are in it.
pub(super) fn sketch_of(observations: &[&Observation<'_>]) -> (Sketch, SketchNames) {
    let mut names = SketchNames::default();
    let users = observations.iter().map(|Observation { key, attributes, .. }| {
        let hashes = attributes.hashes();
        names.add(attributes, hashes);
        (*key, hashes)
    });
    let mut union = SketchUnion::default();
    union.observe(users);
    let sketch = union.finish();
    names.retain(&sketch);
    (sketch, names)
}

/// Takes a person out of the sketches of these buckets, and so many observations out of each.
pub(super) async fn remove_from_sketches(
    transaction: &mut JobTransaction,
    source: i16,
    removals: &BTreeMap<BucketKey, i64>,
    person: PersonKey,
) -> Result<(), PeopleError> {
    let buckets: Vec<BucketKey> = removals.keys().copied().collect();
    for part in transaction.parts(Derived::Sketches, source, &buckets).await? {
        let stored = part.iter().zip(transaction.sketches(source, part).await?);
        let without = stored.map(|(bucket, stored)| {
            let mut left = SketchBucket { names: stored.names, ..SketchBucket::default() };
            left.users.unite(&stored.users.finish().without(person));
            left.observations = stored.observations - removals[bucket];
            (*bucket, left)
        });
        transaction.write_sketches(source, without).await?;
    }
    Ok(())
}

/// The union of consecutive sketches.
pub(super) async fn union_of_sketches(
    transaction: &mut JobTransaction,
    source: i16,
    grain: Grain,
    first: i64,
    number: i64,
) -> Result<SketchBucket, PeopleError> {
    let buckets = consecutive(grain, first, number);
    let mut all = SketchBucket::default();
    for part in transaction.parts(Derived::Sketches, source, &buckets).await? {
        for bucket in transaction.sketches(source, part).await? {
            all.unite(bucket.observations, &bucket.users.finish(), &bucket.names);
        }
    }
    Ok(all)
}
