//! Erasure of a person from the dictionary, the columns and the sets. Rows that arrived after the request are added
//! again, with new numbers.

use std::collections::{BTreeMap, BTreeSet};

use roaring::RoaringBitmap;
use weir_database::{
    id_code::IdCode,
    people::{Attributes, BLOCK, Block, Observation, PersonKey, Removals},
    time_bucket::MINUTE,
};
use weir_journal::Erasure;

use super::{
    Derived, People, PeopleError,
    minutes::buckets_of_minute,
    sketching::{add_to_sketches, remove_from_sketches},
    transaction::{BucketKey, JobTransaction, PeopleBucket, with_connection},
};
use crate::store::{last_arrival, to_smallint};

const REMOVALS: &str = "SELECT id, data FROM people_deltas WHERE source = $1 AND erasure_id = $2 ORDER BY id";
const DELETE_DELTAS: &str = "DELETE FROM people_deltas WHERE source = $1 AND erasure_id = $2";
/// Uses the index of arrivals.
const ROWS_LEFT_IN_SQLITE: &str = "SELECT occurred_at, age, gender, followers, device, country, city FROM events \
    WHERE arrived_at > $3 AND source = $1 AND user_id = $2";
/// Uses the summaries of persons, as the search of `anonymize.rs` does.
const ROWS_LEFT_IN_POSTGRES: &str = "SELECT occurred_at, age, gender, followers, device, country, city FROM events \
    WHERE segment > 0 AND arrived_at > $3 AND source + 0 = $1 AND user_code = $2 \
    UNION ALL SELECT occurred_at, age, gender, followers, device, country, city FROM events \
    WHERE segment = 0 AND arrived_at > $3 AND source + 0 = $1 AND old_user_id = weir_id($2)";
const AVOID_WHOLE_TABLES: &str = "SET LOCAL enable_seqscan = off";
const ALLOW_WHOLE_TABLES: &str = "SET LOCAL enable_seqscan = DEFAULT";

/// A row of the person that is left.
type RowLeft = (i64, Option<i16>, Option<i16>, Option<i64>, Option<i16>, Option<String>, Option<String>);

impl People {
    /// Erases the person of rows that [`Store::anonymize_rows`](crate::store::Store::anonymize_rows) has anonymized.
    /// Until this is done, reports answer the minutes of those rows from rows, because sets and rollups count
    /// differently.
    ///
    /// # Errors
    /// The database can't be written now. The call can be repeated, also after a success.
    pub async fn erase(&self, erasure: &Erasure) -> Result<(), PeopleError> {
        let (source, user_id) = (to_smallint(erasure.source.number()), erasure.user_id.as_str());
        // Deltas from before the anonymization may have the person. Later ones are of rows that arrived after the
        // request.
        self.fold_all(source).await?;
        let mut transaction = self.begin_when_free().await?;
        let removals = removals(&mut transaction, source, &erasure.id).await?;
        let left = rows_left(&mut transaction, source, user_id, last_arrival(erasure)).await?;
        let key = PersonKey::of(user_id);
        let left: Vec<Observation<'_>> = left.iter().map(|row| observation(source, key, row)).collect();
        let numbers = delete_person(&mut transaction, source, key).await?;
        let rows = rows_by_bucket(&removals, &left);
        remove_from_sketches(&mut transaction, source, &rows, key).await?;
        remove_numbers(&mut transaction, source, rows, &numbers).await?;
        // With weight 0, because each was counted when it was folded, or will be.
        add_to_sketches(&mut transaction, source, &left, 0).await?;
        self.add_observations(&mut transaction, source, &left, 0).await?;
        with_connection!(&mut transaction, connection => {
            sqlx::query(DELETE_DELTAS).bind(source).bind(&erasure.id).execute(connection).await?;
        });
        Ok(transaction.commit().await?)
    }
}

