//! Rebuilding: makes sets and sketches from rows where their counts differ from those of the rollups.
//!
//! This fills in rows from before there were sets or sketches, and rows that a previous build stores or anonymizes
//! meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::PoisonError,
};

use futures::TryStreamExt as _;
use weir_database::{
    people::{Attributes, Observation, Observations, PersonKey, Sets},
    time_bucket::{DAY, Grain, HOUR, MINUTE},
};

use super::{
    Derived, People, PeopleError, StepOutcome, dictionary,
    minutes::{Minutes, consecutive},
    sketching::{sketch_of, union_of_sketches},
    transaction::{JobTransaction, PeopleBucket, SketchBucket, with_connection},
};

const MEASURED_IN_ROLLUPS: &str = "SELECT bucket, CAST(SUM(measured) AS BIGINT) FROM rollups \
    WHERE grain = $1 AND source = $2 AND bucket >= $3 AND bucket < $4 GROUP BY bucket";
const COUNTED_IN_SETS: &str = "SELECT bucket, sightings FROM people_sets \
    WHERE grain = $1 AND source = $2 AND bucket >= $3 AND bucket < $4";
const COUNTED_IN_SKETCHES: &str = "SELECT bucket, sightings FROM people_sketches \
    WHERE grain = $1 AND source = $2 AND bucket >= $3 AND bucket < $4";
const ERASING: &str = "SELECT COUNT(*) FROM people_deltas WHERE source = $1 AND erasure_id IS NOT NULL";
/// Deletes the deltas of an erasure that a collector of the previous build completed.
const ORPHANED: &str = "DELETE FROM people_deltas WHERE source = $1 AND erasure_id IN \
    (SELECT erasure_id FROM erasures WHERE completed_at IS NOT NULL)";
const UNFOLDED_DELTAS: &str = "SELECT data FROM people_deltas WHERE source = $1 AND erasure_id IS NULL";
const UNSKETCHED_DELTAS: &str =
    "SELECT data FROM people_deltas WHERE source = $1 AND erasure_id IS NULL AND NOT sketched";
const ROWS: &str = "SELECT user_id, age, gender, followers, device, country, city FROM stored_events \
    WHERE occurred_at >= $1 AND occurred_at < $2 AND source = $3 AND user_id <> ''";

/// The most rows that one transaction reads, unless a single minute has more. They take some hundred milliseconds.
pub(super) const ROWS_AT_ONCE: i64 = 10_000;
/// The parts of a minute that are read one by one, because a minute may have a million rows.
pub(super) const PARTS_OF_MINUTE: i64 = 60;

/// A person's row: user, age, gender, followers, device, country, city.
pub(super) type PersonRow =
    (String, Option<i16>, Option<i16>, Option<i64>, Option<i16>, Option<String>, Option<String>);

/// Counts of the buckets of one grain, by start: the count of the rollups, and the count of sets and deltas.
pub(super) type CountsByBucket = BTreeMap<i64, (i64, i64)>;

impl Derived {
    fn counted(self) -> &'static str {
        match self {
            Self::Sets => COUNTED_IN_SETS,
            Self::Sketches => COUNTED_IN_SKETCHES,
        }
    }

    /// The deltas whose observations are not in the structure yet.
    fn waiting_deltas(self) -> &'static str {
        match self {
            Self::Sets => UNFOLDED_DELTAS,
            Self::Sketches => UNSKETCHED_DELTAS,
        }
    }
}

impl People {
    /// Rebuilds the sets of some of the newest minutes whose counts differ, and returns how many.
    ///
    /// # Errors
    /// The database can't be written now. Nothing has changed then.
    pub async fn rebuild(&self, source: i16) -> Result<StepOutcome, PeopleError> {
        self.rebuild_derived(source, Derived::Sets).await
    }

    /// [`Self::rebuild`] for sketches.
    ///
    /// # Errors
    /// The database can't be written now. Nothing has changed then.
    pub async fn rebuild_sketches(&self, source: i16) -> Result<StepOutcome, PeopleError> {
        self.rebuild_derived(source, Derived::Sketches).await
    }

