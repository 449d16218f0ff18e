//! The table `frame_origins`, and the columns `frame_number` and `origin` of `events`. A row refers to its frame and to
//! the call that it came in, instead of repeating their ids: frames have hundreds of events.
//!
//! Rows from before keep their texts, and retention removes them in time. On PostgreSQL a summary of persons by ranges of
//! blocks replaces the index of arrivals, which served erasures. The index of money is dropped: ragged ends of reports
//! find the few transactions of a minute by the index of times.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, big_integer_null, blob, integer_null, small_integer, text},
    sea_orm::DbBackend,
};

use crate::on_postgres;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// A range of 1 MiB has some 4,000 rows, so that a summary fits one block of the index.
const BY_PERSON: &str = "CREATE INDEX events_by_person ON events \
    USING brin (user_id text_bloom_ops (n_distinct_per_range = 4096, false_positive_rate = 0.01)) \
    WITH (pages_per_range = 128, autosummarize = on)";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(frame_origins(manager.get_database_backend())).await?;
        manager.create_index(by_storage()).await?;
        // SQLite adds one column a statement.
        for column in [big_integer_null("frame_number"), integer_null("origin")] {
            manager.alter_table(Table::alter().table("events").add_column(column).take()).await?;
        }
        manager
            .drop_index(Index::drop().name("events_with_money_by_time").table("events").to_owned())
            .await?;
        on_postgres(manager, "DROP INDEX events_by_arrival").await?;
        on_postgres(manager, BY_PERSON).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_postgres(manager, "DROP INDEX events_by_person").await?;
        on_postgres(manager, "CREATE INDEX events_by_arrival ON events (arrived_at)").await?;
        manager.create_index(money_by_time()).await?;
        for column in ["origin", "frame_number"] {
            manager.alter_table(Table::alter().table("events").drop_column(column).take()).await?;
        }
        manager.drop_table(Table::drop().table("frame_origins").take()).await
    }

    /// On SQLite too, so that a killed migrator leaves nothing half done.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn frame_origins(backend: DbBackend) -> TableCreateStatement {
    let by_code_point = match backend {
        DbBackend::Postgres => r#"COLLATE "C""#,
        _ => "",
    };
    Table::create()
        .table("frame_origins")
        .col(big_integer("number").auto_increment().primary_key())
        .col(small_integer("source"))
        .col(text("frame_id").extra(by_code_point))
        .col(big_integer("stored_at"))
        .col(blob("data"))
        .take()
}

/// Retention finds old rows by it, the oldest first.
fn by_storage() -> IndexCreateStatement {
    Index::create().name("frame_origins_by_storage").table("frame_origins").col("stored_at").take()
}

fn money_by_time() -> IndexCreateStatement {
    Index::create()
        .name("events_with_money_by_time")
        .table("events")
        .col("occurred_at")
        .col("source")
        .col("event_type")
        .col("campaign_id")
        .col("purchase_amount")
        .and_where(Expr::col("purchase_amount").is_not_null())
        .take()
}
