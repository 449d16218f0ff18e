//! `journal_states`: what was noted of the journals that brought frames, so that a journal that vanished, or went back in
//! time, tells what went with it.

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
    /// How often the losses of the journal were changed.
    pub revision: i64,
    /// Of the last frame that was ever appended to the journal, of either source.
    pub last_sequence: i64,
    /// Every frame of the source up to this sequence is acknowledged.
    pub acknowledged: i64,
    /// Frames of the source that were not acknowledged.
    pub waiting: i64,
    /// Accepted frames of the source that can't come any more.
    pub lost: i64,
    /// Whether another journal is in its place.
    pub ended: bool,
    /// When a collector saw it last, µs since the Unix epoch, UTC, by the database's clock.
    pub noted_at: i64,
}

/// None.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
