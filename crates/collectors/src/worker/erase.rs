//! An erasure, step by step: the record, the rows, the sets of people, the dead letters and the receipt.
//!
//! The record comes first, so that no other collector stores an event of the person meanwhile. A step that fails, or a
//! process that dies, leaves the rest to the next delivery of the frame. No log entry names the person.

mod dead_letter_match;

use std::time::Duration;

use tracing::{info, warn};
use weir_journal::{DeadLetterStream, Erasure, Position};

use super::{Worker, delivery::DeliveryVerdict};
use crate::{Failpoint, people::People, store::ErasureStage};
use dead_letter_match::DeadLetterMatch;

/// How long an interrupted erasure waits for its next attempt.
const PAUSE: Duration = Duration::from_secs(5);
/// Dead letters that are read at once. Each takes up to 64 KiB of memory, and a whole frame four times that.
const PAGE: usize = 128;

impl Worker {
    pub(super) async fn process_erasure(&self, erasure: &Erasure, position: Position) -> DeliveryVerdict {
        let (erasure_id, correlation_id) = (erasure.id.as_str(), erasure.origin.correlation_id.as_str());
        match self.erase_and_record(erasure, position).await {
            Ok(()) => DeliveryVerdict::Acknowledge,
            Err(error) => {
                let error = format!("{error:#}");
                warn!(erasure_id, correlation_id, error, "an erasure was interrupted and will continue");
                DeliveryVerdict::RetryIn(PAUSE)
            }
        }
    }

    async fn erase_and_record(&self, erasure: &Erasure, position: Position) -> anyhow::Result<()> {
        self.erase(erasure).await?;
        Ok(self.store.record_settled(&[position]).await?)
    }

    async fn erase(&self, erasure: &Erasure) -> anyhow::Result<()> {
        if self.store.record_erasure(erasure).await? == ErasureStage::Complete {
            return Ok(());
        }
        Failpoint::ErasureRecorded.abort_if(self.failpoint);
        self.store.anonymize_rows(erasure).await?;
        Box::pin(People::new(&self.store).erase(erasure)).await?;
        Failpoint::ErasureRows.abort_if(self.failpoint);
        for stream in DeadLetterStream::ALL {
            self.remove_dead_letters(stream, erasure).await?;
        }
        Failpoint::ErasureLetters.abort_if(self.failpoint);
        let counts = self.store.complete_erasure(erasure).await?;
        info!(
            erasure_id = erasure.id,
            correlation_id = %erasure.origin.correlation_id,
            rows = counts.rows,
            dead_letters = counts.dead_letters,
            "an erasure is complete"
        );
        Ok(())
    }

    /// Removes the person's dead letters among those that the stream has when this starts.
    async fn remove_dead_letters(&self, stream: DeadLetterStream, erasure: &Erasure) -> anyhow::Result<()> {
        let person = DeadLetterMatch::new(erasure.source, &erasure.user_id);
        let (mut after, last) = (0, self.journal.dead_letter_stats(stream).await?.last_sequence);
        while after < last {
            let page = self.journal.dead_letters(stream, after, PAGE).await?;
            let Some(furthest) = page.last() else { break };
            after = furthest.sequence;
            let of_person = page.iter().filter(|stored| person.matches(&stored.letter));
            let sequences: Vec<u64> = of_person.map(|stored| stored.sequence).collect();
            if !sequences.is_empty() {
                self.journal.remove_dead_letters(stream, &sequences).await?;
                self.store.note_removed_dead_letters(erasure, sequences.len() as u64).await?;
            }
        }
        Ok(())
    }
}
