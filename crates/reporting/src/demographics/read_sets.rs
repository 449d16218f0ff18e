//! The users that were seen in the whole buckets of a range.

use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{Expr, ExprTrait as _, Order, Query},
};
use weir::contract::event::v1::Source;
use weir_database::{entity::people_sets, people::Sets, time_bucket::Grain};

use super::parallel::in_parallel;
use crate::{
    plan::{self, Granularity},
    store::{Snapshot, malformed},
    time_range::TimeRange,
};

/// Sets that are worth two threads: the sets of days with a million people take some milliseconds each.
const MIN_PARALLEL_SETS: usize = 8;

/// Sets that are in memory at once.
const SETS_AT_ONCE: u64 = 32;

/// The users of a source in the whole buckets of a range, as far as they are folded.
#[derive(Debug, Default)]
pub(super) struct SeenUsers {
    pub(super) sets: Sets,
    /// Events that the sets count.
    pub(super) events: i64,
}

#[derive(FromQueryResult)]
struct SetRow {
    bucket: i64,
    sightings: i64,
    data: Vec<u8>,
}

impl SeenUsers {
    pub(super) async fn read(snapshot: &Snapshot, source: Source, range: TimeRange) -> Result<Self, DbErr> {
        let mut seen = Self::default();
        for piece in plan::pieces(range, Grain::Day) {
            if let Granularity::Buckets(grain) = piece.granularity {
                seen.add(snapshot, source, grain, &piece.range).await?;
            }
        }
        Ok(seen)
    }

    async fn add(
        &mut self,
        snapshot: &Snapshot,
        source: Source,
        grain: Grain,
        range: &TimeRange,
    ) -> Result<(), DbErr> {
        let mut after = i64::MIN;
        loop {
            let sets = read_sets(snapshot, source, grain, range, after).await?;
            let Some(last) = sets.last() else { return Ok(()) };
            after = last.bucket;
            let is_last = (sets.len() as u64) < SETS_AT_ONCE;
            self.events += sets.iter().map(|set| set.sightings).sum::<i64>();
            self.sets.unite(&unite(sets).await?);
            if is_last {
                return Ok(());
            }
        }
    }
}

/// The next sets of a range, whose buckets begin later than `after`.
async fn read_sets(
    snapshot: &Snapshot,
    source: Source,
    grain: Grain,
    range: &TimeRange,
    after: i64,
) -> Result<Vec<SetRow>, DbErr> {
    use people_sets::Column;
    let query = Query::select()
        .columns([Column::Bucket, Column::Sightings, Column::Data])
        .from(people_sets::Entity)
        .and_where(Expr::col(Column::Source).eq(i32::from(source)))
        .and_where(Expr::col(Column::Grain).eq(grain.number()))
        .and_where(Expr::col(Column::Bucket).gt(after))
        .cond_where(range.contains(Expr::col(Column::Bucket)))
        .order_by(Column::Bucket, Order::Asc)
        .limit(SETS_AT_ONCE)
        .take();
    snapshot.all(&query).await
}

/// The union of the sets.
async fn unite(sets: Vec<SetRow>) -> Result<Sets, DbErr> {
    let parts = in_parallel(sets, MIN_PARALLEL_SETS, |sets| {
        let mut united = Sets::default();
        for SetRow { data, .. } in sets {
            united.unite(&Sets::read(&data)?);
        }
        Ok(united)
    });
    let mut united = Sets::default();
    for part in parts.await? {
        united.unite(&part.map_err(malformed)?);
    }
    Ok(united)
}
