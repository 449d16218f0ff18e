//! `people_sets`: whose numbers were seen in each minute, hour and day of event time.

use sea_orm::entity::prelude::*;

/// One bucket of one source.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "people_sets")]
pub struct Model {
    /// `weir.event.v1.Source`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: i16,
    /// 1 minute, 2 hour, 3 day.
    #[sea_orm(primary_key, auto_increment = false)]
    pub grain: i16,
    /// Its start, µs since the Unix epoch, UTC.
    #[sea_orm(primary_key, auto_increment = false)]
    pub bucket: i64,
    /// Events that name a person and are in it; it is complete where the rollups count as many measured ones.
    pub sightings: i64,
    /// [`crate::people::Sets`].
    pub data: Vec<u8>,
}

/// None.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
