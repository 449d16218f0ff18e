//! `people_sketches`: samples of the users in each minute, hour and day of event time.

use sea_orm::entity::prelude::*;

/// One bucket of one source.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "people_sketches")]
pub struct Model {
    /// `weir.event.v1.Source`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: i16,
    /// [`crate::time_bucket::Grain::number`]: 1 minute, 2 hour, 3 day.
    #[sea_orm(primary_key, auto_increment = false)]
    pub grain: i16,
    /// The start of the bucket, µs since the Unix epoch, UTC.
    #[sea_orm(primary_key, auto_increment = false)]
    pub bucket: i64,
    /// Events with a person in the bucket. The sketch is complete where the rollups count as many measured events.
    pub sightings: i64,
    /// The estimated number of users in the bucket.
    pub users: i64,
    /// [`crate::people::StoredSketch`].
    pub data: Vec<u8>,
}

/// The table has no foreign keys.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
