//! Counting new rows up, in one shard: there is one writer.

use sqlx::{QueryBuilder, Sqlite, SqliteConnection, query_builder::Separated};

use super::ROWS_PER_STATEMENT;
use crate::store::rollups::{
    Rollups, Table,
    campaigns::{self, CampaignRollup},
    kinds::{self, KindRollup},
};

type Tuple<'t> = Separated<'t, Sqlite, &'static str>;

/// Adds to both tables.
pub(in crate::store) async fn add(
    connection: &mut SqliteConnection,
    rollups: &Rollups<'_>,
) -> Result<(), sqlx::Error> {
    add_kinds(connection, &rollups.kinds()).await?;
    add_campaigns(connection, &rollups.campaigns()).await
}

pub(crate) async fn add_kinds(
    connection: &mut SqliteConnection,
    kinds: &[KindRollup],
) -> Result<(), sqlx::Error> {
    add_to(connection, &kinds::TABLE, kinds, kinds::bind_values).await
}

pub(crate) async fn add_campaigns(
    connection: &mut SqliteConnection,
    campaigns: &[CampaignRollup<'_>],
) -> Result<(), sqlx::Error> {
    add_to(connection, &campaigns::TABLE, campaigns, campaigns::bind_values).await
}

async fn add_to<R>(
    connection: &mut SqliteConnection,
    table: &Table,
    rows: &[R],
    bind_values: impl Fn(&mut Tuple<'_>, &R),
) -> Result<(), sqlx::Error> {
    for rows in rows.chunks(ROWS_PER_STATEMENT) {
        let mut statement = QueryBuilder::<Sqlite>::new(format!("{} ", table.insert()));
        statement.push_values(rows, |mut tuple, row| {
            bind_values(&mut tuple, row);
            tuple.push("0");
        });
        statement.push(format!(" {}", table.add()));
        let query = statement.build().persistent(rows.len() == ROWS_PER_STATEMENT);
        query.execute(&mut *connection).await?;
    }
    Ok(())
}
