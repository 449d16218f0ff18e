//! Mending: buckets that count other sightings than the rollups do are made anew from the rows.
//!
//! So what was stored before there were sets is filled in, and what a previous build stores or erases meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::PoisonError,
};

use weir_database::people::{Attributes, MINUTE, Observation, Observations, PersonKey, Sets};

use super::{
    People, PeopleError, Step,
    minutes::Minutes,
    numbering,
    session::{Bucket, Bucketed, Session, on_either},
};

pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;

const MEASURED: &str = "SELECT bucket, CAST(SUM(measured) AS BIGINT) FROM rollups \
    WHERE grain = $1 AND source = $2 AND bucket >= $3 AND bucket < $4 GROUP BY bucket";
const COUNTED: &str = "SELECT bucket, sightings FROM people_sets \
    WHERE grain = $1 AND source = $2 AND bucket >= $3 AND bucket < $4";
const ERASING: &str = "SELECT COUNT(*) FROM people_deltas WHERE source = $1 AND erasure_id IS NOT NULL";
/// What an erasure noted that a collector of the previous build carried to its end.
const ORPHANED: &str = "DELETE FROM people_deltas WHERE source = $1 AND erasure_id IN \
    (SELECT erasure_id FROM erasures WHERE completed_at IS NOT NULL)";
const WAITING: &str = "SELECT data FROM people_deltas WHERE source = $1 AND erasure_id IS NULL";
const ROWS: &str = "SELECT user_id, age, gender, followers, device, country, city FROM events \
    WHERE occurred_at >= $1 AND occurred_at < $2 AND source = $3 AND user_id <> ''";

/// Rows that are read in one transaction, unless one minute has more: some hundred milliseconds.
pub(super) const AT_ONCE: i64 = 10_000;
/// Parts of a minute that are read at once: a minute may have a million rows.
pub(super) const PARTS: i64 = 60;

/// A person's row: user, age, gender, followers, device, country, city.
pub(super) type Row =
    (String, Option<i16>, Option<i16>, Option<i64>, Option<i16>, Option<String>, Option<String>);

/// Buckets of one grain, by start: what the rollups count, and what sets and deltas do.
pub(super) type Counts = BTreeMap<i64, (i64, i64)>;

impl People {
    /// Mends some of the newest minutes that need it, and tells how many.
    ///
    /// # Errors
    /// The store does not take it now; nothing has changed then.
    pub async fn mend(&self, source: i16) -> Result<Step, PeopleError> {
        let Some(mut session) = self.begin().await? else { return Ok(Step::Busy) };
        on_either!(&mut session, connection => {
            sqlx::query(ORPHANED).bind(source).execute(connection).await?;
        });
        if is_erasing(&mut session, source).await? {
            // Whoever erases comes back to it. Until then reports need to see that sets and rollups differ.
            return Ok(Step::Idle);
        }
        let mended = self.mend_some(&mut session, source).await?;
        session.commit().await?;
        Ok(if mended == 0 { Step::Idle } else { Step::Did(mended) })
    }
}

impl People {
    async fn mend_some(&self, session: &mut Session, source: i16) -> Result<u64, PeopleError> {
        let horizon = session.horizon(source).await?;
        let waiting = waiting(&deltas(session, source).await?)?;
        let first_day = horizon.div_euclid(DAY).saturating_mul(DAY);
        let days = counts(session, source, 3, first_day..i64::MAX, &waiting).await?;
        // A day that rows were removed of is told apart by its hours and minutes.
        let suspect = |(day, (measured, counted)): (&i64, &(i64, i64))| measured != counted || *day < horizon;
        let suspects: Vec<i64> =
            days.iter().rev().filter(|(day, counts)| suspect((day, counts))).map(|(day, _)| *day).collect();
        for day in suspects {
            let first = day.max(horizon);
            let minutes = counts(session, source, 1, first..day + DAY, &waiting).await?;
            let wrong: Vec<(i64, i64)> =
                different(&minutes).filter(|wrong| !self.is_contradicted(source, *wrong)).collect();
            if !wrong.is_empty() {
                return self.mend_minutes(session, source, &wrong, &waiting).await;
            }
            if different(&minutes).next().is_some() {
                continue;
            }
            let hours = counts(session, source, 2, first..day + DAY, &waiting).await?;
            let mut hours: BTreeSet<i64> =
                different(&hours).map(|(hour, _)| hour).filter(|hour| *hour >= horizon).collect();
            if hours.is_empty() && day >= horizon {
                hours.insert(day);
            }
            if !hours.is_empty() {
                widen(session, source, &hours).await?;
                return Ok(hours.len() as u64);
            }
        }
        Ok(0)
    }

