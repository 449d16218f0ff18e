//! The migrations of the store, in order.
#![doc = include_str!("../README.md")]

mod m20261122_000001_events_and_frames;
mod m20261122_000002_duplicates;
mod m20261122_000003_rollups;
mod m20261122_000004_retention;
mod m20261122_000005_erasures;
mod m20261122_000006_settled_frames;
mod m20261127_000007_people;
mod m20261127_000008_bigint_sums;
mod m20261127_000009_campaign_days;
mod m20261127_000010_event_row;
mod m20261128_000011_statistics;
mod m20261128_000012_database_clock;
mod m20261128_000013_oldest_writer;
mod m20261129_000014_people_sketches;
mod m20261129_000015_campaign_rankings;
mod m20261129_000016_frame_origins;
mod m20261130_000017_event_segments;
mod m20261201_000018_segment_upkeep;
mod m20261202_000019_campaign_updates;

use sea_orm_migration::{
    MigrationTrait, MigratorTrait, SchemaManager,
    sea_orm::{ConnectionTrait as _, DbBackend, DbErr},
};

/// The migrations of the store.
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261122_000001_events_and_frames::Migration),
            Box::new(m20261122_000002_duplicates::Migration),
            Box::new(m20261122_000003_rollups::Migration),
            Box::new(m20261122_000004_retention::Migration),
            Box::new(m20261122_000005_erasures::Migration),
            Box::new(m20261122_000006_settled_frames::Migration),
            Box::new(m20261127_000007_people::Migration),
            Box::new(m20261127_000008_bigint_sums::Migration),
            Box::new(m20261127_000009_campaign_days::Migration),
            Box::new(m20261127_000010_event_row::Migration),
            Box::new(m20261128_000011_statistics::Migration),
            Box::new(m20261128_000012_database_clock::Migration),
            Box::new(m20261128_000013_oldest_writer::Migration),
            Box::new(m20261129_000014_people_sketches::Migration),
            Box::new(m20261129_000015_campaign_rankings::Migration),
            Box::new(m20261129_000016_frame_origins::Migration),
            Box::new(m20261130_000017_event_segments::Migration),
            Box::new(m20261201_000018_segment_upkeep::Migration),
            Box::new(m20261202_000019_campaign_updates::Migration),
        ]
    }
}

async fn on_postgres(manager: &SchemaManager<'_>, statement: &str) -> Result<(), DbErr> {
    if manager.get_database_backend() == DbBackend::Postgres {
        manager.get_connection().execute_unprepared(statement).await?;
    }
    Ok(())
}
