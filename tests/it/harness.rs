//! What the stories need: real servers, on loopback and free ports, in temporary folders.

pub(crate) mod nats;
