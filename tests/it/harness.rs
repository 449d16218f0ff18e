//! What the stories stand on: real servers in temporary folders, and the reference events.

pub(crate) mod database;
pub(crate) mod events;
pub(crate) mod postgres;