    fn is_contradicted(&self, source: i16, (minute, measured): (i64, i64)) -> bool {
        let contradicted = self.contradicted.lock().unwrap_or_else(PoisonError::into_inner);
        contradicted.contains(&(source, minute, measured))
    }

    fn contradict(&self, source: i16, minute: i64, measured: i64) {
        let mut contradicted = self.contradicted.lock().unwrap_or_else(PoisonError::into_inner);
        contradicted.insert((source, minute, measured));
    }

    /// Makes the first of the minutes anew, given what the rollups count there, and the hours and days that they are in;
    /// tells how many.
    pub(super) async fn mend_minutes(
        &self,
        session: &mut Session,
        source: i16,
        wrong: &[(i64, i64)],
        waiting: &BTreeMap<i64, i64>,
    ) -> Result<u64, PeopleError> {
        let (mut rows, mut mended, mut hours) = (0, Vec::new(), BTreeSet::new());
        for (minute, measured) in wrong {
            if !mended.is_empty() && rows + measured > AT_ONCE {
                break;
            }
            rows += measured;
            let mut bucketed = from_rows(session, source, *minute).await?;
            if bucketed.sightings != *measured {
                self.contradict(source, *minute, *measured);
            }
            bucketed.sightings -= waiting.get(minute).copied().unwrap_or(0);
            mended.push(((1, *minute), bucketed));
            hours.insert(minute.div_euclid(HOUR) * HOUR);
        }
        session.write_buckets(source, &mended).await?;
        widen(session, source, &hours).await?;
        Ok(mended.len() as u64)
    }
}

/// Whether an erasure has made rows anonymous whose person is in sets yet.
pub(super) async fn is_erasing(session: &mut Session, source: i16) -> Result<bool, sqlx::Error> {
    let noted: i64 = on_either!(session, connection => {
        sqlx::query_scalar(ERASING).bind(source).fetch_one(connection).await?
    });
    Ok(noted > 0)
}

/// Start and how many the rollups count.
fn different(counts: &Counts) -> impl Iterator<Item = (i64, i64)> {
    counts
        .iter()
        .rev()
        .filter(|(_, (measured, counted))| measured != counted)
        .map(|(start, (measured, _))| (*start, *measured))
}

/// What was noted and is not folded.
pub(super) async fn deltas(session: &mut Session, source: i16) -> Result<Vec<Vec<u8>>, sqlx::Error> {
    on_either!(session, connection => {
        sqlx::query_scalar(WAITING).bind(source).fetch_all(connection).await
    })
}

/// How many sightings of deltas there are, by the start of their minute.
pub(super) fn waiting(deltas: &[Vec<u8>]) -> Result<BTreeMap<i64, i64>, PeopleError> {
    let mut waiting = BTreeMap::new();
    for delta in deltas {
        for sighting in Observations::read(delta)? {
            *waiting.entry(sighting.minute * MINUTE).or_default() += 1;
        }
    }
    Ok(waiting)
}

