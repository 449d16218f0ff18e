//! The people, from sets of numbers.

use std::sync::Arc;

use sea_orm::DbErr;
use weir::contract::event::v1::Source;
use weir_database::people::{Dimension, PARTITIONS, Sets, USERS};

use super::{
    Mean, attribute_cache::Generation, counts::Counts, measured, parallel::at_once, read_sets::Seen,
    result::Counted, unfolded::Fresh,
};
use crate::{store::Snapshot, time_range::Span};

/// Chunks that are counted at once: 2 million numbers, so that no answer holds all columns of a hundred millions.
const CHUNKS_AT_ONCE: usize = 256;
/// Of 8,192 numbers each: with most of them taken, some milliseconds.
const CHUNKS_WORTH_TWO: usize = 8;

/// What sets tell of a source within a span: its people, and the mean of its measured events.
///
/// `None` where the sets do not have every event yet that the rollups count: then rows are to be asked.
pub(super) async fn counted(
    snapshot: &Snapshot,
    source: Source,
    span: Span,
    limit: usize,
) -> Result<Option<(Counted, Mean)>, DbErr> {
    let mean = measured::mean(snapshot, source, span).await?;
    let seen = Seen::read(snapshot, source, span).await?;
    if seen.counted + seen.ragged_rows() != mean.events.cast_signed() {
        return Ok(None);
    }
    let fresh = Fresh::find(snapshot, source, seen.sightings()?).await?;
    let mut sets = seen.sets.clone();
    sets.unite(&fresh.sets);
    let users = sets.slot(USERS).len() + fresh.users;
    let sets = Arc::new(sets);
    let generation = snapshot.columns().generation();
    let partitions = partitions(users, snapshot.columns().exact_users);
    let mut counts = count(snapshot, source, &generation, &sets, Counts::of(partitions)).await?;
    let mut kept = generation.kept();
    for (key, dimension, traits) in &fresh.members {
        counts.add_member(&mut kept, key, *dimension, traits);
    }
    counts.make_room(&kept);
    Ok(Some((counts.told(&kept, users, limit), mean)))
}

/// How many partitions have at most `exact` of `users`, at least one.
fn partitions(users: u64, exact: u64) -> u32 {
    let all = u64::from(PARTITIONS);
    let partitions = if users <= exact { all } else { (all * exact / users).clamp(1, all - 1) };
    u32::try_from(partitions).unwrap_or(PARTITIONS)
}

async fn count(
    snapshot: &Snapshot,
    source: Source,
    generation: &Arc<Generation>,
    sets: &Arc<Sets>,
    mut counts: Counts,
) -> Result<Counts, DbErr> {
    let members = Dimension::ALL.into_iter().fold(sets.slot(USERS).clone(), |all, dimension| {
        if sets.is_same(USERS, dimension as usize + 1) { all } else { all | sets.dimension(dimension) }
    });
    for places in counts.places(sets).chunks(CHUNKS_AT_ONCE) {
        let chunks = generation.chunks(snapshot, source, places, &members).await?;
        counts.make_room(&generation.kept());
        let (sets, none) = (Arc::clone(sets), counts.emptied());
        let parts = at_once(chunks, CHUNKS_WORTH_TWO, move |chunks| {
            let mut counts = none.clone();
            counts.add(&sets, &chunks);
            counts
        });
        parts.await?.iter().for_each(|part| counts.merge(part));
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_never_larger_than_what_is_counted_exactly() {
        let all = PARTITIONS;
        for (users, exact, counted) in [
            (0, 2_000_000, all),
            (2_000_000, 2_000_000, all),
            (2_000_001, 2_000_000, 15),
            (4_000_000, 2_000_000, 8),
            (5_000_000, 2_000_000, 6),
            (1_000_000_000, 2_000_000, 1),
        ] {
            assert_eq!(partitions(users, exact), counted, "{users}");
        }
    }
}