    async fn rebuild_derived(&self, source: i16, derived: Derived) -> Result<StepOutcome, PeopleError> {
        let Some(mut transaction) = self.try_begin().await? else { return Ok(StepOutcome::Busy) };
        with_connection!(&mut transaction, connection => {
            sqlx::query(ORPHANED).bind(source).execute(connection).await?;
        });
        if is_erasing(&mut transaction, source).await? {
            // The erasure will adapt the sets. Until then, reports need to see that sets and rollups differ.
            return Ok(StepOutcome::Idle);
        }
        let rebuilt = self.rebuild_some(&mut transaction, source, derived).await?;
        transaction.commit().await?;
        Ok(if rebuilt == 0 { StepOutcome::Idle } else { StepOutcome::Changed(rebuilt) })
    }

    async fn rebuild_some(
        &self,
        transaction: &mut JobTransaction,
        source: i16,
        derived: Derived,
    ) -> Result<u64, PeopleError> {
        let horizon = transaction.horizon(source).await?;
        let waiting = waiting(transaction, source, derived).await?;
        let first_day = horizon.div_euclid(DAY).saturating_mul(DAY);
        let days = counts(transaction, source, derived, Grain::Day, first_day..i64::MAX, &waiting).await?;
        let without_sets = match derived {
            Derived::Sets => self.large_days(transaction, source).await?,
            Derived::Sketches => BTreeSet::new(),
        };
        // A day with removed rows is compared by its hours and minutes.
        let is_suspect = |(day, (measured, counted)): (&i64, &(i64, i64))| {
            (measured != counted || *day < horizon) && !without_sets.contains(day)
        };
        let suspects: Vec<i64> = days
            .iter()
            .rev()
            .filter(|(day, counts)| is_suspect((day, counts)))
            .map(|(day, _)| *day)
            .collect();
        for day in suspects {
            let first = day.max(horizon);
            let minutes =
                counts(transaction, source, derived, Grain::Minute, first..day + DAY, &waiting).await?;
            let wrong: Vec<(i64, i64)> =
                different(&minutes).filter(|wrong| !self.is_contradicted(derived, source, *wrong)).collect();
            if !wrong.is_empty() {
                return self.rebuild_minutes(transaction, source, derived, &wrong, &waiting).await;
            }
            if different(&minutes).next().is_some() {
                continue;
            }
            let hours = counts(transaction, source, derived, Grain::Hour, first..day + DAY, &waiting).await?;
            let mut hours: BTreeSet<i64> =
                different(&hours).map(|(hour, _)| hour).filter(|hour| *hour >= horizon).collect();
            if hours.is_empty() && day >= horizon {
                hours.insert(day);
            }
            if !hours.is_empty() {
                rebuild_hours(transaction, source, derived, &hours).await?;
                return Ok(hours.len() as u64);
            }
        }
        Ok(0)
    }

    fn is_contradicted(&self, derived: Derived, source: i16, (minute, measured): (i64, i64)) -> bool {
        let contradicted = self.contradicted.lock().unwrap_or_else(PoisonError::into_inner);
        contradicted.contains(&(derived, source, minute, measured))
    }

    fn note_contradicted(&self, derived: Derived, source: i16, minute: i64, measured: i64) {
        let mut contradicted = self.contradicted.lock().unwrap_or_else(PoisonError::into_inner);
        contradicted.insert((derived, source, minute, measured));
    }

