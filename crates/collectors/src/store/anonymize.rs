//! Anonymization of a person's rows. PostgreSQL has a summary of the persons in each range of blocks. In SQLite no index
//! leads to them, so that the whole table is read, in windows.

use std::{sync::LazyLock, time::Duration};

use chrono::Utc;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, SqlitePool};
use weir_database::{advisory_lock::AdvisoryLock, clock::NOW_IN_POSTGRES, dialect::Pool, id_code::IdCode};
use weir_journal::Erasure;

use super::{
    Store,
    erasure::last_arrival,
    limits::{BEGIN_POSTGRES, BEGIN_SQLITE, is_timeout, with_limit, with_time_limit},
    people_deltas::{self, PeopleDelta},
    rollups::{self, Rollups},
    row::to_smallint,
};

/// Empties the columns that [`super::row::Row::without_person`] empties.
const ANONYMIZE: &str = "user_id = '', user_name = '', age = NULL, gender = NULL, followers = NULL, country = NULL, \
    city = NULL, profile_id = NULL";
/// Counts rows in the transaction that anonymizes them, so that each is counted once over all attempts.
const COUNT_ROWS: &str = "UPDATE erasures SET \"rows\" = COALESCE(\"rows\", 0) + $2 WHERE erasure_id = $1";

/// PostgreSQL: the rows of one transaction, which takes some milliseconds.
const ROWS_AT_ONCE: usize = 1_000;
/// At any estimate of its size, the table is not read as a whole where the summary is there.
const BEGIN_FIND: &str = "BEGIN READ ONLY; SET LOCAL statement_timeout = '10min'; SET LOCAL enable_seqscan = off; \
    SET LOCAL jit = off";
/// PostgreSQL: the two forms of a row. Segment 0 has ids as text, all others have codes of ids.
const FORMS: [RowForm; 2] = [
    RowForm {
        segments: "segment > 0",
        event: "event_code",
        found: "event_code",
        asked: "asked.code",
        user: "user_code",
        person: "$2",
        anonymize: "user_code = '', user_name = '', age = NULL, gender = NULL, followers = NULL, country = NULL, \
            city = NULL, profile_code = NULL",
    },
    RowForm {
        segments: "segment = 0",
        event: "old_event_id",
        found: "weir_code(old_event_id)",
        asked: "weir_id(asked.code)",
        user: "old_user_id",
        person: "weir_id($2)",
        anonymize: "old_user_id = '', user_name = '', age = NULL, gender = NULL, followers = NULL, country = NULL, \
            city = NULL, old_profile_id = NULL",
    },
];
/// Nobody waits for the search. After this time the connection is closed, because a half-open one never answers.
const FIND_LIMIT: Duration = Duration::from_secs(11 * 60);

/// SQLite: rows in a window, for which the one writer is taken for some milliseconds.
const WINDOW_ROWS: i64 = 20_000;
const LAST: &str = "SELECT COALESCE(MAX(rowid), 0) FROM events";
const ROWS: &str =
    "FROM events WHERE rowid > $1 AND rowid <= $2 AND source = $3 AND user_id = $4 AND arrived_at <= $5";

static SELECT_IN_SQLITE: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT occurred_at, funnel_stage, event_type, COALESCE(age, followers) AS measure {ROWS}")
});
static ANONYMIZE_IN_SQLITE: LazyLock<String> =
    LazyLock::new(|| format!("UPDATE events SET {ANONYMIZE} WHERE rowid IN (SELECT rowid {ROWS})"));

/// A row's part in the rollups: event time (µs since the Unix epoch), stage, type, and the age or the followers.
type AnonymizedRow = (i64, i16, i16, Option<i64>);

/// SQL of one form of a row.
#[derive(Clone, Copy, Debug)]
struct RowForm {
    /// The condition for segments of this form.
    segments: &'static str,
    /// The columns of the ids of event and user, the code of the former, and the values that they are compared with.
    event: &'static str,
    found: &'static str,
    asked: &'static str,
    user: &'static str,
    person: &'static str,
    anonymize: &'static str,
}

