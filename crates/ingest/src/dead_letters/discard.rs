//! DiscardDeadLetters: removes letters for good.

use tonic::Status;
use tracing::info;
use weir::contract::ingest::v1::{DiscardDeadLettersRequest, DiscardDeadLettersResponse};
use weir_journal::{DeadLetterStream, Journal};

use super::{
    field_errors::{FieldErrors, journal_error},
    letter::LetterId,
    responses::ResponseSender,
    selection::Selector,
};

/// A checked request.
#[derive(Debug)]
pub(super) struct Discard {
    selector: Selector,
    dry_run: bool,
}

impl Discard {
    /// Checks a request.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that names every wrong field.
    pub(super) fn check(request: DiscardDeadLettersRequest) -> Result<Self, Status> {
        let mut errors = FieldErrors::default();
        let selector = Selector::check(&request.ids, request.filter, &request.cursor, &mut errors);
        errors.into_result()?;
        Ok(Self { selector, dry_run: request.dry_run })
    }

    /// Removes every letter. Ends early when the caller disconnects or ingest stops.
    pub(super) async fn run(
        self,
        journal: &Journal,
        responses: &ResponseSender<DiscardDeadLettersResponse>,
    ) -> Result<(), Status> {
        let mut selection = self.selector.start(journal.clone()).await?;
        let (mut discarded, mut gone, mut cursor) = (0, 0, String::new());
        while let Some(page) = selection.next().await.map_err(journal_error)? {
            let ids: Vec<LetterId> = page.letters.iter().map(|(id, _)| *id).collect();
            if !self.dry_run {
                remove(journal, &ids).await?;
            }
            discarded += ids.len() as u64;
            gone += page.gone.len() as u64;
            cursor = page.cursor;
            let ids = ids.iter().map(LetterId::to_string).collect();
            let response =
                DiscardDeadLettersResponse { ids, discarded, gone, cursor: cursor.clone(), finished: false };
            responses.send(response).await?;
        }
        info!(discarded, gone, dry_run = self.dry_run, "dead letters discarded");
        let last = DiscardDeadLettersResponse { ids: Vec::new(), discarded, gone, cursor, finished: true };
        responses.send(last).await
    }
}

async fn remove(journal: &Journal, ids: &[LetterId]) -> Result<(), Status> {
    for stream in DeadLetterStream::ALL {
        let of_stream = ids.iter().filter(|id| id.stream == stream);
        let sequences: Vec<u64> = of_stream.map(|id| id.sequence).collect();
        journal.remove_dead_letters(stream, &sequences).await.map_err(journal_error)?;
    }
    Ok(())
}
