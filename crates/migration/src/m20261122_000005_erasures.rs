//! The tables `erasures` and `erasure_keys`: a keyed hash of each erased person's id, and the result of each erasure
//! for its receipt.
//!
//! A collector recognises the person of an event by the hash. Events that arrived before the erasure are therefore
//! stored without the person, whenever a collector stores them. A row of `events` without its person has an empty
//! `user_id` and `user_name`, which no event can have.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, big_integer_null, blob, boolean, small_integer, text},
    sea_orm::DbBackend,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let by_code_point = match manager.get_database_backend() {
            DbBackend::Postgres => r#"COLLATE "C""#,
            _ => "",
        };
        manager.create_table(erasures(by_code_point)).await?;
        manager.create_index(by_record()).await?;
        manager.create_table(erasure_keys()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("erasure_keys").take()).await?;
        manager.drop_table(Table::drop().table("erasures").take()).await
    }

    /// On SQLite too, so that a killed migrator leaves nothing half done.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn erasures(by_code_point: &str) -> TableCreateStatement {
    Table::create()
        .table("erasures")
        .col(text("erasure_id").extra(by_code_point))
        .col(small_integer("source"))
        .col(blob("user_hash"))
        .col(boolean("suppress"))
        .col(big_integer("requested_at"))
        .col(big_integer("recorded_at"))
        .col(big_integer_null("rows"))
        .col(big_integer_null("dead_letters"))
        .col(big_integer_null("completed_at"))
        .primary_key(Index::create().name("erasures_pkey").col("erasure_id"))
        .take()
}

/// A writer reads the newest record to see whether it knows all erasures.
fn by_record() -> IndexCreateStatement {
    Index::create().name("erasures_by_record").table("erasures").col("recorded_at").unique().take()
}

fn erasure_keys() -> TableCreateStatement {
    Table::create()
        .table("erasure_keys")
        .col(small_integer("number"))
        .col(blob("key"))
        .primary_key(Index::create().name("erasure_keys_pkey").col("number"))
        .take()
}
