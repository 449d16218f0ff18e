//! The consumer of one source: offers what waits, and takes the verdicts.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::SqlitePool;
use tokio::{
    select,
    time::{Instant, sleep_until},
};
use weir_event::Source;

use super::{
    command::Writing,
    commit::list,
    source_queue::Lane,
    usage::{signed, unsigned},
};
use crate::{Backlog, Delivery, JournalError, Verdict};

/// The durable consumer of one source.
#[derive(Debug)]
pub struct Offers {
    lane: Arc<Lane>,
    readers: SqlitePool,
    writing: Writing,
    ack_wait: Duration,
}

/// A frame that somebody holds until a verdict or the acknowledgement deadline.
#[derive(Debug)]
pub(crate) struct Lease {
    lane: Arc<Lane>,
    writing: Writing,
    sequence: i64,
    attempt: u64,
    ack_wait: Duration,
}

/// A frame to be offered, and how often it was before.
struct Offer {
    sequence: i64,
    offered: u64,
    stored_at: DateTime<Utc>,
    payload: Vec<u8>,
}

/// When the oldest frame of a source came in that is not acknowledged.
pub(super) async fn oldest_waiting(
    readers: &SqlitePool,
    source: Source,
) -> Result<Option<DateTime<Utc>>, JournalError> {
    let stored_at: Option<i64> = sqlx::query_scalar(
        "SELECT stored_at FROM waiting JOIN frame USING (sequence)
         WHERE waiting.source = ? ORDER BY waiting.sequence LIMIT 1",
    )
    .bind(source.number())
    .fetch_optional(readers)
    .await
    .map_err(away)?;
    Ok(stored_at.and_then(DateTime::from_timestamp_micros))
}

impl Offers {
    pub(super) fn new(lane: Arc<Lane>, readers: SqlitePool, writing: Writing, ack_wait: Duration) -> Self {
        Self { lane, readers, writing, ack_wait }
    }

