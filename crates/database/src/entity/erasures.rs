//! `erasures`: whom to forget, and what each erasure did.

use sea_orm::entity::prelude::*;

/// One erasure.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "erasures")]
pub struct Model {
    /// The frame that asked for it.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub erasure_id: String,
    /// `weir.event.v1.Source`.
    pub source: i16,
    /// HMAC-SHA256 of the user id's UTF-8 under the key of `erasure_keys`.
    pub user_hash: Vec<u8>,
    /// Whether events that arrive later are stored without the person, too.
    pub suppress: bool,
    /// Events that had arrived at this time or before are stored without the person, µs since the Unix epoch, UTC.
    pub requested_at: i64,
    /// When it was recorded, µs, different for each: who knows the newest knows all of them.
    pub recorded_at: i64,
    /// Rows that were made anonymous so far; null until the first was, or there proved to be none.
    pub rows: Option<i64>,
    /// Dead letters that were removed so far; null until the first was, or there proved to be none.
    pub dead_letters: Option<i64>,
    /// When both were done, µs; null until then.
    pub completed_at: Option<i64>,
}

/// None.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
