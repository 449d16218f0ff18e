//! The makers of events.
//!
//! - [`valid_events`], [`invalid_items`] and [`with_id`] return the reference cases of `tests/events`.
//! - [`Sender`] draws random events for the stories about reports.
//! - [`Generator`] makes events like the reference publisher's by their number, and full frames of them, for load.
//! - [`admit`], [`frame`] and [`origin`] bring any of them behind the gate.

mod frames;
mod generator;
mod reference;
mod sender;

pub use self::{
    frames::{admit, frame, origin, untraced_origin},
    generator::{CAMPAIGN_DIGITS, GeneratedEvent, Generator, Population, SERIAL_LENGTH, serial_number},
    reference::{InvalidItem, invalid_items, valid_events, with_id},
    sender::{Sender, first_day},
};
