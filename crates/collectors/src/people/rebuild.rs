//! Rebuilding: makes buckets from rows whose counts differ from those of the rollups.
//!
//! This fills in rows from before there were sets, and rows that a previous build stores or anonymizes meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::PoisonError,
};

use weir_database::{
    people::{Attributes, Observation, Observations, PersonKey, Sets},
    time_bucket::{DAY, Grain, HOUR, MINUTE},
};

use super::{
    People, PeopleError, StepOutcome, dictionary,
    minutes::Minutes,
    transaction::{BucketKey, PeopleBucket, PeopleTransaction, with_connection},
};

const MEASURED_IN_ROLLUPS: &str = "SELECT bucket, CAST(SUM(measured) AS BIGINT) FROM rollups \
    WHERE grain = $1 AND source = $2 AND bucket >= $3 AND bucket < $4 GROUP BY bucket";
const COUNTED_IN_SETS: &str = "SELECT bucket, sightings FROM people_sets \
    WHERE grain = $1 AND source = $2 AND bucket >= $3 AND bucket < $4";
const ERASING: &str = "SELECT COUNT(*) FROM people_deltas WHERE source = $1 AND erasure_id IS NOT NULL";
/// Deletes the deltas of an erasure that a collector of the previous build completed.
const ORPHANED: &str = "DELETE FROM people_deltas WHERE source = $1 AND erasure_id IN \
    (SELECT erasure_id FROM erasures WHERE completed_at IS NOT NULL)";
const WAITING_DELTAS: &str = "SELECT data FROM people_deltas WHERE source = $1 AND erasure_id IS NULL";
const ROWS: &str = "SELECT user_id, age, gender, followers, device, country, city FROM events \
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

impl People {
    /// Rebuilds some of the newest minutes whose counts differ, and returns how many.
    ///
    /// # Errors
    /// The database can't be written now. Nothing has changed then.
    pub async fn rebuild(&self, source: i16) -> Result<StepOutcome, PeopleError> {
        let Some(mut transaction) = self.try_begin().await? else { return Ok(StepOutcome::Busy) };
        with_connection!(&mut transaction, connection => {
            sqlx::query(ORPHANED).bind(source).execute(connection).await?;
        });
        if is_erasing(&mut transaction, source).await? {
            // The erasure will adapt the sets. Until then, reports need to see that sets and rollups differ.
            return Ok(StepOutcome::Idle);
        }
        let rebuilt = self.rebuild_some(&mut transaction, source).await?;
        transaction.commit().await?;
        Ok(if rebuilt == 0 { StepOutcome::Idle } else { StepOutcome::Changed(rebuilt) })
    }
}

impl People {
    async fn rebuild_some(
        &self,
        transaction: &mut PeopleTransaction,
        source: i16,
    ) -> Result<u64, PeopleError> {
        let horizon = transaction.horizon(source).await?;
        let waiting = waiting(&deltas(transaction, source).await?)?;
        let first_day = horizon.div_euclid(DAY).saturating_mul(DAY);
        let days = counts(transaction, source, Grain::Day, first_day..i64::MAX, &waiting).await?;
        // A day with removed rows is compared by its hours and minutes.
        let is_suspect =
            |(day, (measured, counted)): (&i64, &(i64, i64))| measured != counted || *day < horizon;
        let suspects: Vec<i64> = days
            .iter()
            .rev()
            .filter(|(day, counts)| is_suspect((day, counts)))
            .map(|(day, _)| *day)
            .collect();
        for day in suspects {
            let first = day.max(horizon);
            let minutes = counts(transaction, source, Grain::Minute, first..day + DAY, &waiting).await?;
            let wrong: Vec<(i64, i64)> =
                different(&minutes).filter(|wrong| !self.is_contradicted(source, *wrong)).collect();
            if !wrong.is_empty() {
                return self.rebuild_minutes(transaction, source, &wrong, &waiting).await;
            }
            if different(&minutes).next().is_some() {
                continue;
            }
            let hours = counts(transaction, source, Grain::Hour, first..day + DAY, &waiting).await?;
            let mut hours: BTreeSet<i64> =
                different(&hours).map(|(hour, _)| hour).filter(|hour| *hour >= horizon).collect();
            if hours.is_empty() && day >= horizon {
                hours.insert(day);
            }
            if !hours.is_empty() {
                rebuild_hours(transaction, source, &hours).await?;
                return Ok(hours.len() as u64);
            }
        }
        Ok(0)
    }

    fn is_contradicted(&self, source: i16, (minute, measured): (i64, i64)) -> bool {
        let contradicted = self.contradicted.lock().unwrap_or_else(PoisonError::into_inner);
        contradicted.contains(&(source, minute, measured))
    }

