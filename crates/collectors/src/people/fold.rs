//! Folding: moves the observations of deltas into numbers and sets, and deletes the deltas in the same transaction.

use std::collections::BTreeSet;

use weir_database::{
    people::Observation,
    time_bucket::{Grain, MINUTE},
};

use super::{
    Derived, People, PeopleError, StepOutcome, dictionary,
    minutes::Minutes,
    sketching::{observations_of, sketch_deltas},
    transaction::{BucketKey, JobTransaction, PeopleBucket, with_connection},
};

/// The oldest deltas that are in the sketches, among which one fold chooses.
const OLDEST_DELTAS: &str = "SELECT id, sightings FROM people_deltas \
    WHERE source = $1 AND erasure_id IS NULL AND sketched AND id <= $2 ORDER BY id LIMIT 256";
const LARGE_DAYS: &str = "SELECT bucket FROM people_sketches WHERE source = $1 AND grain = 3 AND users > $2";
const LAST_DELTA: &str =
    "SELECT COALESCE(MAX(id), 0) FROM people_deltas WHERE source = $1 AND erasure_id IS NULL";
const DELTA_DATA: &str = "SELECT data FROM people_deltas WHERE id = $1";
const DELETE_DELTA: &str = "DELETE FROM people_deltas WHERE id = $1";

impl People {
    /// Folds the oldest deltas of a source: at most `most` observations, but at least one delta.
    ///
    /// # Errors
    /// The database can't be written now. Nothing has changed then.
    pub async fn fold(&self, source: i16, most: u64) -> Result<StepOutcome, PeopleError> {
        let Some(mut transaction) = self.try_begin().await? else { return Ok(StepOutcome::Busy) };
        let folded = self.fold_deltas(&mut transaction, source, most, i64::MAX).await?;
        transaction.commit().await?;
        Ok(if folded == 0 { StepOutcome::Idle } else { StepOutcome::Changed(folded) })
    }

    /// Folds all deltas that a source has when this begins, and waits for the lock for each part.
    ///
    /// # Errors
    /// The database can't be written now. Folded deltas stay folded.
    pub async fn fold_all(&self, source: i16) -> Result<(), PeopleError> {
        /// Short enough that other processes wait for the lock only briefly.
        const OBSERVATIONS_AT_ONCE: u64 = 8_192;
        // Collectors store meanwhile; their new deltas are left out.
        let mut last = None;
        loop {
            let mut transaction = self.begin_when_free().await?;
            let last = match last {
                Some(last) => last,
                None => *last.insert(last_delta(&mut transaction, source).await?),
            };
            let folded = self.fold_deltas(&mut transaction, source, OBSERVATIONS_AT_ONCE, last).await?;
            transaction.commit().await?;
            if folded == 0 {
                return Ok(());
            }
        }
    }

    /// Folds deltas with ids up to `last`. Where none is in the sketches yet, it adds some to them first.
    async fn fold_deltas(
        &self,
        transaction: &mut JobTransaction,
        source: i16,
        most: u64,
        last: i64,
    ) -> Result<u64, PeopleError> {
        let mut waiting = oldest_deltas(transaction, source, last).await?;
        if waiting.is_empty() && sketch_deltas(transaction, source, last).await? > 0 {
            waiting = oldest_deltas(transaction, source, last).await?;
        }
        let (mut deltas, mut folded) = (Vec::new(), 0);
        for (id, observations) in waiting {
            let observations = observations.unsigned_abs();
            if !deltas.is_empty() && folded + observations > most {
                break;
            }
            folded += observations;
            let data: Vec<u8> = with_connection!(&mut *transaction, connection => {
                sqlx::query_scalar(DELTA_DATA).bind(id).fetch_one(connection).await?
            });
            deltas.push((id, data));
        }
        let observations = observations_of(&deltas)?;
        self.add_observations(transaction, source, &observations, 1).await?;
        for (id, _) in &deltas {
            with_connection!(&mut *transaction, connection => {
                sqlx::query(DELETE_DELTA).bind(id).execute(connection).await?;
            });
        }
        Ok(folded)
    }

    /// Adds observations to their buckets of every grain. Each counts as `weight` events. Observations before the horizon
    /// are left out, because no report can ask for them, and those of days with too many users for sets.
    pub(super) async fn add_observations(
        &self,
        transaction: &mut JobTransaction,
        source: i16,
        observations: &[Observation<'_>],
        weight: i64,
    ) -> Result<(), PeopleError> {
        let horizon = transaction.horizon(source).await?.div_euclid(MINUTE);
        let large_days = self.large_days(transaction, source).await?;
        let is_numbered = |observation: &&Observation<'_>| {
            observation.minute >= horizon
                && !large_days.contains(&Grain::Day.start_of(observation.minute * MINUTE))
        };
        let observations: Vec<Observation<'_>> = observations.iter().filter(is_numbered).copied().collect();
        let mut minutes = Minutes::default();
        for (observation, numbers) in
            observations.iter().zip(dictionary::assign_numbers(transaction, source, &observations).await?)
        {
            minutes.add(observation.minute, &numbers, weight);
        }
        let (buckets, added): (Vec<BucketKey>, Vec<PeopleBucket>) = minutes.buckets().into_iter().unzip();
        let mut added = added.into_iter();
        for part in transaction.parts(Derived::Sets, source, &buckets).await? {
            let mut stored = transaction.buckets(source, part).await?;
            stored.iter_mut().zip(&mut added).for_each(|(stored, added)| stored.add(&added));
            let written: Vec<(BucketKey, PeopleBucket)> = part.iter().copied().zip(stored).collect();
            transaction.write_buckets(source, &written).await?;
        }
        Ok(())
    }

    /// The starts of the days that have too many users for sets, by their sketches.
    pub(super) async fn large_days(
        &self,
        transaction: &mut JobTransaction,
        source: i16,
    ) -> Result<BTreeSet<i64>, sqlx::Error> {
        let days: Vec<i64> = with_connection!(transaction, connection => {
            sqlx::query_scalar(LARGE_DAYS).bind(source).bind(self.most_numbered_users).fetch_all(connection).await?
        });
        Ok(days.into_iter().collect())
    }
}

async fn last_delta(transaction: &mut JobTransaction, source: i16) -> Result<i64, sqlx::Error> {
    with_connection!(transaction, connection => sqlx::query_scalar(LAST_DELTA).bind(source).fetch_one(connection).await)
}

/// Ids of deltas that are in the sketches, and their numbers of observations.
async fn oldest_deltas(
    transaction: &mut JobTransaction,
    source: i16,
    last: i64,
) -> Result<Vec<(i64, i64)>, sqlx::Error> {
    with_connection!(transaction, connection => {
        sqlx::query_as(OLDEST_DELTAS).bind(source).bind(last).fetch_all(connection).await
    })
}
