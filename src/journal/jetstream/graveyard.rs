//! Reading dead letters back.

use async_nats::jetstream::{
    Context,
    message::StreamMessage,
    stream::{RawMessageBuilder, RawMessageErrorKind, Stream, WithHeaders},
};
use chrono::DateTime;
use tokio::time::timeout;

use super::{
    api::{self, ApiError},
    connection::PUBLISH_TIMEOUT,
};
use crate::journal::{Buried, DeadLetter, Graveyard, JournalError, StoredDeadLetter, subject};

pub(super) async fn read(
    context: &Context,
    graveyard: Graveyard,
    after: u64,
    limit: usize,
) -> Result<Vec<StoredDeadLetter>, JournalError> {
    let stream = context.get_stream_no_info(subject::stream(graveyard)).await.map_err(away)?;
    let mut letters = Vec::new();
    let mut after = after;
    while letters.len() < limit {
        let Some(message) = following(&stream, graveyard, after).await? else { break };
        after = message.sequence;
        letters.push(stored(message)?);
    }
    Ok(letters)
}

/// The newest letter under a subject.
pub(super) async fn last(
    context: &Context,
    graveyard: Graveyard,
    subject: &str,
) -> Result<Option<StoredDeadLetter>, JournalError> {
    let stream = context.get_stream_no_info(subject::stream(graveyard)).await.map_err(away)?;
    let question = stream.raw_message_builder().last_by_subject(subject);
    answer(question).await?.map(stored).transpose()
}

pub(super) async fn buried(context: &Context, graveyard: Graveyard) -> Result<Buried, JournalError> {
    let state = api::stream_info(context, subject::stream(graveyard)).await?.state;
    // Letters go from the front alone, and sequences have no gaps.
    Ok(Buried { letters: state.messages, bytes: state.bytes, gone: state.last_sequence - state.messages })
}

async fn following<I>(
    stream: &Stream<I>,
    graveyard: Graveyard,
    after: u64,
) -> Result<Option<StreamMessage>, JournalError> {
    let question = stream.raw_message_builder().sequence(after + 1).next_by_subject(subject::all(graveyard));
    answer(question).await
}

async fn answer(question: RawMessageBuilder<WithHeaders>) -> Result<Option<StreamMessage>, JournalError> {
    match timeout(PUBLISH_TIMEOUT, question.send()).await.map_err(away)? {
        Ok(message) => Ok(Some(message)),
        Err(error) => match error.kind() {
            RawMessageErrorKind::NoMessageFound => Ok(None),
            RawMessageErrorKind::JetStream(refusal) => Err(ApiError::from(refusal).into()),
            RawMessageErrorKind::InvalidSubject | RawMessageErrorKind::Other => Err(away(error)),
        },
    }
}

fn stored(message: StreamMessage) -> Result<StoredDeadLetter, JournalError> {
    let unreadable = || JournalError::Unusable(format!("the dead letter {} can't be read", message.sequence));
    Ok(StoredDeadLetter {
        sequence: message.sequence,
        letter: DeadLetter::decode(&message.payload).ok_or_else(unreadable)?,
        stored_at: DateTime::from_timestamp(message.time.unix_timestamp(), message.time.nanosecond())
            .ok_or_else(unreadable)?,
        subject: message.subject.to_string(),
    })
}

fn away(error: impl std::fmt::Display) -> JournalError {
    JournalError::Unreachable(error.to_string())
}
