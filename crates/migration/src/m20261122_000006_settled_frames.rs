//! The tables of the audit: `settled_frames`, the progress of the audit (`audits`), and the missing frames that it
//! found (`unaccounted_frames`).

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

    /// On SQLite too, so that a killed migrator leaves nothing half done.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// A table of frames by their positions in a journal.
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
