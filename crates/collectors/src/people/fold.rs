//! Folding: what storing noted goes into numbers and sets, and is gone in the same transaction.

use weir_database::people::{MINUTE, Observation, Observations};

use super::{
    People, PeopleError, Step,
    minutes::Minutes,
    numbering,
    session::{Bucket, Bucketed, Session, on_either},
};

/// Deltas that are looked at to choose from.
const WAITING: &str = "SELECT id, sightings FROM people_deltas WHERE source = $1 AND erasure_id IS NULL AND id <= $2 \
    ORDER BY id LIMIT 256";
const LAST: &str = "SELECT COALESCE(MAX(id), 0) FROM people_deltas WHERE source = $1 AND erasure_id IS NULL";
const DATA: &str = "SELECT data FROM people_deltas WHERE id = $1";
const DONE: &str = "DELETE FROM people_deltas WHERE id = $1";

impl People {
    /// Folds the oldest deltas of a source, `most` sightings of them, but at least one.
    ///
    /// # Errors
    /// The store does not take it now; nothing has changed then.
    pub async fn fold(&self, source: i16, most: u64) -> Result<Step, PeopleError> {
        let Some(mut session) = self.begin().await? else { return Ok(Step::Busy) };
        let folded = fold(&mut session, source, most, i64::MAX).await?;
        session.commit().await?;
        Ok(if folded == 0 { Step::Idle } else { Step::Did(folded) })
    }

    /// Folds everything of a source that is there when it begins, waiting for its turns.
    ///
    /// # Errors
    /// The store does not take it now; what was folded stays so.
    pub async fn fold_all(&self, source: i16) -> Result<(), PeopleError> {
        /// Short enough that nobody waits for long.
        const AT_ONCE: u64 = 8_192;
        // Who stores goes on meanwhile, and need not be waited for.
        let mut last = None;
        loop {
            let mut session = self.begin_patiently().await?;
            let last = match last {
                Some(last) => last,
                None => *last.insert(newest(&mut session, source).await?),
            };
            let folded = fold(&mut session, source, AT_ONCE, last).await?;
            session.commit().await?;
            if folded == 0 {
                return Ok(());
            }
        }
    }
}

async fn newest(session: &mut Session, source: i16) -> Result<i64, sqlx::Error> {
    on_either!(session, connection => sqlx::query_scalar(LAST).bind(source).fetch_one(connection).await)
}

/// Folds deltas up to the one with the id `last`.
async fn fold(session: &mut Session, source: i16, most: u64, last: i64) -> Result<u64, PeopleError> {
    let waiting: Vec<(i64, i64)> = on_either!(&mut *session, connection => {
        sqlx::query_as(WAITING).bind(source).bind(last).fetch_all(connection).await?
    });
    let (mut deltas, mut folded) = (Vec::new(), 0);
    for (id, sightings) in waiting {
        let sightings = sightings.unsigned_abs();
        if !deltas.is_empty() && folded + sightings > most {
            break;
        }
        folded += sightings;
        let data: Vec<u8> = on_either!(&mut *session, connection => {
            sqlx::query_scalar(DATA).bind(id).fetch_one(connection).await?
        });
        deltas.push((id, data));
    }
    let mut sightings: Vec<Observation<'_>> = Vec::with_capacity(usize::try_from(folded).unwrap_or_default());
    for (_, data) in &deltas {
        sightings.extend(Observations::read(data)?);
    }
    see(session, source, &sightings, 1).await?;
    for (id, _) in &deltas {
        on_either!(&mut *session, connection => {
            sqlx::query(DONE).bind(id).execute(connection).await?;
        });
    }
    Ok(folded)
}

/// Puts sightings into every bucket, each of which counts as `weight` events. What lies before the horizon is left out:
/// nobody can ask about it.
pub(super) async fn see(
    session: &mut Session,
    source: i16,
    sightings: &[Observation<'_>],
    weight: i64,
) -> Result<(), PeopleError> {
    let horizon = session.horizon(source).await?.div_euclid(MINUTE);
    let sightings: Vec<Observation<'_>> =
        sightings.iter().filter(|sighting| sighting.minute >= horizon).copied().collect();
    let mut minutes = Minutes::default();
    for (sighting, numbers) in sightings.iter().zip(numbering::number(session, source, &sightings).await?) {
        minutes.add(sighting.minute, &numbers, weight);
    }
    let (buckets, added): (Vec<Bucket>, Vec<Bucketed>) = minutes.buckets().into_iter().unzip();
    let mut stored = session.buckets(source, &buckets).await?;
    stored.iter_mut().zip(&added).for_each(|(stored, added)| stored.add(added));
    let written: Vec<(Bucket, Bucketed)> = buckets.into_iter().zip(stored).collect();
    Ok(session.write_buckets(source, &written).await?)
}
