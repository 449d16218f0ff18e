//! Forgetting a person: out of the dictionary, the columns and the sets, and in again with new numbers where rows are
//! left that came after the order.

use std::collections::{BTreeMap, BTreeSet};

use roaring::RoaringBitmap;
use weir_database::people::{Attributes, BLOCK, Block, MINUTE, Observation, PersonKey, Removals};

use super::{
    People, PeopleError, fold,
    minutes::of_minute,
    session::{Bucket, Bucketed, Session, on_either},
};

const TAKEN_OUT: &str =
    "SELECT id, data FROM people_deltas WHERE source = $1 AND erasure_id = $2 ORDER BY id";
const DONE: &str = "DELETE FROM people_deltas WHERE source = $1 AND erasure_id = $2";
/// Found by the index of arrivals.
const LEFT: &str = "SELECT occurred_at, age, gender, followers, device, country, city FROM events \
    WHERE arrived_at > $3 AND source = $1 AND user_id = $2";

/// A row of [`LEFT`].
type LeftRow = (i64, Option<i16>, Option<i16>, Option<i64>, Option<i16>, Option<String>, Option<String>);

impl People {
    /// Takes a person out, whose rows that arrived until `until`, µs since the Unix epoch, an erasure made anonymous.
    ///
    /// Until this is done, reports of the minutes that it concerns are answered from rows: their sets count more
    /// sightings than the rollups do.
    ///
    /// # Errors
    /// The store does not take it now; it can be repeated, also where it was done.
    pub async fn forget(
        &self,
        erasure_id: &str,
        source: i16,
        user_id: &str,
        until: i64,
    ) -> Result<(), PeopleError> {
        // What was noted before the rows were made anonymous; what is noted from now on came in after the order.
        self.fold_all(source).await?;
        let mut session = self.begin_patiently().await?;
        let taken_out = taken_out(&mut session, source, erasure_id).await?;
        let left: Vec<LeftRow> = on_either!(&mut session, connection => {
            sqlx::query_as(LEFT).bind(source).bind(user_id).bind(until).fetch_all(connection).await?
        });
        let key = PersonKey::of(user_id);
        let left: Vec<Observation<'_>> = left.iter().map(|row| sighting(source, key, row)).collect();
        let numbers = drop_person(&mut session, source, key).await?;
        take_out(&mut session, source, &taken_out, &left, &numbers).await?;
        // They were counted when they were folded, or will be.
        fold::see(&mut session, source, &left, 0).await?;
        on_either!(&mut session, connection => {
            sqlx::query(DONE).bind(source).bind(erasure_id).execute(connection).await?;
        });
        Ok(session.commit().await?)
    }
}

/// Rows by minute that the erasure has noted.
async fn taken_out(
    session: &mut Session,
    source: i16,
    erasure_id: &str,
) -> Result<BTreeMap<i64, u64>, PeopleError> {
    let noted: Vec<(i64, Vec<u8>)> = on_either!(&mut *session, connection => {
        sqlx::query_as(TAKEN_OUT).bind(source).bind(erasure_id).fetch_all(connection).await?
    });
    let mut rows = BTreeMap::new();
    for (_, data) in noted {
        for (minute, number) in Removals::read(&data)?.0 {
            *rows.entry(minute).or_default() += number;
        }
    }
    Ok(rows)
}

fn sighting(source: i16, key: PersonKey, row: &LeftRow) -> Observation<'_> {
    let (occurred_at, age, gender, followers, device, country, city) = row;
    let (country, city) = (country.as_deref(), city.as_deref());
    let traits = Attributes::of_row(source, *age, *gender, *followers, *device, country, city);
    Observation { minute: occurred_at.div_euclid(MINUTE), key, attributes: traits }
}

/// Takes a person out of the dictionary, and what is told of the person out of the columns; returns every number that
/// was the person's.
async fn drop_person(
    session: &mut Session,
    source: i16,
    key: PersonKey,
) -> Result<RoaringBitmap, PeopleError> {
    let known = session.people(source, &[key]).await?;
    let own: Vec<u32> = known.iter().map(|person| person.number).collect();
    let aliases = session.aliases(source, &own).await?;
    let numbers: RoaringBitmap =
        own.into_iter().chain(aliases.into_iter().map(|alias| alias.alias)).collect();
    session.drop_people(source, &known).await?;
    let blocks: BTreeSet<u32> = numbers.iter().map(|number| number / BLOCK).collect();
    for block in blocks {
        let Some(stored) = session.block(source, block.into()).await? else { continue };
        let mut told = Block::read(&stored.data)?;
        for (number, traits) in (block * BLOCK..).zip(&mut told.0) {
            if numbers.contains(number) {
                *traits = Attributes::default();
            }
        }
        session.write_block(source, block.into(), &told).await?;
    }
    Ok(numbers)
}

/// Takes numbers out of every bucket that they can be in: those of rows that were made anonymous, which count no more,
/// and those of rows that are left.
async fn take_out(
    session: &mut Session,
    source: i16,
    taken_out: &BTreeMap<i64, u64>,
    left: &[Observation<'_>],
    numbers: &RoaringBitmap,
) -> Result<(), PeopleError> {
    let mut rows: BTreeMap<Bucket, i64> = BTreeMap::new();
    let taken_out = taken_out.iter().map(|(minute, rows)| (*minute, rows.cast_signed()));
    for (minute, number) in taken_out.chain(left.iter().map(|sighting| (sighting.minute, 0))) {
        of_minute(minute).into_iter().for_each(|bucket| *rows.entry(bucket).or_default() += number);
    }
    let (buckets, rows): (Vec<Bucket>, Vec<i64>) = rows.into_iter().unzip();
    let mut stored = session.buckets(source, &buckets).await?;
    for (bucketed, rows) in stored.iter_mut().zip(rows) {
        bucketed.sightings -= rows;
        bucketed.sets.remove(numbers);
    }
    let written: Vec<(Bucket, Bucketed)> = buckets.into_iter().zip(stored).collect();
    Ok(session.write_buckets(source, &written).await?)
}
