//! Pruning: sets that end before the horizon go, and with the last set that names somebody goes the somebody.

use roaring::RoaringBitmap;
use weir_database::people::{AttributeHashes, BLOCK, PersonKey, SLOTS, Sets};

use super::{
    People, PeopleError,
    transaction::{Known, Session, key_of, number_of, on_either},
};

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Of one grain, those that begin before a time.
const DROP_SETS: &str = "DELETE FROM people_sets WHERE source = $1 AND grain = $2 AND bucket <= $3";
const DAYS_BEFORE: &str = "SELECT COUNT(*) FROM people_sets WHERE source = $1 AND grain = 3 AND bucket <= $2";
const DAYS_SINCE: &str = "SELECT data FROM people_sets WHERE source = $1 AND grain = 3 AND bucket > $2";
const PAGE: &str = "SELECT key, number FROM people WHERE source = $1 AND key > $2 ORDER BY key LIMIT 5000";
const BLOCKS: &str = "SELECT block FROM people_columns WHERE source = $1 ORDER BY block";
const DROP_BLOCK: &str = "DELETE FROM people_columns WHERE source = $1 AND block = $2";

impl People {
    /// Takes out what the horizon has left behind, and tells how many people went. It looks at everybody once for each
    /// day that the horizon passes, some thousand at a time.
    ///
    /// # Errors
    /// The store does not take it now; what was pruned stays so, and the rest is found again.
    pub async fn prune(&self, source: i16) -> Result<u64, PeopleError> {
        let (mut pruned, mut after) = (0, Some(Vec::new()));
        while let Some(from) = after {
            let mut session = self.begin_patiently().await?;
            let horizon = session.horizon(source).await?;
            let ended = horizon.saturating_sub(DAY);
            let days: i64 = on_either!(&mut session, connection => {
                sqlx::query_scalar(DAYS_BEFORE).bind(source).bind(ended).fetch_one(connection).await?
            });
            if days == 0 {
                drop_sets(&mut session, source, horizon).await?;
                session.commit().await?;
                return Ok(pruned);
            }
            // Read anew each time: between two pages somebody may have come back.
            let alive = alive(&mut session, source, ended).await?;
            let gone;
            (gone, after) = prune_page(&mut session, source, &from, &alive).await?;
            pruned += gone;
            if after.is_none() {
                drop_blocks(&mut session, source, &alive).await?;
                drop_sets(&mut session, source, horizon).await?;
            }
            session.commit().await?;
        }
        Ok(pruned)
    }
}

/// Every number that a day which does not end by `ended` plus a day names.
async fn alive(session: &mut Session, source: i16, ended: i64) -> Result<RoaringBitmap, PeopleError> {
    let days: Vec<Vec<u8>> = on_either!(&mut *session, connection => {
        sqlx::query_scalar(DAYS_SINCE).bind(source).bind(ended).fetch_all(connection).await?
    });
    let mut all = Sets::default();
    for day in days {
        all.unite(&Sets::read(&day)?);
    }
    Ok((0..SLOTS).fold(RoaringBitmap::new(), |alive, slot| alive | all.slot(slot)))
}

/// How many of the people behind a key went, and where the next page begins.
async fn prune_page(
    session: &mut Session,
    source: i16,
    after: &[u8],
    alive: &RoaringBitmap,
) -> Result<(u64, Option<Vec<u8>>), PeopleError> {
    let page: Vec<(Vec<u8>, i64)> = on_either!(&mut *session, connection => {
        sqlx::query_as(PAGE).bind(source).bind(after).fetch_all(connection).await?
    });
    let last = page.last().map(|(key, _)| key.clone());
    let mut dead = Vec::new();
    for (key, number) in page {
        let (key, number): (PersonKey, u32) = (key_of(key)?, number_of(number)?);
        if !alive.contains(number) {
            dead.push(Known { key, number, marks: AttributeHashes::default() });
        }
    }
    session.drop_people(source, &dead).await?;
    Ok((dead.len() as u64, last))
}

/// Blocks of numbers that nobody has any more, but for the last of each partition, behind which numbers go on.
async fn drop_blocks(session: &mut Session, source: i16, alive: &RoaringBitmap) -> Result<(), PeopleError> {
    let blocks: Vec<i64> = on_either!(&mut *session, connection => {
        sqlx::query_scalar(BLOCKS).bind(source).fetch_all(connection).await?
    });
    let partition = |block: i64| number_of(block * i64::from(BLOCK)).map(|number| number >> 28);
    for (place, block) in blocks.iter().enumerate() {
        let first = number_of(block * i64::from(BLOCK))?;
        let is_last = match blocks.get(place + 1) {
            Some(next) => partition(*next)? != partition(*block)?,
            None => true,
        };
        if !is_last && alive.range_cardinality(first..=first + (BLOCK - 1)) == 0 {
            on_either!(&mut *session, connection => {
                sqlx::query(DROP_BLOCK).bind(source).bind(block).execute(connection).await?;
            });
        }
    }
    Ok(())
}

/// What ends at or before the horizon.
async fn drop_sets(session: &mut Session, source: i16, horizon: i64) -> Result<(), sqlx::Error> {
    for (grain, width) in [(1_i16, MINUTE), (2, HOUR), (3, DAY)] {
        on_either!(&mut *session, connection => {
            sqlx::query(DROP_SETS)
                .bind(source)
                .bind(grain)
                .bind(horizon.saturating_sub(width))
                .execute(connection)
                .await?;
        });
    }
    Ok(())
}
