//! `event_keys`: the identities of events without rows: retention removed the rows, and a late repeat is still a
//! duplicate.

use sea_orm::entity::prelude::*;

/// One identity that was stored.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "event_keys")]
pub struct Model {
    /// `weir.event.v1.Source`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: i16,
    /// The first 16 bytes of the SHA-256 of the event id's UTF-8.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: Vec<u8>,
    /// The arrival of the removed event, µs since the Unix epoch, UTC, by the clock of the edge or ingest.
    pub arrived_at: i64,
    /// The time when the row was stored, µs since the Unix epoch, UTC, by the clock of the database. The key expires by
    /// it.
    pub stored_at: i64,
}

/// The table has no foreign keys.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
