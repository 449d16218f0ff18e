//! Users from sets of numbers, and the mean of their ages or followers from rollups.

use std::sync::Arc;

use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{CaseStatement, Condition, Expr, ExprTrait as _},
};
use weir::contract::event::v1::Source;
use weir_database::{
    entity::events::Column,
    people::{Dimension, PARTITIONS, Sets, USERS},
    split_sum::{SplitSum, halves},
};

use super::{
    attribute_cache::{AttributeCache, CacheEpoch},
    counts::Counts,
    observed_users::{Lacking, ObservedUsers, SeenUser},
    parallel::in_parallel,
    read_sets::SeenUsers,
    result::{SumAndCount, Users},
    unfolded::Unfolded,
};
use crate::{
    error::ReportError,
    rollups::{RollupColumn, RollupQuery, RollupTable, source_is},
    store::Snapshot,
    time_range::TimeRange,
};

/// Chunks that one pass counts: 2 million numbers, so that no report holds the attributes of a hundred million users.
const CHUNKS_PER_PASS: usize = 256;
/// Chunks that are worth two threads: with most of their 8,192 numbers in the sets, some milliseconds.
const MIN_PARALLEL_CHUNKS: usize = 8;

#[derive(FromQueryResult)]
struct MeanRow {
    measured: i64,
    #[sea_orm(nested)]
    sum: SplitSum,
}

/// The users of a source in a range of so many `events` with a user.
///
/// `None` where the sets miss events that the rollups count: the caller must count rows.
///
/// # Errors
/// The store can't be read, or more users wait to be folded than one report may hold.
pub(super) async fn count(
    snapshot: &Snapshot,
    cache: &AttributeCache,
    source: Source,
    range: TimeRange,
    events: u64,
    limit: usize,
) -> Result<Option<Users>, ReportError> {
    let seen = SeenUsers::read(snapshot, source, range).await?;
    let waiting = events.saturating_sub_signed(seen.events);
    let _permit = cache.large_answer(waiting).await;
    let epoch = cache.epoch();
    let mut unfolded = Unfolded::with_room(waiting);
    let observed = ObservedUsers::of(source, range);
    let add = |users: &[SeenUser<'_>]| unfolded.add(&mut epoch.lock(), users);
    let added = observed.visit(snapshot, Lacking::Sets, add);
    if seen.events + added.await? != events.cast_signed() {
        return Ok(None);
    }
    let unfolded = unfolded.find_numbers(snapshot, source, &epoch).await?;
    let mut sets = seen.sets;
    sets.unite(&unfolded.sets);
    let users = sets.slot(USERS).len() + unfolded.new_users;
    let sets = Arc::new(sets);
    let partitions = partitions(users, cache.max_exact_users);
    let mut counts = count_sets(snapshot, source, &epoch, &sets, Counts::new(partitions)).await?;
    let cached = epoch.lock();
    counts.grow(&cached);
    unfolded.count(&mut counts);
    Ok(Some(counts.finish(&cached, users, limit)))
}

/// The mean age or number of followers over the events that have one.
pub(super) async fn mean(
    snapshot: &Snapshot,
    source: Source,
    range: TimeRange,
) -> Result<SumAndCount, DbErr> {
    let column = if source == Source::Facebook { Column::Age } else { Column::Followers };
    let is_measured: Expr =
        CaseStatement::new().case(Expr::col(column).is_not_null(), 1_i64).finally(0_i64).into();
    let [high, low] = halves(Expr::col(column)).map(|half| half.if_null(0_i64).cast_as("BIGINT"));
    let query = RollupQuery {
        table: RollupTable::Events,
        ranges: vec![range],
        filter: Condition::all().add(source_is(source)),
        rows: Condition::all(),
        sums: vec![
            RollupColumn::new("measured", Expr::col("measured"), is_measured),
            RollupColumn::new("high", Expr::col("measure_high"), high),
            RollupColumn::new("low", Expr::col("measure_low"), low),
        ],
    };
    let row = snapshot.all::<MeanRow>(&query.group_by(&[])).await?.pop();
    let none = SumAndCount { sum: 0, events: 0 };
    Ok(row.map_or(none, |row| SumAndCount { sum: row.sum.total(), events: row.measured.unsigned_abs() }))
}

/// The number of partitions that have at most `max_exact` of `users`; at least one.
fn partitions(users: u64, max_exact: u64) -> u32 {
    let all = u64::from(PARTITIONS);
    let partitions = if users <= max_exact { all } else { (all * max_exact / users).clamp(1, all - 1) };
    u32::try_from(partitions).unwrap_or(PARTITIONS)
}

async fn count_sets(
    snapshot: &Snapshot,
    source: Source,
    epoch: &Arc<CacheEpoch>,
    sets: &Arc<Sets>,
    mut counts: Counts,
) -> Result<Counts, DbErr> {
    let members = Dimension::ALL.into_iter().fold(sets.slot(USERS).clone(), |all, dimension| {
        if sets.is_same(USERS, dimension as usize + 1) { all } else { all | sets.dimension(dimension) }
    });
    for indexes in counts.chunk_indexes(sets).chunks(CHUNKS_PER_PASS) {
        let chunks = epoch.chunks(snapshot, source, indexes, &members).await?;
        counts.grow(&epoch.lock());
        let (sets, empty) = (Arc::clone(sets), counts.emptied());
        let parts = in_parallel(chunks, MIN_PARALLEL_CHUNKS, move |chunks| {
            let mut counts = empty.clone();
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
    fn a_sample_is_never_larger_than_the_most_that_is_counted_exactly() {
        let all = PARTITIONS;
        for (users, max_exact, counted) in [
            (0, 2_000_000, all),
            (2_000_000, 2_000_000, all),
            (2_000_001, 2_000_000, 15),
            (4_000_000, 2_000_000, 8),
            (5_000_000, 2_000_000, 6),
            (1_000_000_000, 2_000_000, 1),
        ] {
            assert_eq!(partitions(users, max_exact), counted, "{users}");
        }
    }
}
