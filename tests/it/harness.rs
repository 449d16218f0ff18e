//! What the stories stand on: real servers, on loopback and free ports in temporary folders, the reference events,
//! waits on conditions.

pub(crate) mod database;
pub(crate) mod events;
pub(crate) mod eventually;
pub(crate) mod nats;
pub(crate) mod postgres;
