//! A person's rows in SQLite. No index leads to them, so the whole table is read, in windows, between which others
//! store.

use std::sync::LazyLock;

use chrono::Utc;
use sqlx::SqlitePool;

use super::{FORGET, NOTE_ROWS, Person, Removals, noted, taken_off};
use crate::store::{
    people_deltas,
    sqlite::{BEGIN, rollups},
};

/// Rows in a window, which the one writer waits for: some milliseconds.
const WINDOW: i64 = 20_000;
const LAST: &str = "SELECT COALESCE(MAX(rowid), 0) FROM events";
const ROWS: &str =
    "FROM events WHERE rowid > $1 AND rowid <= $2 AND source = $3 AND user_id = $4 AND arrived_at <= $5";

static FIND: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT occurred_at, funnel_stage, event_type, COALESCE(age, followers) AS measure {ROWS}")
});
static FORGET_THEM: LazyLock<String> =
    LazyLock::new(|| format!("UPDATE events SET {FORGET} WHERE rowid IN (SELECT rowid {ROWS})"));

/// Rows that are added on the way hold nobody who was erased: whoever stores knows by now.
pub(super) async fn make_anonymous(
    pool: &SqlitePool,
    erasure_id: &str,
    person: Person<'_>,
) -> Result<(), sqlx::Error> {
    let last: i64 = sqlx::query_scalar(LAST).fetch_one(pool).await?;
    let mut start = 0;
    while start < last {
        window(pool, erasure_id, person, start).await?;
        start += WINDOW;
    }
    Ok(())
}

async fn window(
    pool: &SqlitePool,
    erasure_id: &str,
    person: Person<'_>,
    start: i64,
) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let taken: Vec<Removals> = sqlx::query_as(FIND.as_str())
        .bind(start)
        .bind(start + WINDOW)
        .bind(person.source)
        .bind(person.user_id)
        .bind(person.until)
        .fetch_all(&mut *transaction)
        .await?;
    if taken.is_empty() {
        return transaction.rollback().await;
    }
    sqlx::query(FORGET_THEM.as_str())
        .bind(start)
        .bind(start + WINDOW)
        .bind(person.source)
        .bind(person.user_id)
        .bind(person.until)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(NOTE_ROWS).bind(erasure_id).bind(taken.len() as i64).execute(&mut *transaction).await?;
    let now = Utc::now().timestamp_micros();
    people_deltas::note!(transaction, noted(erasure_id, person.source, &taken).into_iter(), now);
    rollups::add(&mut transaction, &taken_off(person.source, &taken)).await?;
    transaction.commit().await
}