impl RowForm {
    /// Selects codes of the person's events. Reads the summary of persons, and the ranges of blocks that may have the
    /// person. Without it the whole table is read. `source + 0` keeps the planner from the unique index, which would read
    /// every event of the source.
    fn find(self) -> String {
        let Self { segments, found, user, person, .. } = self;
        format!(
            "SELECT {found} FROM events WHERE {segments} AND source + 0 = $1 AND {user} = {person} \
                AND arrived_at <= $3"
        )
    }

    /// Anonymizes rows with these codes.
    fn update(self) -> String {
        let Self { segments, event, asked, user, person, anonymize, .. } = self;
        format!(
            "UPDATE events SET {anonymize} FROM ( \
                SELECT known.* FROM UNNEST($4::bytea[]) AS asked (code) CROSS JOIN LATERAL ( \
                    SELECT segment, source, {event}, occurred_at, funnel_stage, event_type, \
                        COALESCE(age, followers) AS measure \
                    FROM events WHERE {segments} AND source = $1 AND events.{event} = {asked} \
                        AND {user} = {person} AND arrived_at <= $3 OFFSET 0) AS known) AS known \
             WHERE events.segment = known.segment AND events.source = known.source \
                AND events.{event} = known.{event} AND events.{user} = {person} \
             RETURNING known.occurred_at, known.funnel_stage, known.event_type, known.measure"
        )
    }
}

/// The rows of a person that an erasure covers.
#[derive(Clone, Copy, Debug)]
struct PersonRows<'a> {
    erasure_id: &'a str,
    source: i16,
    user_id: &'a str,
    /// The latest arrival, µs since the Unix epoch.
    until: i64,
}

impl Store {
    /// Anonymizes the person's rows: the second step. Some rows at a time have a transaction of their own, which also
    /// takes the person's measures off the rollups.
    ///
    /// Sets of people still contain the person then; [`People::erase`](crate::people::People::erase) is the next step.
    ///
    /// # Errors
    /// The database can't be written now. Rows that are done stay done.
    pub async fn anonymize_rows(&self, erasure: &Erasure) -> anyhow::Result<()> {
        let person = PersonRows {
            erasure_id: &erasure.id,
            source: to_smallint(erasure.source.number()),
            user_id: &erasure.user_id,
            until: last_arrival(erasure),
        };
        match &self.pool {
            Pool::Postgres(pool) => anonymize_in_postgres(pool, person).await?,
            Pool::Sqlite(pool) => anonymize_in_sqlite(pool, person).await?,
        }
        Ok(())
    }
}

/// Rows that are added meanwhile need no search: every transaction that began after the record stores without the
/// person.
async fn anonymize_in_postgres(pool: &PgPool, person: PersonRows<'_>) -> Result<(), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let anonymized = async {
        for form in FORMS {
            let found = with_limit(FIND_LIMIT, find_in_postgres(&mut connection, form, person)).await?;
            for codes in found.chunks(ROWS_AT_ONCE) {
                with_time_limit(rows_in_postgres(&mut connection, form, person, codes)).await?;
            }
        }
        Ok(())
    };
    let anonymized = anonymized.await;
    if anonymized.as_ref().is_err_and(is_timeout) {
        connection.close_on_drop();
    }
    anonymized
}

