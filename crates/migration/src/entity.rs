//! The tables as SeaORM sees them. A migration and its mirror here change in one commit; the parity test of
//! `tests/it/schema.rs` compares the two on both databases.

pub mod duplicates;
pub mod events;
pub mod frames;
