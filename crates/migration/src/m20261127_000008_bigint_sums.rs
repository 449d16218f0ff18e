//! A sum of BIGINT that is a BIGINT, on PostgreSQL; SQLite's own is one.
//!
//! PostgreSQL sums BIGINT in a state outside the row and as NUMERIC: for 833,000 campaigns, each a group of its own,
//! that is most of what a report costs. This one fails, as the cast of the other does, where a sum leaves BIGINT. It is
//! called `sum` too, so that statements are the same on both databases; only who puts this schema before `pg_catalog`
//! meets it, and on a schema without it the same statement is answered by the other one.

use sea_orm_migration::prelude::*;

use super::on_postgres;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const CREATE: &str = "CREATE AGGREGATE sum (bigint) \
    (SFUNC = int8pl, STYPE = bigint, INITCOND = '0', COMBINEFUNC = int8pl, PARALLEL = SAFE)";
/// By its schema: `sum` alone would be PostgreSQL's.
const DROP: &str = "DO $$ BEGIN EXECUTE format('DROP AGGREGATE %I.sum (bigint)', current_schema()); END $$";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_postgres(manager, CREATE).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_postgres(manager, DROP).await
    }

    /// Also on SQLite, so that a migrator that is killed leaves nothing half made.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
