//! What the stories stand on: real servers, on loopback and free ports in temporary folders, and the reference
//! events.

pub(crate) mod database;
pub(crate) mod events;
pub(crate) mod nats;
pub(crate) mod postgres;