/// The codes of the ids of the person's events.
async fn find_in_postgres(
    connection: &mut PgConnection,
    form: RowForm,
    person: PersonRows<'_>,
) -> Result<Vec<Vec<u8>>, sqlx::Error> {
    let mut transaction = connection.begin_with(BEGIN_FIND).await?;
    let found = sqlx::query_scalar(AssertSqlSafe(form.find()))
        .bind(person.source)
        .bind(IdCode::of(person.user_id))
        .bind(person.until)
        .persistent(false)
        .fetch_all(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(found)
}

async fn rows_in_postgres(
    connection: &mut PgConnection,
    form: RowForm,
    person: PersonRows<'_>,
    codes: &[Vec<u8>],
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with(BEGIN_POSTGRES).await?;
    // Shared, as storing transactions take it: retention then removes no rows meanwhile.
    let share = AdvisoryLock::Store.share_transaction_sql();
    sqlx::query(AssertSqlSafe(share)).execute(&mut *transaction).await?;
    let anonymized: Vec<AnonymizedRow> = sqlx::query_as(AssertSqlSafe(form.update()))
        .bind(person.source)
        .bind(IdCode::of(person.user_id))
        .bind(person.until)
        .bind(codes)
        .persistent(false)
        .fetch_all(&mut *transaction)
        .await?;
    let number = anonymized.len() as i64;
    sqlx::query(COUNT_ROWS).bind(person.erasure_id).bind(number).execute(&mut *transaction).await?;
    let now: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT {NOW_IN_POSTGRES}")))
        .fetch_one(&mut *transaction)
        .await?;
    people_deltas::insert_deltas!(transaction, delta(person, &anonymized).into_iter(), now);
    let rollups = removed_measures(person.source, &anonymized);
    rollups::add_in_postgres(&mut transaction, &rollups.kinds(), &rollups.campaigns()).await?;
    transaction.commit().await
}

/// Rows that are added meanwhile need no reading: every transaction that began after the record stores without the
/// person. Other transactions store between two windows.
async fn anonymize_in_sqlite(pool: &SqlitePool, person: PersonRows<'_>) -> Result<(), sqlx::Error> {
    let last: i64 = sqlx::query_scalar(LAST).fetch_one(pool).await?;
    let mut start = 0;
    while start < last {
        window_in_sqlite(pool, person, start).await?;
        start += WINDOW_ROWS;
    }
    Ok(())
}

async fn window_in_sqlite(pool: &SqlitePool, person: PersonRows<'_>, start: i64) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin_with(BEGIN_SQLITE).await?;
    let anonymized: Vec<AnonymizedRow> = sqlx::query_as(SELECT_IN_SQLITE.as_str())
        .bind(start)
        .bind(start + WINDOW_ROWS)
        .bind(person.source)
        .bind(person.user_id)
        .bind(person.until)
        .fetch_all(&mut *transaction)
        .await?;
    if anonymized.is_empty() {
        return transaction.rollback().await;
    }
    sqlx::query(ANONYMIZE_IN_SQLITE.as_str())
        .bind(start)
        .bind(start + WINDOW_ROWS)
        .bind(person.source)
        .bind(person.user_id)
        .bind(person.until)
        .execute(&mut *transaction)
        .await?;
    let number = anonymized.len() as i64;
    sqlx::query(COUNT_ROWS).bind(person.erasure_id).bind(number).execute(&mut *transaction).await?;
    let now = Utc::now().timestamp_micros();
    people_deltas::insert_deltas!(transaction, delta(person, &anonymized).into_iter(), now);
    rollups::add_in_sqlite(&mut transaction, &removed_measures(person.source, &anonymized)).await?;
    transaction.commit().await
}

/// The measures that anonymized rows take off the rollups.
fn removed_measures(source: i16, rows: &[AnonymizedRow]) -> Rollups<'static> {
    let mut rollups = Rollups::default();
    for (occurred_at, funnel_stage, event_type, measure) in rows {
        let kind = (source, *funnel_stage, *event_type);
        measure.iter().for_each(|measure| rollups.remove_measure(kind, *occurred_at, *measure));
    }
    rollups
}

/// The removals from the sets of people that anonymized rows leave to be done.
fn delta<'a>(person: PersonRows<'a>, rows: &[AnonymizedRow]) -> Option<PeopleDelta<'a>> {
    let measured = rows.iter().filter(|(.., measure)| measure.is_some());
    let times = measured.map(|(occurred_at, ..)| *occurred_at);
    PeopleDelta::removals(person.source, person.erasure_id, times)
}
