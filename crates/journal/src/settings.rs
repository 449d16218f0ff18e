//! Settings of the journal that a deployment chooses.

use std::time::Duration;

use url::Url;

use super::{Names, limits};

/// Who may create and change what the journal consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ownership {
    /// Ingest, which makes streams and consumers and changes their settings.
    #[default]
    Owner,
    /// Every other role: it uses what it finds, and says what differs.
    Guest,
}

/// What a deployment may choose of the journal; every other setting is fixed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// JOURNAL_MAX_BYTES: how many bytes `EVENTS` may hold before it refuses.
    pub max_bytes: u64,
    /// JOURNAL_ACK_WAIT_MS: how long a collector may hold a frame before another one is offered it.
    pub ack_wait: Duration,
    /// JOURNAL_REPLICAS: copies of each stream; 1 for a single server. The embedded journal has one.
    pub replicas: usize,
    /// NATS_MONITOR_URL: the servers' monitoring ports, where they say what they promise.
    pub monitors: Vec<Url>,
    /// JOURNAL_PREFIX, in front of every name. The embedded journal has its file to itself.
    pub names: Names,
    pub ownership: Ownership,
    /// How long acknowledged frames are kept: only tests choose another time than 7 days.
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