    /// Rebuilds the first of `wrong` minutes, given with the rollups' counts, and the hours and days around them.
    /// Returns how many minutes.
    pub(super) async fn rebuild_minutes(
        &self,
        transaction: &mut JobTransaction,
        source: i16,
        derived: Derived,
        wrong: &[(i64, i64)],
        waiting: &BTreeMap<i64, i64>,
    ) -> Result<u64, PeopleError> {
        let (mut rows, mut rebuilt, mut hours) = (0, 0, BTreeSet::new());
        let (mut sets, mut sketches) = (Vec::new(), Vec::new());
        for (minute, measured) in wrong {
            if rebuilt > 0 && rows + measured > ROWS_AT_ONCE {
                break;
            }
            rows += measured;
            let (key, waits) = ((1, *minute), waiting.get(minute).copied().unwrap_or(0));
            let counted = match derived {
                Derived::Sets => {
                    let mut bucket = set_from_rows(transaction, source, *minute).await?;
                    let counted = bucket.observations;
                    bucket.observations -= waits;
                    sets.push((key, bucket));
                    counted
                }
                Derived::Sketches => {
                    let mut bucket = sketch_from_rows(transaction, source, *minute, *measured).await?;
                    let counted = bucket.observations;
                    bucket.observations -= waits;
                    sketches.push((key, bucket));
                    counted
                }
            };
            if counted != *measured {
                self.note_contradicted(derived, source, *minute, *measured);
            }
            rebuilt += 1;
            hours.insert(Grain::Hour.start_of(*minute));
        }
        transaction.write_buckets(source, &sets).await?;
        transaction.write_sketches(source, sketches.into_iter()).await?;
        rebuild_hours(transaction, source, derived, &hours).await?;
        Ok(rebuilt)
    }
}

/// Whether an erasure has anonymized rows whose person is still in sets.
pub(super) async fn is_erasing(transaction: &mut JobTransaction, source: i16) -> Result<bool, sqlx::Error> {
    let deltas: i64 = with_connection!(transaction, connection => {
        sqlx::query_scalar(ERASING).bind(source).fetch_one(connection).await?
    });
    Ok(deltas > 0)
}

/// The start of each bucket whose counts differ, and the count of the rollups.
fn different(counts: &CountsByBucket) -> impl Iterator<Item = (i64, i64)> {
    counts
        .iter()
        .rev()
        .filter(|(_, (measured, counted))| measured != counted)
        .map(|(start, (measured, _))| (*start, *measured))
}

/// The data of deltas that are not in a structure yet, all of them in memory.
pub(super) async fn deltas(
    transaction: &mut JobTransaction,
    source: i16,
    derived: Derived,
) -> Result<Vec<Vec<u8>>, sqlx::Error> {
    with_connection!(transaction, connection => {
        sqlx::query_scalar(derived.waiting_deltas()).bind(source).fetch_all(connection).await
    })
}

/// The number of observations that are not in a structure yet, by the start of their minute. Reads one delta after the
/// other: millions of observations may wait.
pub(super) async fn waiting(
    transaction: &mut JobTransaction,
    source: i16,
    derived: Derived,
) -> Result<BTreeMap<i64, i64>, PeopleError> {
    let mut waiting = BTreeMap::new();
    with_connection!(transaction, connection => {
        let mut deltas = sqlx::query_scalar(derived.waiting_deltas()).bind(source).fetch(connection);
        while let Some(delta) = deltas.try_next().await? {
            let delta: Vec<u8> = delta;
            for observation in Observations::read(&delta)? {
                *waiting.entry(observation.minute * MINUTE).or_default() += 1;
            }
        }
    });
    Ok(waiting)
}

pub(super) async fn counts(
    transaction: &mut JobTransaction,
    source: i16,
    derived: Derived,
    grain: Grain,
    span: Range<i64>,
    waiting: &BTreeMap<i64, i64>,
) -> Result<CountsByBucket, PeopleError> {
    let select = async |transaction: &mut JobTransaction,
                        statement: &'static str|
           -> Result<Vec<(i64, i64)>, sqlx::Error> {
        with_connection!(transaction, connection => {
            sqlx::query_as(statement)
                .bind(grain.number())
                .bind(source)
                .bind(span.start)
                .bind(span.end)
                .fetch_all(connection)
                .await
        })
    };
    let mut counts = CountsByBucket::new();
    for (bucket, measured) in select(transaction, MEASURED_IN_ROLLUPS).await? {
        counts.entry(bucket).or_default().0 = measured;
    }
    for (bucket, observations) in select(transaction, derived.counted()).await? {
        counts.entry(bucket).or_default().1 += observations;
    }
    for (minute, observations) in waiting.range(span) {
        counts.entry(grain.start_of(*minute)).or_default().1 += observations;
    }
    Ok(counts)
}

