//! The contents of a store after removals.

use sea_orm::{DatabaseConnection, EntityTrait, PaginatorTrait as _, QuerySelect as _};
use weir_database::entity::{event_keys, events, frame_totals, horizons, rollups};
use weir_testkit::{Weir, database::accounts_of_all};

/// The contents of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoreContents {
    pub(super) rows: u64,
    pub(super) keys: u64,
    pub(super) horizons: u64,
    /// Events by the minutes, the hours and the days of the rollups.
    pub(super) rolled_up: [u64; 3],
    /// Stored, duplicate and parked events over all frames ever.
    pub(super) accounted: (i64, i64, i64),
    /// Frames without accounts of their own.
    pub(super) folded: i64,
}

impl StoreContents {
    pub(super) async fn of(weir: &Weir) -> Self {
        Self::of_store(&weir.store().await).await
    }

    pub(super) async fn of_store(store: &DatabaseConnection) -> Self {
        let (mut stored, mut duplicate, mut parked) = accounts_of_all(store).await;
        let totals = frame_totals::Entity::find().all(store).await.unwrap();
        for total in &totals {
            stored += total.stored;
            duplicate += total.duplicate;
            parked += total.parked;
        }
        Self {
            rows: events::Entity::find().count(store).await.unwrap(),
            keys: event_keys::Entity::find().count(store).await.unwrap(),
            horizons: horizons::Entity::find().count(store).await.unwrap(),
            rolled_up: rolled_up(store).await,
            accounted: (stored, duplicate, parked),
            folded: totals.iter().map(|total| total.frames).sum(),
        }
    }
}

async fn rolled_up(store: &DatabaseConnection) -> [u64; 3] {
    let rows: Vec<(i16, i64)> = rollups::Entity::find()
        .select_only()
        .columns([rollups::Column::Grain, rollups::Column::Events])
        .into_tuple()
        .all(store)
        .await
        .unwrap();
    [1, 2, 3].map(|grain| {
        let events = rows.iter().filter(|row| row.0 == grain).map(|row| row.1);
        u64::try_from(events.sum::<i64>()).unwrap()
    })
}
