//! The consumer of one source in the file: delivers waiting frames under a lease.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::SqlitePool;
use tokio::{
    select,
    time::{Instant, sleep_until},
};
use weir_event::Source;

use super::{
    command::WriterHandle,
    source_queue::SourceQueue,
    sql::{json_array, signed, unreachable, unsigned},
};
use crate::{error::JournalError, offer::Offer, usage::Backlog};

/// The durable consumer of one source.
#[derive(Debug)]
pub struct EmbeddedConsumer {
    queue: Arc<SourceQueue>,
    readers: SqlitePool,
    writer: WriterHandle,
    ack_wait: Duration,
}

/// The lease of one delivered frame. It ends with the acknowledgement or at the acknowledgement deadline.
#[derive(Debug)]
pub(crate) struct Lease {
    queue: Arc<SourceQueue>,
    writer: WriterHandle,
    sequence: i64,
    attempt: u64,
    ack_wait: Duration,
}

/// An unacknowledged frame, and the number of its deliveries so far.
struct WaitingFrame {
    sequence: i64,
    deliveries: u64,
    stored_at: DateTime<Utc>,
    payload: Vec<u8>,
}

/// When the file stored the oldest frame of a source that is not acknowledged.
pub(super) async fn oldest_unacknowledged(
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
    .map_err(unreachable)?;
    Ok(stored_at.and_then(DateTime::from_timestamp_micros))
}

impl EmbeddedConsumer {
    pub(super) fn new(
        queue: Arc<SourceQueue>,
        readers: SqlitePool,
        writer: WriterHandle,
        ack_wait: Duration,
    ) -> Self {
        Self { queue, readers, writer, ack_wait }
    }

    pub(crate) async fn next(
        &mut self,
        max_frames: usize,
        wait: Duration,
    ) -> Result<Vec<Offer<Lease>>, JournalError> {
        let deadline = Instant::now() + wait;
        loop {
            // Listens before it reads, so that an append in between wakes this call.
            let changed = self.queue.changed.notified();
            let offers = self.lease(max_frames.max(1)).await?;
            if !offers.is_empty() || Instant::now() >= deadline {
                return Ok(offers);
            }
            let due = self.queue.leases().next_due();
            select! {
                () = changed => {}
                () = sleep_until(due.map_or(deadline, |due| due.min(deadline))) => {}
            }
        }
    }

    pub(crate) async fn backlog(&self) -> Result<Backlog, JournalError> {
        let cursor = *self.queue.cursor.lock().await;
        let waiting: i64 =
            sqlx::query_scalar("SELECT count(*) FROM waiting WHERE source = ? AND sequence > ?")
                .bind(self.queue.source.number())
                .bind(cursor)
                .fetch_one(&self.readers)
                .await
                .map_err(unreachable)?;
        Ok(Backlog { waiting: unsigned(waiting), in_flight: self.queue.leases().len() as u64 })
    }

    /// Leases up to `max_frames` frames: first those whose lease has ended, then new ones, each oldest first. Grants no
    /// lease before it has read every frame, so that a cancelled call leases no frame.
    async fn lease(&self, max_frames: usize) -> Result<Vec<Offer<Lease>>, JournalError> {
        let mut cursor = self.queue.cursor.lock().await;
        let again = self.due(max_frames).await?;
        let new = self.waiting_after(*cursor, max_frames - again.len()).await?;
        *cursor = new.last().map_or(*cursor, |frame| frame.sequence);
        let frames: Vec<WaitingFrame> = again.into_iter().chain(new).collect();
        if !frames.is_empty() {
            self.writer.count_deliveries(frames.iter().map(|frame| frame.sequence).collect());
        }
        Ok(frames.into_iter().map(|frame| self.offer(frame)).collect())
    }