pub(super) async fn counts(
    session: &mut Session,
    source: i16,
    grain: i16,
    span: Range<i64>,
    waiting: &BTreeMap<i64, i64>,
) -> Result<Counts, PeopleError> {
    let ask =
        async |session: &mut Session, statement: &'static str| -> Result<Vec<(i64, i64)>, sqlx::Error> {
            on_either!(session, connection => {
                sqlx::query_as(statement)
                    .bind(grain)
                    .bind(source)
                    .bind(span.start)
                    .bind(span.end)
                    .fetch_all(connection)
                    .await
            })
        };
    let mut counts = Counts::new();
    for (bucket, measured) in ask(session, MEASURED).await? {
        counts.entry(bucket).or_default().0 = measured;
    }
    for (bucket, sightings) in ask(session, COUNTED).await? {
        counts.entry(bucket).or_default().1 += sightings;
    }
    let width = match grain {
        1 => MINUTE,
        2 => HOUR,
        _ => DAY,
    };
    for (minute, sightings) in waiting.range(span) {
        counts.entry(minute.div_euclid(width) * width).or_default().1 += sightings;
    }
    Ok(counts)
}

async fn from_rows(session: &mut Session, source: i16, minute: i64) -> Result<Bucketed, PeopleError> {
    let mut all = Bucketed::default();
    for part in 0..PARTS {
        let start = minute + part * (MINUTE / PARTS);
        let rows = rows(session, source, start..start + MINUTE / PARTS).await?;
        if rows.is_empty() {
            continue;
        }
        let minute = minute.div_euclid(MINUTE);
        let sightings: Vec<Observation<'_>> = rows.iter().map(|row| sighting(source, minute, row)).collect();
        let mut seen = Minutes::default();
        for numbers in numbering::number(session, source, &sightings).await? {
            seen.add(minute, &numbers, 1);
        }
        seen.minutes().values().for_each(|seen| all.add(seen));
    }
    Ok(all)
}

/// Those of people.
pub(super) async fn rows(
    session: &mut Session,
    source: i16,
    span: Range<i64>,
) -> Result<Vec<Row>, sqlx::Error> {
    on_either!(session, connection => {
        sqlx::query_as(ROWS).bind(span.start).bind(span.end).bind(source).fetch_all(connection).await
    })
}

pub(super) fn sighting(source: i16, minute: i64, row: &Row) -> Observation<'_> {
    let (user_id, age, gender, followers, device, country, city) = row;
    let (country, city) = (country.as_deref(), city.as_deref());
    let traits = Attributes::of_row(source, *age, *gender, *followers, *device, country, city);
    Observation { minute, key: PersonKey::of(user_id), attributes: traits }
}

/// Makes hours anew from their minutes, and then their days from all of their hours.
pub(super) async fn widen(
    session: &mut Session,
    source: i16,
    hours: &BTreeSet<i64>,
) -> Result<(), PeopleError> {
    let days: BTreeSet<i64> = hours.iter().map(|hour| hour.div_euclid(DAY) * DAY).collect();
    let mut made = Vec::new();
    for hour in hours {
        made.push(((2, *hour), united(session, source, 1, *hour, HOUR / MINUTE, MINUTE).await?));
    }
    session.write_buckets(source, &made).await?;
    let mut made = Vec::new();
    for day in &days {
        made.push(((3, *day), united(session, source, 2, *day, DAY / HOUR, HOUR).await?));
    }
    Ok(session.write_buckets(source, &made).await?)
}

/// All of some buckets that follow each other.
pub(super) async fn united(
    session: &mut Session,
    source: i16,
    grain: i16,
    first: i64,
    number: i64,
    width: i64,
) -> Result<Bucketed, PeopleError> {
    let parts: Vec<Bucket> = (0..number).map(|part| (grain, first + part * width)).collect();
    let mut all = Bucketed { sightings: 0, sets: Sets::default() };
    session.buckets(source, &parts).await?.iter().for_each(|part| all.add(part));
    Ok(all)
}
