//! `people_deltas`: who was seen, as storing transactions note it; folded into the other tables of people soon.

use sea_orm::entity::prelude::*;

/// What one transaction noted of one source.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "people_deltas")]
pub struct Model {
    /// Ascending, but not in the order of commits.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// `weir.event.v1.Source`.
    pub source: i16,
    /// Null where people were seen. The erasure that took a person out of rows otherwise: then `data` counts those
    /// rows by minute.
    #[sea_orm(column_type = "Text", nullable)]
    pub erasure_id: Option<String>,
    /// The earliest minute of event time in it, minutes since the Unix epoch.
    pub first_minute: i64,
    /// The latest.
    pub last_minute: i64,
    /// How many events it is about.
    pub sightings: i64,
    /// When it was noted, µs since the Unix epoch, UTC.
    pub stored_at: i64,
    /// [`crate::people::Observations`], or [`crate::people::Removals`].
    pub data: Vec<u8>,
}

/// None.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