    /// The frames whose lease has ended.
    async fn due(&self, max_frames: usize) -> Result<Vec<WaitingFrame>, JournalError> {
        let due: HashMap<i64, u64> =
            self.queue.leases().due(Instant::now(), max_frames).into_iter().collect();
        let Some(sequences) = json_array(due.keys().copied()) else { return Ok(Vec::new()) };
        let waiting = self.waiting_among(sequences).await?;
        let mut leases = self.queue.leases();
        for sequence in
            due.keys().filter(|sequence| !waiting.iter().any(|frame| frame.sequence == **sequence))
        {
            // An earlier holder acknowledged the frame late, or the frame has expired.
            leases.remove(*sequence);
        }
        let leased = waiting.into_iter().filter(|frame| leases.contains(frame.sequence));
        Ok(leased
            .map(|frame| {
                let attempt = due.get(&frame.sequence).copied().unwrap_or_default();
                WaitingFrame { deliveries: attempt.max(frame.deliveries), ..frame }
            })
            .collect())
    }

    fn offer(&self, frame: WaitingFrame) -> Offer<Lease> {
        let attempt = frame.deliveries + 1;
        self.queue.leases().grant(frame.sequence, attempt, Instant::now() + self.ack_wait);
        let lease = Lease {
            queue: Arc::clone(&self.queue),
            writer: self.writer.clone(),
            sequence: frame.sequence,
            attempt,
            ack_wait: self.ack_wait,
        };
        Offer {
            payload: frame.payload.into(),
            sequence: unsigned(frame.sequence),
            attempt,
            stored_at: frame.stored_at,
            acker: lease,
        }
    }

    async fn waiting_after(&self, cursor: i64, limit: usize) -> Result<Vec<WaitingFrame>, JournalError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let rows: Vec<WaitingRow> = sqlx::query_as(
            "SELECT waiting.sequence, offers, stored_at, payload FROM waiting JOIN frame USING (sequence)
             WHERE waiting.source = ? AND waiting.sequence > ? ORDER BY waiting.sequence LIMIT ?",
        )
        .bind(self.queue.source.number())
        .bind(cursor)
        .bind(signed(limit as u64))
        .fetch_all(&self.readers)
        .await
        .map_err(unreachable)?;
        Ok(rows.into_iter().map(WaitingFrame::from).collect())
    }

    async fn waiting_among(&self, sequences: String) -> Result<Vec<WaitingFrame>, JournalError> {
        let rows: Vec<WaitingRow> = sqlx::query_as(
            "SELECT waiting.sequence, offers, stored_at, payload FROM waiting JOIN frame USING (sequence)
             WHERE waiting.sequence IN (SELECT value FROM json_each(?)) ORDER BY waiting.sequence",
        )
        .bind(sequences)
        .fetch_all(&self.readers)
        .await
        .map_err(unreachable)?;
        Ok(rows.into_iter().map(WaitingFrame::from).collect())
    }
}

/// Sequence, number of deliveries, time of storing in µs since the Unix epoch, payload.
type WaitingRow = (i64, i64, i64, Vec<u8>);

impl From<WaitingRow> for WaitingFrame {
    fn from((sequence, deliveries, stored_at, payload): WaitingRow) -> Self {
        let stored_at = DateTime::from_timestamp_micros(stored_at).unwrap_or_default();
        Self { sequence, deliveries: unsigned(deliveries), stored_at, payload }
    }
}

impl Lease {
    /// Returns when the acknowledgement is durable.
    pub(crate) async fn ack(&self) -> Result<(), JournalError> {
        self.writer.acknowledge(self.sequence).await?;
        self.queue.leases().remove(self.sequence);
        Ok(())
    }

    pub(crate) fn progress(&self) {
        self.end_in(self.ack_wait);
    }

    pub(crate) fn retry_in(&self, delay: Duration) {
        self.end_in(delay);
    }

    fn end_in(&self, time: Duration) {
        self.queue.leases().move_end(self.sequence, self.attempt, Instant::now() + time);
        self.queue.changed.notify_waiters();
    }
}
