//! A person's rows in PostgreSQL. No index leads to them, so the whole table is read, in windows of its blocks.

use std::io::{Error, ErrorKind};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use tokio::time::timeout;
use weir_database::clock::NOW_IN_POSTGRES;

use super::{FORGET, LIMIT, NOTE_ROWS, Person, Removals, STORE_LOCK, noted, taken_off};
use crate::store::{
    people_deltas,
    postgres::{BEGIN, rollups},
};

/// Blocks of 8 KiB in a window: 8 MiB, read in some milliseconds.
const WINDOW: i64 = 1024;
const BLOCKS: &str = "SELECT pg_relation_size('events') / current_setting('block_size')::bigint";

/// Blocks that are added on the way hold nobody who was erased: whoever stores knows by now.
pub(super) async fn make_anonymous(
    pool: &PgPool,
    erasure_id: &str,
    person: Person<'_>,
) -> Result<(), sqlx::Error> {
    let blocks: i64 = sqlx::query_scalar(BLOCKS).fetch_one(pool).await?;
    let mut start = 0;
    while start < blocks {
        let mut connection = pool.acquire().await?;
        let window = window(&mut connection, erasure_id, person, start);
        let Ok(done) = timeout(LIMIT, window).await else {
            connection.close_on_drop();
            return Err(Error::new(ErrorKind::TimedOut, "a window of rows took too long").into());
        };
        done?;
        start += WINDOW;
    }
    Ok(())
}

/// Looks without holding anybody up, and begins a transaction only where the person has rows.
async fn window(
    connection: &mut PgConnection,
    erasure_id: &str,
    person: Person<'_>,
    start: i64,
) -> Result<(), sqlx::Error> {
    let rows = format!(
        "FROM events WHERE ctid >= '({start},0)'::tid AND ctid < '({},0)'::tid \
         AND source = $1 AND user_id = $2 AND arrived_at <= $3",
        start + WINDOW
    );
    let look: bool = sqlx::query_scalar(AssertSqlSafe(format!("SELECT EXISTS (SELECT 1 {rows})")))
        .bind(person.source)
        .bind(person.user_id)
        .bind(person.until)
        .persistent(false)
        .fetch_one(&mut *connection)
        .await?;
    if look { forget(connection, erasure_id, person, &rows).await } else { Ok(()) }
}

async fn forget(
    connection: &mut PgConnection,
    erasure_id: &str,
    person: Person<'_>,
    rows: &str,
) -> Result<(), sqlx::Error> {
    let forget = format!(
        "UPDATE events SET {FORGET} FROM ( \
            SELECT source, event_id, occurred_at, funnel_stage, event_type, COALESCE(age, followers) AS measure \
            {rows}) AS known \
         WHERE events.source = known.source AND events.event_id = known.event_id AND events.user_id = $2 \
         RETURNING known.occurred_at, known.funnel_stage, known.event_type, known.measure"
    );
    let mut transaction = connection.begin_with(BEGIN).await?;
    // As whoever stores: rows are not removed meanwhile.
    let share = format!("SELECT pg_advisory_xact_lock_shared({STORE_LOCK})");
    sqlx::query(AssertSqlSafe(share)).execute(&mut *transaction).await?;
    let taken: Vec<Removals> = sqlx::query_as(AssertSqlSafe(forget))
        .bind(person.source)
        .bind(person.user_id)
        .bind(person.until)
        .persistent(false)
        .fetch_all(&mut *transaction)
        .await?;
    sqlx::query(NOTE_ROWS).bind(erasure_id).bind(taken.len() as i64).execute(&mut *transaction).await?;
    let now: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT {NOW_IN_POSTGRES}")))
        .fetch_one(&mut *transaction)
        .await?;
    people_deltas::note!(transaction, noted(erasure_id, person.source, &taken).into_iter(), now);
    let rollups = taken_off(person.source, &taken);
    rollups::add(&mut transaction, &rollups.kinds(), &rollups.campaigns()).await?;
    transaction.commit().await
}
