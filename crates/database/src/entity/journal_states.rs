//! `journal_states`: the last known state of each journal. It shows which frames were lost where a journal vanished or
//! went back in time.

use sea_orm::entity::prelude::*;

/// One source's frames in one journal.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "journal_states")]
pub struct Model {
    /// The identity of the journal.
    #[sea_orm(primary_key, auto_increment = false)]
    pub journal: i64,
    /// `weir.event.v1.Source`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: i16,
    /// The number of changes of the journal's losses.
    pub revision: i64,
    /// The sequence of the last frame that was ever appended to the journal, of either source.
    pub last_sequence: i64,
    /// Every frame of the source up to this sequence is acknowledged.
    pub acknowledged: i64,
    /// Frames of the source that were not acknowledged.
    pub waiting: i64,
    /// Accepted frames of the source that can't be delivered any more.
    pub lost: i64,
    /// Whether another journal has replaced it.
    pub ended: bool,
    /// The time when a collector last read the journal's state, µs since the Unix epoch, UTC, by the clock of the
    /// database.
    pub noted_at: i64,
}

/// The table has no foreign keys.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
