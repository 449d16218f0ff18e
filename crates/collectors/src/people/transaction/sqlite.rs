//! Statements on the tables of people for SQLite: a few rows for each.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, FromRow, QueryBuilder, Sqlite, SqliteConnection, sqlite::SqliteRow};
use weir_database::people::PersonKey;

use super::{Alias, BucketKey, Derived, DictionaryEntry, PeopleBucket, SketchRow};
use crate::store::ROWS_PER_STATEMENT;

const WRITE_BUCKET: &str = "INSERT INTO people_sets (source, grain, bucket, sightings, data) \
    VALUES ($1, $2, $3, $4, $5) \
    ON CONFLICT (source, grain, bucket) DO UPDATE SET sightings = excluded.sightings, data = excluded.data";

const WRITE_SKETCH: &str = "INSERT INTO people_sketches (source, grain, bucket, sightings, users, data) \
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (source, grain, bucket) DO UPDATE \
    SET sightings = excluded.sightings, users = excluded.users, data = excluded.data";

pub(super) async fn people(
    connection: &mut SqliteConnection,
    source: i16,
    keys: &[PersonKey],
) -> Result<Vec<(Vec<u8>, i64, Vec<u8>)>, sqlx::Error> {
    let mut found = Vec::new();
    for keys in keys.chunks(ROWS_PER_STATEMENT) {
        let mut statement =
            QueryBuilder::<Sqlite>::new("SELECT key, number, marks FROM people WHERE source = ");
        statement.push_bind(source).push(" AND key IN ");
        statement.push_tuples(keys, |mut tuple, key| {
            tuple.push_bind(key.0.to_vec());
        });
        let query = statement.build_query_as().persistent(keys.len() == ROWS_PER_STATEMENT);
        found.extend(query.fetch_all(&mut *connection).await?);
    }
    Ok(found)
}

pub(super) async fn aliases(
    connection: &mut SqliteConnection,
    source: i16,
    numbers: &[u32],
) -> Result<Vec<(i64, i64, Vec<u8>)>, sqlx::Error> {
    let mut found = Vec::new();
    for numbers in numbers.chunks(ROWS_PER_STATEMENT) {
        let mut statement =
            QueryBuilder::<Sqlite>::new("SELECT number, alias, marks FROM people_aliases WHERE source = ");
        statement.push_bind(source).push(" AND number IN ");
        statement.push_tuples(numbers, |mut tuple, number| {
            tuple.push_bind(i64::from(*number));
        });
        let query = statement.build_query_as().persistent(numbers.len() == ROWS_PER_STATEMENT);
        found.extend(query.fetch_all(&mut *connection).await?);
    }
    Ok(found)
}

pub(super) async fn add_people(
    connection: &mut SqliteConnection,
    source: i16,
    people: &[DictionaryEntry],
) -> Result<(), sqlx::Error> {
    for people in people.chunks(ROWS_PER_STATEMENT) {
        let mut statement = QueryBuilder::<Sqlite>::new("INSERT INTO people (source, key, number, marks) ");
        statement.push_values(people, |mut tuple, person| {
            tuple.push_bind(source).push_bind(person.key.0.to_vec());
            tuple.push_bind(i64::from(person.number)).push_bind(person.hashes.to_blob());
        });
        let query = statement.build().persistent(people.len() == ROWS_PER_STATEMENT);
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

pub(super) async fn add_aliases(
    connection: &mut SqliteConnection,
    source: i16,
    aliases: &[Alias],
) -> Result<(), sqlx::Error> {
    for aliases in aliases.chunks(ROWS_PER_STATEMENT) {
        let mut statement =
            QueryBuilder::<Sqlite>::new("INSERT INTO people_aliases (source, number, alias, marks) ");
        statement.push_values(aliases, |mut tuple, alias| {
            tuple.push_bind(source).push_bind(i64::from(alias.number));
            tuple.push_bind(i64::from(alias.alias)).push_bind(alias.hashes.to_blob());
        });
        let query = statement.build().persistent(aliases.len() == ROWS_PER_STATEMENT);
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

pub(super) async fn drop_people(
    connection: &mut SqliteConnection,
    source: i16,
    people: &[DictionaryEntry],
) -> Result<(), sqlx::Error> {
    for person in people {
        sqlx::query("DELETE FROM people_aliases WHERE source = $1 AND number = $2")
            .bind(source)
            .bind(i64::from(person.number))
            .execute(&mut *connection)
            .await?;
        sqlx::query("DELETE FROM people WHERE source = $1 AND key = $2")
            .bind(source)
            .bind(&person.key.0[..])
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// The stored bytes of the buckets that there are.
pub(super) async fn sizes(
    connection: &mut SqliteConnection,
    derived: Derived,
    source: i16,
    buckets: &[BucketKey],
) -> Result<HashMap<BucketKey, i64>, sqlx::Error> {
    let found: HashMap<BucketKey, (i64,)> =
        stored(connection, derived, "length(data)", source, buckets).await?;
    Ok(found.into_iter().map(|(bucket, (size,))| (bucket, size)).collect())
}

/// Observations and data of the buckets that there are.
pub(super) async fn blobs(
    connection: &mut SqliteConnection,
    derived: Derived,
    source: i16,
    buckets: &[BucketKey],
) -> Result<HashMap<BucketKey, (i64, Vec<u8>)>, sqlx::Error> {
    stored(connection, derived, "sightings, data", source, buckets).await
}

/// These columns of the buckets that there are.
async fn stored<Row>(
    connection: &mut SqliteConnection,
    derived: Derived,
    columns: &str,
    source: i16,
    buckets: &[BucketKey],
) -> Result<HashMap<BucketKey, Row>, sqlx::Error>
where
    Row: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
{
    let table = derived.table();
    let statement = format!("SELECT {columns} FROM {table} WHERE source = $1 AND grain = $2 AND bucket = $3");
    let mut found = HashMap::with_capacity(buckets.len());
    for (grain, start) in buckets {
        let query = sqlx::query_as(AssertSqlSafe(statement.as_str())).bind(source).bind(grain).bind(start);
        let row = query.fetch_optional(&mut *connection).await?;
        found.extend(row.map(|row| ((*grain, *start), row)));
    }
    Ok(found)
}

pub(super) async fn write_buckets(
    connection: &mut SqliteConnection,
    source: i16,
    buckets: &[(BucketKey, PeopleBucket)],
) -> Result<(), sqlx::Error> {
    for ((grain, start), bucket) in buckets {
        sqlx::query(WRITE_BUCKET)
            .bind(source)
            .bind(grain)
            .bind(start)
            .bind(bucket.observations)
            .bind(bucket.sets.to_blob())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

pub(super) async fn write_sketches(
    connection: &mut SqliteConnection,
    source: i16,
    rows: &[SketchRow],
) -> Result<(), sqlx::Error> {
    for row in rows {
        sqlx::query(WRITE_SKETCH)
            .bind(source)
            .bind(row.grain)
            .bind(row.start)
            .bind(row.observations)
            .bind(row.users)
            .bind(&row.data)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
