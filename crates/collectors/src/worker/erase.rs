//! Carrying out an erasure: recorded first, so that nothing of the person is stored behind its back, then rows, then
//! dead letters, then the receipt. A step that fails, or a process that dies, leaves the rest to the next offer of
//! the frame. Nothing here logs who the person is.

use std::time::Duration;

use tracing::{info, warn};
use weir_journal::{DeadLetterStream, Erasure, Position};

use super::{Verdict, Worker};
use crate::{Failpoint, letters::LettersOf, store::ErasureStage};

/// How long an erasure that broke off is left alone.
const PAUSE: Duration = Duration::from_secs(5);
/// Letters that are read at once: up to 64 KiB each in memory, and a whole frame four times that.
const PAGE: usize = 128;

impl Worker {
    pub(super) async fn see_to_erasure(&self, erasure: &Erasure, position: Position) -> Verdict {
        let (erasure_id, correlation_id) = (erasure.id.as_str(), erasure.origin.correlation_id.as_str());
        match self.erase_and_settle(erasure, position).await {
            Ok(()) => Verdict::Done,
            Err(error) => {
                let error = format!("{error:#}");
                warn!(erasure_id, correlation_id, error, "an erasure broke off and will be carried on");
                Verdict::Later(PAUSE)
            }
        }
    }

    async fn erase_and_settle(&self, erasure: &Erasure, position: Position) -> anyhow::Result<()> {
        self.erase(erasure).await?;
        Ok(self.store.settle(&[position]).await?)
    }

    async fn erase(&self, erasure: &Erasure) -> anyhow::Result<()> {
        if self.store.record_erasure(erasure).await? == ErasureStage::Complete {
            return Ok(());
        }
        Failpoint::ErasureRecorded.pass(self.failpoint);
        self.store.make_anonymous(erasure).await?;
        Failpoint::ErasureRows.pass(self.failpoint);
        for graveyard in DeadLetterStream::ALL {
            self.remove_letters(graveyard, erasure).await?;
        }
        Failpoint::ErasureLetters.pass(self.failpoint);
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

    /// Goes over the letters that are there when it starts.
    async fn remove_letters(&self, graveyard: DeadLetterStream, erasure: &Erasure) -> anyhow::Result<()> {
        let persons = LettersOf::new(erasure.source, &erasure.user_id);
        let (mut after, last) = (0, self.journal.dead_letter_stats(graveyard).await?.last_sequence);
        while after < last {
            let page = self.journal.dead_letters(graveyard, after, PAGE).await?;
            let Some(furthest) = page.last() else { break };
            after = furthest.sequence;
            let of_person = page.iter().filter(|stored| persons.include(&stored.letter));
            let sequences: Vec<u64> = of_person.map(|stored| stored.sequence).collect();
            if !sequences.is_empty() {
                self.journal.remove_dead_letters(graveyard, &sequences).await?;
                self.store.note_removed_letters(erasure, sequences.len() as u64).await?;
            }
        }
        Ok(())
    }
}
