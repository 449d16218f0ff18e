//! Events whose rows were removed: their keys tell that they were stored, and nothing more.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter, QuerySelect};
use weir_collectors::store::EventKey;
use weir_database::entity::event_keys::{Column, Entity};
use weir_event::Source;

/// The numbers of the events of a source that have a key, given by their ids.
pub(super) async fn find(
    store: &DatabaseConnection,
    source: Source,
    numbers: &HashMap<&str, u64>,
) -> anyhow::Result<Vec<u64>> {
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let by_key: HashMap<Vec<u8>, u64> =
        numbers.iter().map(|(id, number)| (EventKey::of(id).as_bytes().to_vec(), *number)).collect();
    let found = Entity::find()
        .select_only()
        .column(Column::Key)
        .filter(Column::Source.eq(source.number()))
        .filter(Column::Key.is_in(by_key.keys().cloned()))
        .into_tuple::<Vec<u8>>()
        .all(store)
        .await?;
    Ok(found.iter().filter_map(|key| by_key.get(key).copied()).collect())
}
