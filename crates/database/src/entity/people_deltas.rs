//! `people_deltas`: observations of people that storing transactions write. A fold job moves them to the other tables
//! of people soon.

use sea_orm::entity::prelude::*;

/// The observations of one source in one transaction.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "people_deltas")]
pub struct Model {
    /// Ascends, but not in the order of commits.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// `weir.event.v1.Source`.
    pub source: i16,
    /// Null for observations. Otherwise the id of the erasure that made rows anonymous: `data` then counts those rows
    /// by minute.
    #[sea_orm(column_type = "Text", nullable)]
    pub erasure_id: Option<String>,
    /// The earliest minute of event time in it, minutes since the Unix epoch.
    pub first_minute: i64,
    /// The latest minute.
    pub last_minute: i64,
    /// The number of events. The column's name is older than the term observation.
    pub sightings: i64,
    /// The time when it was written, µs since the Unix epoch, UTC.
    pub stored_at: i64,
    /// [`crate::people::Observations`], or [`crate::people::Removals`] of an erasure.
    pub data: Vec<u8>,
    /// Whether its observations are in the sketches.
    pub sketched: bool,
}

/// The table has no foreign keys.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
