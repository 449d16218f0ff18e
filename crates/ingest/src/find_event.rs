//! FindEvent: the dead letters of one event, and the frames of its source that are not stored yet.

use weir::contract::{
    ingest::v1::{
        FindEventResponse,
        find_event_response::{Kind, Letter},
    },
    timestamp,
};
use weir_event::{Source, cut_event_id};
use weir_journal::{Backlog, DeadLetterStream, Journal, JournalError, StoredDeadLetter};

/// Finds one event in the journal. It reads the backlog before the letters, so that it can't miss an event that a
/// collector parks in between.
pub(crate) async fn find_event(
    journal: &Journal,
    source: Source,
    event_id: &str,
) -> Result<FindEventResponse, JournalError> {
    let event_id = cut_event_id(event_id);
    let Backlog { waiting, in_flight } = journal.backlog(source).await?;
    let (rejected, sourceless, parked) = tokio::try_join!(
        journal.last_dead_letter(DeadLetterStream::Rejected, Some(source), event_id),
        journal.last_dead_letter(DeadLetterStream::Rejected, None, event_id),
        journal.last_dead_letter(DeadLetterStream::Parked, Some(source), event_id),
    )?;
    let rejected = rejected.into_iter().chain(sourceless).map(|stored| letter(Kind::Rejected, stored));
    let parked = parked.into_iter().map(|stored| letter(Kind::Parked, stored));
    Ok(FindEventResponse { letters: rejected.chain(parked).collect(), waiting_frames: waiting + in_flight })
}

fn letter(kind: Kind, stored: StoredDeadLetter) -> Letter {
    Letter {
        kind: kind.into(),
        buried_at: Some(timestamp(stored.stored_at)),
        correlation_id: stored.letter.origin.correlation_id.to_string(),
        violations: stored.letter.violations.into_iter().map(Into::into).collect(),
    }
}
