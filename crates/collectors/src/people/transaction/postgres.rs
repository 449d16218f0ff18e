//! Statements on the tables of people for PostgreSQL: set-based over arrays, sorted by key.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, FromRow, PgConnection, postgres::PgRow};
use weir_database::people::PersonKey;

use super::{Alias, BucketKey, Derived, DictionaryEntry, PeopleBucket, SketchRow};

// Each key is looked up by itself: `OFFSET 0` keeps the planner from reversing the join, at any estimate of sizes.
// With statistics from when a source had no people, the planner read all people of the source and compared each with
// all keys.
const PEOPLE: &str = "SELECT known.* FROM UNNEST($2::bytea[]) AS asked (key) CROSS JOIN LATERAL ( \
    SELECT key, number, marks FROM people WHERE source = $1 AND people.key = asked.key OFFSET 0) AS known";
const ALIASES: &str = "SELECT known.* FROM UNNEST($2::bigint[]) AS asked (number) CROSS JOIN LATERAL ( \
    SELECT number, alias, marks FROM people_aliases WHERE source = $1 AND people_aliases.number = asked.number \
    OFFSET 0) AS known";
const ADD_PEOPLE: &str = "INSERT INTO people (source, key, number, marks) \
    SELECT $1, * FROM UNNEST($2::bytea[], $3::bigint[], $4::bytea[])";
const ADD_ALIASES: &str = "INSERT INTO people_aliases (source, number, alias, marks) \
    SELECT $1, * FROM UNNEST($2::bigint[], $3::bigint[], $4::bytea[])";
const DROP_PEOPLE: &str = "DELETE FROM people WHERE source = $1 AND key = ANY($2)";
const DROP_ALIASES: &str = "DELETE FROM people_aliases WHERE source = $1 AND number = ANY($2)";
const WRITE_BUCKETS: &str = "INSERT INTO people_sets (source, grain, bucket, sightings, data) \
    SELECT $1, * FROM UNNEST($2::smallint[], $3::bigint[], $4::bigint[], $5::bytea[]) \
    ON CONFLICT (source, grain, bucket) DO UPDATE SET sightings = excluded.sightings, data = excluded.data";
const WRITE_SKETCHES: &str = "INSERT INTO people_sketches (source, grain, bucket, sightings, users, data) \
    SELECT $1, * FROM UNNEST($2::smallint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[]) \
    ON CONFLICT (source, grain, bucket) DO UPDATE \
    SET sightings = excluded.sightings, users = excluded.users, data = excluded.data";

pub(super) async fn people(
    connection: &mut PgConnection,
    source: i16,
    keys: &[PersonKey],
) -> Result<Vec<(Vec<u8>, i64, Vec<u8>)>, sqlx::Error> {
    let keys: Vec<&[u8]> = keys.iter().map(|key| &key.0[..]).collect();
    // Planned each time, here and below: a plan that was made while the table was small would read all of it.
    sqlx::query_as(PEOPLE).bind(source).bind(keys).persistent(false).fetch_all(connection).await
}

pub(super) async fn aliases(
    connection: &mut PgConnection,
    source: i16,
    numbers: &[u32],
) -> Result<Vec<(i64, i64, Vec<u8>)>, sqlx::Error> {
    let numbers: Vec<i64> = numbers.iter().copied().map(i64::from).collect();
    sqlx::query_as(ALIASES).bind(source).bind(numbers).persistent(false).fetch_all(connection).await
}

