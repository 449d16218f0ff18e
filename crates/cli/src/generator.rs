//! Generated events: a stream of batches that follows from a seed alone, like that of the reference
//! publisher.

mod corruption;
mod dice;
mod event;
mod item;
mod person;
mod stream;

pub(crate) use item::{Item, ItemKind, event_id, id_prefix, number_of};
pub(crate) use stream::{EventStream, GeneratedBatch, Mix};
