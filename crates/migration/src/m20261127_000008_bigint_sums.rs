//! The aggregate `sum` of BIGINT that returns BIGINT, on PostgreSQL. SQLite's own aggregate already returns BIGINT.
//!
//! PostgreSQL's own aggregate keeps its state outside the row and returns NUMERIC: with 833,000 campaigns, each a group
//! of its own, that is most of a report's cost. This one fails where a sum leaves BIGINT, as the cast of the other
//! does. Its name is `sum` too, so that statements are the same on both databases. Only a session that puts this schema
//! before `pg_catalog` uses it; on a schema without it, the same statement uses PostgreSQL's own.

use sea_orm_migration::prelude::*;

use super::on_postgres;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const CREATE: &str = "CREATE AGGREGATE sum (bigint) \
    (SFUNC = int8pl, STYPE = bigint, INITCOND = '0', COMBINEFUNC = int8pl, PARALLEL = SAFE)";
/// The name includes the schema: `sum` alone would be PostgreSQL's.
const DROP: &str = "DO $$ BEGIN EXECUTE format('DROP AGGREGATE %I.sum (bigint)', current_schema()); END $$";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_postgres(manager, CREATE).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_postgres(manager, DROP).await
    }

    /// On SQLite too, so that a killed migrator leaves nothing half done.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
