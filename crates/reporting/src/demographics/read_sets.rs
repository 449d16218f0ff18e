//! The users that were seen in a range: sets of whole buckets, and the observations that are in no set yet.

use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{Expr, ExprTrait as _, Query},
};
use weir::contract::event::v1::Source;
use weir_database::{entity::people_sets, people::Sets, time_bucket::Grain};

use super::{
    observed_users::{Lacking, ObservedUsers},
    parallel::in_parallel,
};
use crate::{
    plan::{self, Granularity},
    store::{Snapshot, malformed},
    time_range::TimeRange,
};

/// Sets that are worth two threads: the sets of days with a million people take some milliseconds each.
const MIN_PARALLEL_SETS: usize = 8;

/// The users of a source in a range.
#[derive(Debug, Default)]
pub(super) struct SeenUsers {
    pub(super) sets: Sets,
    /// Events that the sets count.
    folded: i64,
    pub(super) unfolded: ObservedUsers,
}

#[derive(FromQueryResult)]
struct SetRow {
    sightings: i64,
    data: Vec<u8>,
}

impl SeenUsers {
    pub(super) async fn read(snapshot: &Snapshot, source: Source, range: TimeRange) -> Result<Self, DbErr> {
        let mut sets = Vec::new();
        for piece in plan::pieces(range, Grain::Day) {
            if let Granularity::Buckets(grain) = piece.granularity {
                sets.extend(read_sets(snapshot, source, grain, &piece.range).await?);
            }
        }
        let folded = sets.iter().map(|set| set.sightings).sum();
        let sets = unite(sets).await?;
        let unfolded = ObservedUsers::read(snapshot, source, range, Lacking::Sets).await?;
        Ok(Self { sets, folded, unfolded })
    }

    /// Events in sets, in deltas and in rows of partial minutes.
    pub(super) fn events(&self) -> i64 {
        self.folded + self.unfolded.events
    }
}

async fn read_sets(
    snapshot: &Snapshot,
    source: Source,
    grain: Grain,
    range: &TimeRange,
) -> Result<Vec<SetRow>, DbErr> {
    use people_sets::Column;
    let query = Query::select()
        .columns([Column::Sightings, Column::Data])
        .from(people_sets::Entity)
        .and_where(Expr::col(Column::Source).eq(i32::from(source)))
        .and_where(Expr::col(Column::Grain).eq(grain.number()))
        .cond_where(range.contains(Expr::col(Column::Bucket)))
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