pub(super) async fn add_people(
    connection: &mut PgConnection,
    source: i16,
    people: &[DictionaryEntry],
) -> Result<(), sqlx::Error> {
    sqlx::query(ADD_PEOPLE)
        .bind(source)
        .bind(people.iter().map(|person| &person.key.0[..]).collect::<Vec<_>>())
        .bind(people.iter().map(|person| i64::from(person.number)).collect::<Vec<_>>())
        .bind(people.iter().map(|person| person.hashes.to_blob()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn add_aliases(
    connection: &mut PgConnection,
    source: i16,
    aliases: &[Alias],
) -> Result<(), sqlx::Error> {
    sqlx::query(ADD_ALIASES)
        .bind(source)
        .bind(aliases.iter().map(|alias| i64::from(alias.number)).collect::<Vec<_>>())
        .bind(aliases.iter().map(|alias| i64::from(alias.alias)).collect::<Vec<_>>())
        .bind(aliases.iter().map(|alias| alias.hashes.to_blob()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn drop_people(
    connection: &mut PgConnection,
    source: i16,
    people: &[DictionaryEntry],
) -> Result<(), sqlx::Error> {
    let numbers: Vec<i64> = people.iter().map(|person| i64::from(person.number)).collect();
    let keys: Vec<&[u8]> = people.iter().map(|person| &person.key.0[..]).collect();
    sqlx::query(DROP_ALIASES).bind(source).bind(numbers).persistent(false).execute(&mut *connection).await?;
    sqlx::query(DROP_PEOPLE).bind(source).bind(keys).persistent(false).execute(connection).await?;
    Ok(())
}

/// The stored bytes of the buckets that there are.
pub(super) async fn sizes(
    connection: &mut PgConnection,
    derived: Derived,
    source: i16,
    buckets: &[BucketKey],
) -> Result<HashMap<BucketKey, i64>, sqlx::Error> {
    let rows: Vec<(i16, i64, i64)> =
        stored(connection, derived, "CAST(length(data) AS BIGINT)", source, buckets).await?;
    Ok(rows.into_iter().map(|(grain, bucket, size)| ((grain, bucket), size)).collect())
}

/// Observations and data of the buckets that there are.
pub(super) async fn blobs(
    connection: &mut PgConnection,
    derived: Derived,
    source: i16,
    buckets: &[BucketKey],
) -> Result<HashMap<BucketKey, (i64, Vec<u8>)>, sqlx::Error> {
    let rows: Vec<(i16, i64, i64, Vec<u8>)> =
        stored(connection, derived, "sightings, data", source, buckets).await?;
    let row = |(grain, bucket, observations, data)| ((grain, bucket), (observations, data));
    Ok(rows.into_iter().map(row).collect())
}

/// Grain, start and these columns of the buckets that there are.
async fn stored<Row>(
    connection: &mut PgConnection,
    derived: Derived,
    columns: &str,
    source: i16,
    buckets: &[BucketKey],
) -> Result<Vec<Row>, sqlx::Error>
where
    Row: for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    let statement = format!(
        "SELECT asked.*, known.* FROM UNNEST($2::smallint[], $3::bigint[]) AS asked (grain, bucket) \
         CROSS JOIN LATERAL ( \
            SELECT {columns} FROM {} AS stored \
            WHERE source = $1 AND stored.grain = asked.grain AND stored.bucket = asked.bucket OFFSET 0) AS known",
        derived.table()
    );
    let (grains, starts): (Vec<i16>, Vec<i64>) = buckets.iter().copied().unzip();
    let query = sqlx::query_as(AssertSqlSafe(statement)).bind(source).bind(grains).bind(starts);
    query.persistent(false).fetch_all(connection).await
}

pub(super) async fn write_buckets(
    connection: &mut PgConnection,
    source: i16,
    buckets: &[(BucketKey, PeopleBucket)],
) -> Result<(), sqlx::Error> {
    sqlx::query(WRITE_BUCKETS)
        .bind(source)
        .bind(buckets.iter().map(|((grain, _), _)| *grain).collect::<Vec<_>>())
        .bind(buckets.iter().map(|((_, start), _)| *start).collect::<Vec<_>>())
        .bind(buckets.iter().map(|(_, bucket)| bucket.observations).collect::<Vec<_>>())
        .bind(buckets.iter().map(|(_, bucket)| bucket.sets.to_blob()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn write_sketches(
    connection: &mut PgConnection,
    source: i16,
    rows: &[SketchRow],
) -> Result<(), sqlx::Error> {
    sqlx::query(WRITE_SKETCHES)
        .bind(source)
        .bind(rows.iter().map(|row| row.grain).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.start).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.observations).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.users).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.data.as_slice()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}
