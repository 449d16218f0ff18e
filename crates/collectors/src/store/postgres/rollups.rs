//! Counting new rows up: one statement a table.

use std::sync::LazyLock;

use sqlx::PgConnection;

use crate::store::rollups::{
    Table,
    campaigns::{self, CampaignRollup},
    kinds::{self, KindRollup},
};

/// Writers of the newest bucket wait for each other only where their connections share a shard. A reader adds up as many
/// rows.
const SHARDS: u8 = 4;

static ADD_KINDS: LazyLock<String> = LazyLock::new(|| add_to(&kinds::TABLE));
static ADD_CAMPAIGNS: LazyLock<String> = LazyLock::new(|| add_to(&campaigns::TABLE));

/// Last in its transaction, so that others wait shortly for a bucket.
pub(in crate::store) async fn add(
    connection: &mut PgConnection,
    kinds: &[KindRollup],
    campaigns: &[CampaignRollup<'_>],
) -> Result<(), sqlx::Error> {
    add_kinds(connection, kinds).await?;
    add_campaigns(connection, campaigns).await
}

pub(crate) async fn add_kinds(
    connection: &mut PgConnection,
    kinds: &[KindRollup],
) -> Result<(), sqlx::Error> {
    if !kinds.is_empty() {
        kinds::bind_arrays(sqlx::query(ADD_KINDS.as_str()), kinds).execute(connection).await?;
    }
    Ok(())
}

pub(crate) async fn add_campaigns(
    connection: &mut PgConnection,
    campaigns: &[CampaignRollup<'_>],
) -> Result<(), sqlx::Error> {
    if !campaigns.is_empty() {
        campaigns::bind_arrays(sqlx::query(ADD_CAMPAIGNS.as_str()), campaigns).execute(connection).await?;
    }
    Ok(())
}

fn add_to(table: &Table) -> String {
    let arrays: Vec<String> = table
        .columns
        .iter()
        .enumerate()
        .map(|(index, (_, array))| format!("${}::{array}", index + 1))
        .collect();
    format!(
        "{} SELECT *, (pg_backend_pid() % {SHARDS})::smallint FROM UNNEST({}) {}",
        table.insert(),
        arrays.join(", "),
        table.add(),
    )
}
