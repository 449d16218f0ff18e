//! The durable consumer of one source, and its deliveries.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::{
    embedded::{EmbeddedConsumer, Lease},
    error::JournalError,
    frame::{Content, FrameError},
    jetstream::{MessageAcker, PullConsumer},
    offer::Offer,
    usage::Backlog,
};

/// The durable consumer of one source. Several consumers, in one process or many, share the source's frames.
#[derive(Debug)]
pub enum Consumer {
    JetStream(Box<PullConsumer>),
    Embedded(EmbeddedConsumer),
}

/// One delivery of one frame. It ends in exactly one of [`Delivery::ack`] and [`Delivery::retry_in`]. If it is dropped
/// without either, the journal delivers the frame again after the acknowledgement deadline.
#[derive(Debug)]
pub struct Delivery {
    content: Result<Content, FrameError>,
    raw: Bytes,
    sequence: u64,
    attempt: u64,
    stored_at: DateTime<Utc>,
    acker: Acker,
}

/// The adapter's way to acknowledge a delivery.
#[derive(Debug)]
enum Acker {
    JetStream(MessageAcker),
    Embedded(Lease),
}

impl Consumer {
    /// Receives up to `max_frames` frames. Waits up to `wait` for the first one, and returns the frames that are there
    /// then, perhaps none. Cancelling the call loses no frame: the next call returns the frames that this one had.
    ///
    /// # Errors
    /// The journal is unreachable. The next call tries again, and uses a consumer that was created anew if the old one
    /// vanished.
    pub async fn next(&mut self, max_frames: usize, wait: Duration) -> Result<Vec<Delivery>, JournalError> {
        match self {
            Self::JetStream(consumer) => {
                let offers = consumer.next(max_frames, wait).await?;
                Ok(offers.into_iter().map(|offer| Delivery::new(offer, Acker::JetStream)).collect())
            }
            Self::Embedded(consumer) => {
                let offers = consumer.next(max_frames, wait).await?;
                Ok(offers.into_iter().map(|offer| Delivery::new(offer, Acker::Embedded)).collect())
            }
        }
    }

    /// The frames that this source's collectors have not acknowledged.
    ///
    /// # Errors
    /// The journal is unreachable.
    pub async fn backlog(&self) -> Result<Backlog, JournalError> {
        match self {
            Self::JetStream(consumer) => consumer.backlog().await,
            Self::Embedded(consumer) => consumer.backlog().await,
        }
    }
}

impl Delivery {
    fn new<A>(offer: Offer<A>, acker: impl FnOnce(A) -> Acker) -> Self {
        Self {
            content: Content::decode(&offer.payload),
            raw: offer.payload,
            sequence: offer.sequence,
            attempt: offer.attempt,
            stored_at: offer.stored_at,
            acker: acker(offer.acker),
        }
    }

    /// The contents of the frame.
    ///
    /// # Errors
    /// This build can't read the frame; see [`FrameError`].
    pub fn content(&self) -> Result<&Content, &FrameError> {
        self.content.as_ref()
    }

    /// The encoded message, for the dead letter of a frame that can't be read.
    #[must_use]
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// When the journal stored the frame, by the journal's clock.
    #[must_use]
    pub fn stored_at(&self) -> DateTime<Utc> {
        self.stored_at
    }

    /// The frame's sequence in its journal, the same in every delivery.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// 1 at the first delivery, more at a redelivery. A journal that was killed may have forgotten its last deliveries.
    #[must_use]
    pub fn attempt(&self) -> u64 {
        self.attempt
    }

    /// Extends the lease: the acknowledgement deadline starts anew.
    ///
    /// # Errors
    /// The journal is unreachable, and may deliver the frame again meanwhile.
    pub async fn progress(&self) -> Result<(), JournalError> {
        match &self.acker {
            Acker::JetStream(acker) => acker.progress().await,
            Acker::Embedded(lease) => {
                lease.progress();
                Ok(())
            }
        }
    }

    /// Acknowledges the frame: the journal never delivers it again. Returns when the journal has the acknowledgement.
    ///
    /// # Errors
    /// The journal is unreachable and may deliver the frame again. The frame's id makes that harmless.
    pub async fn ack(self) -> Result<(), JournalError> {
        match self.acker {
            Acker::JetStream(acker) => acker.ack().await,
            Acker::Embedded(lease) => lease.ack().await,
        }
    }

    /// Puts the frame back: the journal delivers it again, to any collector, after `delay`.
    ///
    /// # Errors
    /// The journal is unreachable, and delivers the frame again after the acknowledgement deadline.
    pub async fn retry_in(self, delay: Duration) -> Result<(), JournalError> {
        match self.acker {
            Acker::JetStream(acker) => acker.retry_in(delay).await,
            Acker::Embedded(lease) => {
                lease.retry_in(delay);
                Ok(())
            }
        }
    }
}
