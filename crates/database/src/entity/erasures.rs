//! `erasures`: the erasures of persons, and the result of each.

use sea_orm::entity::prelude::*;

/// One erasure.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "erasures")]
pub struct Model {
    /// The id of the frame that requested the erasure.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub erasure_id: String,
    /// `weir.event.v1.Source`.
    pub source: i16,
    /// HMAC-SHA256 of the user id's UTF-8 under the key of `erasure_keys`.
    pub user_hash: Vec<u8>,
    /// Whether events that arrive later are stored without the person too.
    pub suppress: bool,
    /// Events that had arrived at this time or before are stored without the person, µs since the Unix epoch, UTC.
    pub requested_at: i64,
    /// The time of its record, µs, different for each erasure: a process that knows the newest one knows all of them.
    pub recorded_at: i64,
    /// Rows made anonymous so far; null before the first one, unless there are none.
    pub rows: Option<i64>,
    /// Dead letters removed so far; null before the first one, unless there are none.
    pub dead_letters: Option<i64>,
    /// The time when both were finished, µs; null until then.
    pub completed_at: Option<i64>,
}

/// The table has no foreign keys.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
