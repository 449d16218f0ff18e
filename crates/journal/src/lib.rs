//! The journal: accepted events wait in it, durably, until collectors have stored them.
#![doc = include_str!("../README.md")]

mod checkpoint;
mod clock;
mod consumer;
mod dead_letter;
mod dead_letter_stream;
mod durability;
mod embedded;
mod error;
mod frame;
mod jetstream;
mod journal;
mod limits;
mod metrics;
mod names;
mod observer;
mod offer;
mod position;
mod servers;
mod settings;
mod settings_latch;
mod spans;
mod usage;

pub use checkpoint::{JournalCheckpoint, SourceCheckpoint, merge_checkpoints, reset_losses};
pub use clock::Clock;
pub use consumer::{Consumer, Delivery};
pub use dead_letter::{DeadLetter, MAX_RAW_BYTES, MediaType, StoredDeadLetter};
pub use dead_letter_stream::{DeadLetterStats, DeadLetterStream};
pub use durability::{Durability, DurabilityReport};
pub use error::{AppendError, JournalError};
pub use frame::{
    Content, Erasure, Frame, FrameError, FrameLimit, FramedEvent, Framer, MAX_FRAME_BYTES, MAX_FRAME_EVENTS,
    SealedFrame,
};
pub use jetstream::{JournalSetting, SettingState};
pub use journal::Journal;
pub use metrics::{JournalMetrics, LostFrameMetrics};
pub use names::Names;
pub use observer::Observer;
pub use position::{AckFloor, Position, PresentFrame};
pub use servers::{ClientIdentity, Servers, ServersError};
pub use settings::{Ownership, Settings};
pub use settings_latch::SettingsLatch;
pub use spans::MessagingSpans;
pub use usage::{Backlog, Usage};
