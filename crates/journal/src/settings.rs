//! Settings of the journal that a deployment chooses.

use std::time::Duration;

use url::Url;

use crate::{limits, names::Names};

/// The right of a process to create and change streams and consumers. One role, ingest, has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ownership {
    /// Ingest: creates streams and consumers, and changes their settings.
    #[default]
    Owner,
    /// Every other role: uses the streams and consumers that exist, and reports settings that differ.
    Guest,
}

/// The settings that a deployment chooses; every other setting is fixed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// JOURNAL_MAX_BYTES: the most bytes of `EVENTS`; a full journal refuses appends.
    pub max_bytes: u64,
    /// JOURNAL_ACK_WAIT_MS: the acknowledgement deadline, after which the journal delivers a frame again.
    pub ack_wait: Duration,
    /// JOURNAL_REPLICAS: copies of each stream; 1 for a single server. The embedded journal has one copy.
    pub replicas: usize,
    /// NATS_MONITOR_URL: the monitoring ports of the servers, which report the servers' durability.
    pub monitors: Vec<Url>,
    /// JOURNAL_PREFIX, before every name. The embedded journal uses no prefix: no other deployment uses its file.
    pub names: Names,
    /// Whether this process may create and change streams and consumers.
    pub ownership: Ownership,
    /// The journal keeps an acknowledged frame this long. Only tests choose another time than 7 days.
    pub acknowledged_frame_age: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_bytes: 8 << 30,
            ack_wait: Duration::from_secs(30),
            replicas: 1,
            monitors: Vec::new(),
            names: Names::default(),
            ownership: Ownership::default(),
            acknowledged_frame_age: limits::ACKNOWLEDGED_FRAME_AGE,
        }
    }
}