async fn set_from_rows(
    transaction: &mut JobTransaction,
    source: i16,
    minute: i64,
) -> Result<PeopleBucket, PeopleError> {
    let mut all = PeopleBucket::default();
    for part in 0..PARTS_OF_MINUTE {
        let start = minute + part * (MINUTE / PARTS_OF_MINUTE);
        let rows = rows(transaction, source, start..start + MINUTE / PARTS_OF_MINUTE).await?;
        if rows.is_empty() {
            continue;
        }
        let minute = minute.div_euclid(MINUTE);
        let observations: Vec<Observation<'_>> =
            rows.iter().map(|row| observation(source, minute, row)).collect();
        let mut minutes = Minutes::default();
        for numbers in dictionary::assign_numbers(transaction, source, &observations).await? {
            minutes.add(minute, &numbers, 1);
        }
        minutes.minutes().values().for_each(|bucket| all.add(bucket));
    }
    Ok(all)
}

/// The sketch of the rows of a minute, of which the rollups count `measured`.
pub(super) async fn sketch_from_rows(
    transaction: &mut JobTransaction,
    source: i16,
    minute: i64,
    measured: i64,
) -> Result<SketchBucket, PeopleError> {
    let mut all = SketchBucket::default();
    let parts = if measured > ROWS_AT_ONCE { PARTS_OF_MINUTE } else { 1 };
    for part in 0..parts {
        let start = minute + part * (MINUTE / parts);
        let rows = rows(transaction, source, start..start + MINUTE / parts).await?;
        let observations: Vec<Observation<'_>> =
            rows.iter().map(|row| observation(source, minute.div_euclid(MINUTE), row)).collect();
        let (users, names) = sketch_of(&observations.iter().collect::<Vec<_>>());
        all.unite(observations.len() as i64, &users, &names);
    }
    Ok(all)
}

/// The rows of a span that have a person.
pub(super) async fn rows(
    transaction: &mut JobTransaction,
    source: i16,
    span: Range<i64>,
) -> Result<Vec<PersonRow>, sqlx::Error> {
    with_connection!(transaction, connection => {
        sqlx::query_as(ROWS).bind(span.start).bind(span.end).bind(source).fetch_all(connection).await
    })
}

pub(super) fn observation(source: i16, minute: i64, row: &PersonRow) -> Observation<'_> {
    let (user_id, age, gender, followers, device, country, city) = row;
    let (country, city) = (country.as_deref(), city.as_deref());
    let attributes = Attributes::of_row(source, *age, *gender, *followers, *device, country, city);
    Observation { minute, key: PersonKey::of(user_id), attributes }
}

/// Rebuilds hours from their minutes, and then days from their hours.
pub(super) async fn rebuild_hours(
    transaction: &mut JobTransaction,
    source: i16,
    derived: Derived,
    hours: &BTreeSet<i64>,
) -> Result<(), PeopleError> {
    let days: BTreeSet<i64> = hours.iter().map(|hour| Grain::Day.start_of(*hour)).collect();
    let wider =
        [(Grain::Hour, hours, Grain::Minute, HOUR / MINUTE), (Grain::Day, &days, Grain::Hour, DAY / HOUR)];
    for (grain, starts, finer, parts) in wider {
        for start in starts {
            let key = (grain.number(), *start);
            match derived {
                Derived::Sets => {
                    let set = union(transaction, source, finer, *start, parts).await?;
                    transaction.write_buckets(source, &[(key, set)]).await?;
                }
                Derived::Sketches => {
                    let sketch = union_of_sketches(transaction, source, finer, *start, parts).await?;
                    transaction.write_sketches(source, [(key, sketch)].into_iter()).await?;
                }
            }
        }
    }
    Ok(())
}

/// The union of consecutive buckets.
pub(super) async fn union(
    transaction: &mut JobTransaction,
    source: i16,
    grain: Grain,
    first: i64,
    number: i64,
) -> Result<PeopleBucket, PeopleError> {
    let buckets = consecutive(grain, first, number);
    let mut all = PeopleBucket { observations: 0, sets: Sets::default() };
    for part in transaction.parts(Derived::Sets, source, &buckets).await? {
        transaction.buckets(source, part).await?.iter().for_each(|bucket| all.add(bucket));
    }
    Ok(all)
}
