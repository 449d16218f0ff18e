//! The makers of events: the reference cases, random events for reports, events by number for load, and frames of them.

mod frames;
mod generator;
mod reference;
mod sender;

pub use self::{
    frames::{admit, frame, origin},
    generator::{CAMPAIGN_DIGITS, Crowd, SERIAL_DIGITS, Writer, Written, serial},
    reference::{Invalid, invalid_items, valid_events, with_id},
    sender::{Sender, first_day},
};
