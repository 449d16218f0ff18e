//! Discarding: letters that nobody wants any more are removed for good.

use tonic::Status;
use tracing::info;
use weir::contract::ingest::v1::{DiscardDeadLettersRequest, DiscardDeadLettersResponse};
use weir_journal::{DeadLetterStream, Journal};

use super::{
    field_errors::{Faults, unreadable},
    letter::LetterId,
    selection::Asked,
    stream::Answers,
};

/// A checked request.
#[derive(Debug)]
pub(super) struct Discard {
    asked: Asked,
    dry_run: bool,
}

impl Discard {
    pub(super) fn read(request: DiscardDeadLettersRequest) -> Result<Self, Status> {
        let mut faults = Faults::default();
        let asked = Asked::read(&request.ids, request.filter, &request.cursor, &mut faults);
        faults.into_result()?;
        Ok(Self { asked, dry_run: request.dry_run })
    }

    /// Removes every letter. Ends early where nobody listens any more.
    pub(super) async fn run(
        self,
        journal: &Journal,
        answers: &Answers<DiscardDeadLettersResponse>,
    ) -> Result<(), Status> {
        let mut selection = self.asked.begin(journal.clone()).await?;
        let (mut discarded, mut gone, mut cursor) = (0, 0, String::new());
        while let Some(step) = selection.next().await.map_err(unreadable)? {
            let ids: Vec<LetterId> = step.letters.iter().map(|(id, _)| *id).collect();
            if !self.dry_run {
                remove(journal, &ids).await?;
            }
            discarded += ids.len() as u64;
            gone += step.gone.len() as u64;
            cursor = step.cursor;
            let ids = ids.iter().map(LetterId::to_string).collect();
            let answer =
                DiscardDeadLettersResponse { ids, discarded, gone, cursor: cursor.clone(), finished: false };
            answers.send(answer).await?;
        }
        info!(discarded, gone, dry_run = self.dry_run, "dead letters discarded");
        let last = DiscardDeadLettersResponse { ids: Vec::new(), discarded, gone, cursor, finished: true };
        answers.send(last).await
    }
}

async fn remove(journal: &Journal, ids: &[LetterId]) -> Result<(), Status> {
    for graveyard in DeadLetterStream::ALL {
        let of_graveyard = ids.iter().filter(|id| id.graveyard == graveyard);
        let sequences: Vec<u64> = of_graveyard.map(|id| id.sequence).collect();
        journal.remove_dead_letters(graveyard, &sequences).await.map_err(unreadable)?;
    }
    Ok(())
}
