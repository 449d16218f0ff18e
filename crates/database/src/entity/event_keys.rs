//! `event_keys`: the identities of events whose rows were removed, so that a late repeat is still a duplicate.

use sea_orm::entity::prelude::*;

/// One identity that was stored once.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "event_keys")]
pub struct Model {
    /// `weir.event.v1.Source`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: i16,
    /// The first 16 bytes of the SHA-256 of the event id's UTF-8.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: Vec<u8>,
    /// When the removed event had come in, µs since the Unix epoch, UTC, by the clock of the edge or ingest.
    pub arrived_at: i64,
    /// When its row was stored, µs since the Unix epoch, UTC, by the database's clock: what its key expires by.
    pub stored_at: i64,
}

/// None.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
