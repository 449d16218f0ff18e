//! Segments on PostgreSQL: summaries of persons that name fewer blocks, a function that completes them, and no vacuum for
//! new rows.
//!
//! PostgreSQL makes a summary of a range of blocks when the range is full, and forgets the order where many ranges become
//! full at once. A search for a person then reads those ranges. So collectors order the summaries themselves.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = include_str!("m20261201_000018_segment_upkeep/up.sql");
const DOWN: &str = include_str!("m20261201_000018_segment_upkeep/down.sql");

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::on_postgres(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::on_postgres(manager, DOWN).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
