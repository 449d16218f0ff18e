//! Invented events: a stream of batches that follows from a seed alone, as the reference publisher sends them.

mod corruption;
mod dice;
mod event;
mod item;
mod person;
mod stream;

pub(crate) use item::{Item, Kind, event_id, id_prefix, number_of};
pub(crate) use stream::{Batch, EventStream, Mix};