/// The person's rows that arrived after `until`, µs since the Unix epoch.
async fn rows_left(
    transaction: &mut JobTransaction,
    source: i16,
    user_id: &str,
    until: i64,
) -> Result<Vec<RowLeft>, sqlx::Error> {
    match transaction {
        JobTransaction::Postgres(transaction) => {
            let query =
                sqlx::query_as(ROWS_LEFT_IN_POSTGRES).bind(source).bind(IdCode::of(user_id)).bind(until);
            sqlx::query(AVOID_WHOLE_TABLES).execute(&mut **transaction).await?;
            let left = query.persistent(false).fetch_all(&mut **transaction).await?;
            sqlx::query(ALLOW_WHOLE_TABLES).execute(&mut **transaction).await?;
            Ok(left)
        }
        JobTransaction::Sqlite(transaction) => {
            let query = sqlx::query_as(ROWS_LEFT_IN_SQLITE).bind(source).bind(user_id).bind(until);
            query.fetch_all(&mut **transaction).await
        }
    }
}

/// Anonymized rows by minute, from the deltas of the erasure.
async fn removals(
    transaction: &mut JobTransaction,
    source: i16,
    erasure_id: &str,
) -> Result<BTreeMap<i64, u64>, PeopleError> {
    let deltas: Vec<(i64, Vec<u8>)> = with_connection!(&mut *transaction, connection => {
        sqlx::query_as(REMOVALS).bind(source).bind(erasure_id).fetch_all(connection).await?
    });
    let mut rows = BTreeMap::new();
    for (_, data) in deltas {
        for (minute, number) in Removals::read(&data)?.0 {
            *rows.entry(minute).or_default() += number;
        }
    }
    Ok(rows)
}

fn observation(source: i16, key: PersonKey, row: &RowLeft) -> Observation<'_> {
    let (occurred_at, age, gender, followers, device, country, city) = row;
    let (country, city) = (country.as_deref(), city.as_deref());
    let attributes = Attributes::of_row(source, *age, *gender, *followers, *device, country, city);
    Observation { minute: occurred_at.div_euclid(MINUTE), key, attributes }
}

/// Removes a person from the dictionary, and the person's attributes from the columns. Returns all numbers of the
/// person.
async fn delete_person(
    transaction: &mut JobTransaction,
    source: i16,
    key: PersonKey,
) -> Result<RoaringBitmap, PeopleError> {
    let known = transaction.people(source, &[key]).await?;
    let own: Vec<u32> = known.iter().map(|person| person.number).collect();
    let aliases = transaction.aliases(source, &own).await?;
    let numbers: RoaringBitmap =
        own.into_iter().chain(aliases.into_iter().map(|alias| alias.alias)).collect();
    transaction.drop_people(source, &known).await?;
    let blocks: BTreeSet<u32> = numbers.iter().map(|number| number / BLOCK).collect();
    for block in blocks {
        let Some(stored) = transaction.block(source, block.into()).await? else { continue };
        let mut attributes = Block::read(&stored.data)?;
        for (number, traits) in (block * BLOCK..).zip(&mut attributes.0) {
            if numbers.contains(number) {
                *traits = Attributes::default();
            }
        }
        transaction.write_block(source, block.into(), &attributes).await?;
    }
    Ok(numbers)
}

/// The buckets that may have the person, each with its number of anonymized rows: the buckets of those rows, which count
/// no longer, and of rows that are left.
fn rows_by_bucket(removals: &BTreeMap<i64, u64>, left: &[Observation<'_>]) -> BTreeMap<BucketKey, i64> {
    let mut rows: BTreeMap<BucketKey, i64> = BTreeMap::new();
    let removals = removals.iter().map(|(minute, rows)| (*minute, rows.cast_signed()));
    for (minute, number) in removals.chain(left.iter().map(|observation| (observation.minute, 0))) {
        buckets_of_minute(minute).into_iter().for_each(|bucket| *rows.entry(bucket).or_default() += number);
    }
    rows
}

/// Removes numbers from buckets, and so many observations from each.
async fn remove_numbers(
    transaction: &mut JobTransaction,
    source: i16,
    rows: BTreeMap<BucketKey, i64>,
    numbers: &RoaringBitmap,
) -> Result<(), PeopleError> {
    let buckets: Vec<BucketKey> = rows.keys().copied().collect();
    for part in transaction.parts(Derived::Sets, source, &buckets).await? {
        let mut left: Vec<(BucketKey, PeopleBucket)> =
            part.iter().copied().zip(transaction.buckets(source, part).await?).collect();
        for (key, bucket) in &mut left {
            bucket.observations -= rows[key];
            bucket.sets.remove(numbers);
        }
        transaction.write_buckets(source, &left).await?;
    }
    Ok(())
}
