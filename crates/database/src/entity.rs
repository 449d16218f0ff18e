//! Entities: the tables as SeaORM sees them. A migration and its entity change in one commit; the parity test in
//! `tests/it/schema.rs` compares the two on both databases.

pub mod audits;
pub mod campaign_deltas;
pub mod campaign_rankings;
pub mod campaign_rollups;
pub mod duplicates;
pub mod erasure_keys;
pub mod erasures;
pub mod event_keys;
pub mod events;
pub mod frame_origins;
pub mod frame_totals;
pub mod frames;
pub mod horizons;
pub mod journal_states;
pub mod oldest_writer;
pub mod people;
pub mod people_aliases;
pub mod people_columns;
pub mod people_deltas;
pub mod people_sets;
pub mod people_sketches;
pub mod rollups;
pub mod settled_frames;
pub mod unaccounted_frames;