    pub(crate) async fn next(
        &mut self,
        max_frames: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, JournalError> {
        let deadline = Instant::now() + wait;
        loop {
            // Listening before looking: what is appended in between wakes this call.
            let changed = self.lane.changed.notified();
            let deliveries = self.offer(max_frames.max(1)).await?;
            if !deliveries.is_empty() || Instant::now() >= deadline {
                return Ok(deliveries);
            }
            let due = self.lane.leases().next_due();
            select! {
                () = changed => {}
                () = sleep_until(due.map_or(deadline, |due| due.min(deadline))) => {}
            }
        }
    }

    pub(crate) async fn backlog(&self) -> Result<Backlog, JournalError> {
        let cursor = *self.lane.cursor.lock().await;
        let waiting: i64 =
            sqlx::query_scalar("SELECT count(*) FROM waiting WHERE source = ? AND sequence > ?")
                .bind(self.lane.source.number())
                .bind(cursor)
                .fetch_one(&self.readers)
                .await
                .map_err(away)?;
        Ok(Backlog { waiting: unsigned(waiting), in_flight: self.lane.leases().len() as u64 })
    }

    /// What is due again goes first, then what was never offered, each by age. Nothing is handed out before all
    /// of it is read, so that a call that is cancelled takes nothing with it.
    async fn offer(&self, max_frames: usize) -> Result<Vec<Delivery>, JournalError> {
        let mut cursor = self.lane.cursor.lock().await;
        let again = self.due(max_frames).await?;
        let fresh = self.waiting_after(*cursor, max_frames - again.len()).await?;
        *cursor = fresh.last().map_or(*cursor, |offer| offer.sequence);
        let offers: Vec<Offer> = again.into_iter().chain(fresh).collect();
        if !offers.is_empty() {
            self.writing.note_offered(offers.iter().map(|offer| offer.sequence).collect());
        }
        Ok(offers.into_iter().map(|offer| self.deliver(offer)).collect())
    }

    /// What was offered before and is to be offered again.
    async fn due(&self, max_frames: usize) -> Result<Vec<Offer>, JournalError> {
        let due: HashMap<i64, u64> = self.lane.leases().due(Instant::now(), max_frames).into_iter().collect();
        let Some(sequences) = list(due.keys().copied()) else { return Ok(Vec::new()) };
        let waiting = self.waiting_among(sequences).await?;
        let mut leases = self.lane.leases();
        for sequence in
            due.keys().filter(|sequence| !waiting.iter().any(|offer| offer.sequence == **sequence))
        {
            // Acknowledged by one who came late, or past its age.
            leases.settle(*sequence);
        }
        let held = waiting.into_iter().filter(|offer| leases.contains(offer.sequence));
        Ok(held
            .map(|offer| {
                let offered = due.get(&offer.sequence).copied().unwrap_or_default().max(offer.offered);
                Offer { offered, ..offer }
            })
            .collect())
    }

    fn deliver(&self, offer: Offer) -> Delivery {
        let attempt = offer.offered + 1;
        self.lane.leases().offer(offer.sequence, attempt, Instant::now() + self.ack_wait);
        let lease = Lease {
            lane: Arc::clone(&self.lane),
            writing: self.writing.clone(),
            sequence: offer.sequence,
            attempt,
            ack_wait: self.ack_wait,
        };
        let sequence = unsigned(offer.sequence);
        Delivery::new(offer.payload.into(), sequence, attempt, offer.stored_at, Verdict::Embedded(lease))
    }

    async fn waiting_after(&self, cursor: i64, limit: usize) -> Result<Vec<Offer>, JournalError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let rows: Vec<OfferRow> = sqlx::query_as(
            "SELECT waiting.sequence, offers, stored_at, payload FROM waiting JOIN frame USING (sequence)
             WHERE waiting.source = ? AND waiting.sequence > ? ORDER BY waiting.sequence LIMIT ?",
        )
        .bind(self.lane.source.number())
        .bind(cursor)
        .bind(signed(limit as u64))
        .fetch_all(&self.readers)
        .await
        .map_err(away)?;
        Ok(rows.into_iter().map(Offer::from).collect())
    }

    async fn waiting_among(&self, sequences: String) -> Result<Vec<Offer>, JournalError> {
        let rows: Vec<OfferRow> = sqlx::query_as(
            "SELECT waiting.sequence, offers, stored_at, payload FROM waiting JOIN frame USING (sequence)
             WHERE waiting.sequence IN (SELECT value FROM json_each(?)) ORDER BY waiting.sequence",
        )
        .bind(sequences)
        .fetch_all(&self.readers)
        .await
        .map_err(away)?;
        Ok(rows.into_iter().map(Offer::from).collect())
    }
}

/// Sequence, offers, when it was stored in µs since the Unix epoch, payload.
type OfferRow = (i64, i64, i64, Vec<u8>);

impl From<OfferRow> for Offer {
    fn from((sequence, offers, stored_at, payload): OfferRow) -> Self {
        let stored_at = DateTime::from_timestamp_micros(stored_at).unwrap_or_default();
        Self { sequence, offered: unsigned(offers), stored_at, payload }
    }
}

impl Lease {
    /// Returns when the acknowledgement is durable.
    pub(crate) async fn ack(&self) -> Result<(), JournalError> {
        self.writing.acknowledge(self.sequence).await?;
        self.lane.leases().settle(self.sequence);
        Ok(())
    }

    pub(crate) fn progress(&self) {
        self.postpone(self.ack_wait);
    }

    pub(crate) fn retry_in(&self, delay: Duration) {
        self.postpone(delay);
    }

    fn postpone(&self, by: Duration) {
        self.lane.leases().postpone(self.sequence, self.attempt, Instant::now() + by);
        self.lane.changed.notify_waiters();
    }
}

fn away(error: sqlx::Error) -> JournalError {
    JournalError::Unreachable(error.to_string())
}
