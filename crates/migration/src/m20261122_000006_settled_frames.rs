//! Which frames of a journal are settled, how far that was compared with what the journal holds as acknowledged, and
//! what was found missing then.

use sea_orm_migration::{prelude::*, schema::big_integer, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let storage = match manager.get_database_backend() {
            DbBackend::Postgres => "",
            _ => "WITHOUT ROWID",
        };
        manager.create_table(frames("settled_frames", storage)).await?;
        manager.create_table(frames("unaccounted_frames", storage)).await?;
        manager.create_table(audits()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["audits", "unaccounted_frames", "settled_frames"] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }

    /// Also on SQLite, so that a migrator that is killed leaves nothing half made.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// Frames by their positions.
fn frames(name: &'static str, storage: &str) -> TableCreateStatement {
    Table::create()
        .table(name)
        .col(big_integer("journal"))
        .col(big_integer("sequence"))
        .primary_key(Index::create().name(format!("{name}_pkey")).col("journal").col("sequence"))
        .extra(storage)
        .take()
}

fn audits() -> TableCreateStatement {
    Table::create()
        .table("audits")
        .col(big_integer("journal"))
        .col(big_integer("through"))
        .primary_key(Index::create().name("audits_pkey").col("journal"))
        .take()
}