    fn note_contradicted(&self, source: i16, minute: i64, measured: i64) {
        let mut contradicted = self.contradicted.lock().unwrap_or_else(PoisonError::into_inner);
        contradicted.insert((source, minute, measured));
    }

    /// Rebuilds the first of `wrong` minutes, given with the rollups' counts, and the hours and days around them.
    /// Returns how many minutes.
    pub(super) async fn rebuild_minutes(
        &self,
        transaction: &mut PeopleTransaction,
        source: i16,
        wrong: &[(i64, i64)],
        waiting: &BTreeMap<i64, i64>,
    ) -> Result<u64, PeopleError> {
        let (mut rows, mut rebuilt, mut hours) = (0, Vec::new(), BTreeSet::new());
        for (minute, measured) in wrong {
            if !rebuilt.is_empty() && rows + measured > ROWS_AT_ONCE {
                break;
            }
            rows += measured;
            let mut bucket = from_rows(transaction, source, *minute).await?;
            if bucket.observations != *measured {
                self.note_contradicted(source, *minute, *measured);
            }
            bucket.observations -= waiting.get(minute).copied().unwrap_or(0);
            rebuilt.push(((1, *minute), bucket));
            hours.insert(Grain::Hour.start_of(*minute));
        }
        transaction.write_buckets(source, &rebuilt).await?;
        rebuild_hours(transaction, source, &hours).await?;
        Ok(rebuilt.len() as u64)
    }
}

/// Whether an erasure has anonymized rows whose person is still in sets.
pub(super) async fn is_erasing(
    transaction: &mut PeopleTransaction,
    source: i16,
) -> Result<bool, sqlx::Error> {
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

/// The data of deltas that are not folded.
pub(super) async fn deltas(
    transaction: &mut PeopleTransaction,
    source: i16,
) -> Result<Vec<Vec<u8>>, sqlx::Error> {
    with_connection!(transaction, connection => {
        sqlx::query_scalar(WAITING_DELTAS).bind(source).fetch_all(connection).await
    })
}

/// The number of observations in deltas, by the start of their minute.
pub(super) fn waiting(deltas: &[Vec<u8>]) -> Result<BTreeMap<i64, i64>, PeopleError> {
    let mut waiting = BTreeMap::new();
    for delta in deltas {
        for observation in Observations::read(delta)? {
            *waiting.entry(observation.minute * MINUTE).or_default() += 1;
        }
    }
    Ok(waiting)
}

pub(super) async fn counts(
    transaction: &mut PeopleTransaction,
    source: i16,
    grain: Grain,
    span: Range<i64>,
    waiting: &BTreeMap<i64, i64>,
) -> Result<CountsByBucket, PeopleError> {
    let select = async |transaction: &mut PeopleTransaction,
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
    for (bucket, observations) in select(transaction, COUNTED_IN_SETS).await? {
        counts.entry(bucket).or_default().1 += observations;
    }
    for (minute, observations) in waiting.range(span) {
        counts.entry(grain.start_of(*minute)).or_default().1 += observations;
    }
    Ok(counts)
}

async fn from_rows(
    transaction: &mut PeopleTransaction,
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

/// The rows of a span that have a person.
pub(super) async fn rows(
    transaction: &mut PeopleTransaction,
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
    transaction: &mut PeopleTransaction,
    source: i16,
    hours: &BTreeSet<i64>,
) -> Result<(), PeopleError> {
    let days: BTreeSet<i64> = hours.iter().map(|hour| Grain::Day.start_of(*hour)).collect();
    let mut rebuilt = Vec::new();
    for hour in hours {
        rebuilt.push(((2, *hour), union(transaction, source, Grain::Minute, *hour, HOUR / MINUTE).await?));
    }
    transaction.write_buckets(source, &rebuilt).await?;
    let mut rebuilt = Vec::new();
    for day in &days {
        rebuilt.push(((3, *day), union(transaction, source, Grain::Hour, *day, DAY / HOUR).await?));
    }
    Ok(transaction.write_buckets(source, &rebuilt).await?)
}

/// The union of consecutive buckets.
pub(super) async fn union(
    transaction: &mut PeopleTransaction,
    source: i16,
    grain: Grain,
    first: i64,
    number: i64,
) -> Result<PeopleBucket, PeopleError> {
    let parts: Vec<BucketKey> =
        (0..number).map(|part| (grain.number(), first + part * grain.width())).collect();
    let mut all = PeopleBucket { observations: 0, sets: Sets::default() };
    transaction.buckets(source, &parts).await?.iter().for_each(|part| all.add(part));
    Ok(all)
}
