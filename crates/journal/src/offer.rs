//! One offer of a frame, as an adapter hands it to the consumer.

use bytes::Bytes;
use chrono::{DateTime, Utc};

/// One offer of a frame. `acker` is the adapter's way to acknowledge it.
#[derive(Debug)]
pub(crate) struct Offer<A> {
    /// The encoded message.
    pub(crate) payload: Bytes,
    /// The frame's sequence in its journal, from 1 on.
    pub(crate) sequence: u64,
    /// 1 at the first offer.
    pub(crate) attempt: u64,
    /// When the journal stored the frame, by the journal's clock.
    pub(crate) stored_at: DateTime<Utc>,
    pub(crate) acker: A,
}
