//! `horizons`: the time from which on the rows of a source are complete. Retention removes older rows.

use sea_orm::entity::prelude::*;

/// The horizon of one source; a source without a row still has the rows of all its events.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "horizons")]
pub struct Model {
    /// `weir.event.v1.Source`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: i16,
    /// Every stored event of this event time or later still has its row, µs since the Unix epoch, UTC, a whole minute.
    pub complete_from: i64,
}

/// The table has no foreign keys.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
