//! Dead letters on the server: appending, reading and removing. A rejected letter is appended once; its fingerprint
//! recognises it when it is posted again.

use std::{collections::HashSet, time::Duration};

use async_nats::jetstream::{
    Message,
    consumer::{AckPolicy, Consumer, DeliverPolicy, pull},
    message::StreamMessage,
    stream::{RawMessageBuilder, RawMessageErrorKind, Stream, WithHeaders},
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{
    StreamExt as _,
    future::{join_all, try_join_all},
};
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use super::{
    PUBLISH_TIMEOUT,
    api::{self, ApiError, Context, unreachable},
    connection::Connection,
    publish::{DuplicateMessage, OutgoingMessage, publish_all},
};
use crate::{
    dead_letter::{DeadLetter, StoredDeadLetter},
    dead_letter_stream::{DeadLetterStats, DeadLetterStream},
    error::{AppendError, JournalError},
    names::Names,
};

/// The most lookups or removals at once.
const WINDOW: usize = 64;
/// Timeout of all lookups of one append. A failed lookup does not refuse the append: the publish reports the problem
/// itself.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(1);
/// The most letters of one identity that are compared. A sender with more of them uses one id for many items; an item
/// that it repeats after the duplicate window is appended twice.
const MAX_COMPARED: usize = 8;
/// Letters of one pull: 8 MiB of items of the largest size. A whole frame is four times as large as such an item.
const PULL_LETTERS: usize = 128;
/// The server removes the consumer of a vanished reader after this time.
const READER_AGE: Duration = Duration::from_secs(30);

pub(super) async fn append(
    connection: &Connection,
    names: &Names,
    stream: DeadLetterStream,
    letters: &[DeadLetter],
) -> Result<(), AppendError> {
    if stream == DeadLetterStream::Parked {
        let letters =
            letters.iter().map(|letter| OutgoingMessage::dead_letter(names, stream, letter).with_new_id());
        return publish_all(connection, letters.collect()).await.map(drop);
    }
    let mut fingerprints = HashSet::new();
    let different: Vec<&DeadLetter> =
        letters.iter().filter(|letter| fingerprints.insert(letter.fingerprint())).collect();
    let context = connection.context();
    let deadline = Instant::now() + LOOKUP_TIMEOUT;
    let mut new = Vec::new();
    for window in different.chunks(WINDOW) {
        let lookups = join_all(window.iter().map(|letter| is_present(context, names, stream, letter)));
        // A letter whose lookup is not finished in time is appended.
        let present = timeout_at(deadline, lookups).await.unwrap_or_else(|_| vec![false; window.len()]);
        let absent = window.iter().zip(present).filter(|(_, is_present)| !is_present);
        new.extend(absent.map(|(letter, _)| OutgoingMessage::dead_letter(names, stream, letter)));
    }
    let duplicates = publish_all(connection, new).await?.duplicates;
    let removed = removed_since(context, names, stream, duplicates).await;
    publish_all(connection, removed).await.map(drop)
}

/// Whether the stream has the letter. False if the lookup fails.
async fn is_present(context: &Context, names: &Names, stream: DeadLetterStream, letter: &DeadLetter) -> bool {
    let Ok(messages) = context.get_stream_no_info(names.dead_letter_stream(stream)).await else {
        return false;
    };
    let subject = letter.subject(names, stream);
    let fingerprint = letter.fingerprint();
    let mut after = 0;
    for _ in 0..MAX_COMPARED {
        let Some((sequence, payload)) = next_after(&messages, &subject, after).await else { return false };
        if DeadLetter::decode(&payload).is_some_and(|stored| stored.fingerprint() == fingerprint) {
            return true;
        }
        after = sequence;
    }
    false
}

async fn next_after<I>(stream: &Stream<I>, subject: &str, after: u64) -> Option<(u64, Bytes)> {
    let request = stream.raw_message_builder().sequence(after + 1).next_by_subject(subject);
    match request.send().await {
        Ok(message) => Some((message.sequence, message.payload)),
        Err(error) => {
            if error.kind() != RawMessageErrorKind::NoMessageFound {
                tracing::debug!(%error, "the lookup of a dead letter failed");
            }
            None
        }
    }
}

/// The duplicates whose earlier copy was removed meanwhile, under new ids: they must be appended again. A letter whose
/// lookup fails is among them.
async fn removed_since(
    context: &Context,
    names: &Names,
    stream: DeadLetterStream,
    duplicates: Vec<DuplicateMessage>,
) -> Vec<OutgoingMessage> {
    let name = names.dead_letter_stream(stream);
    let mut removed = Vec::new();
    for DuplicateMessage { message, sequence } in duplicates {
        if !matches!(read_at(context, &name, sequence).await, Ok(Some(_))) {
            removed.push(message.with_new_id());
        }
    }
    removed
}

/// Reads up to `limit` letters with a sequence over `after`, through one consumer: a request for each letter would take a
/// round trip each.
pub(super) async fn read_page(
    context: &Context,
    stream: &str,
    after: u64,
    limit: usize,
) -> Result<Vec<StoredDeadLetter>, JournalError> {
    let reader = api::put_consumer(context, stream, reader(after)).await?;
    let letters = pull_letters(&reader, limit).await;
    let info = reader.cached_info();
    // If the removal fails, the server removes the consumer after READER_AGE.
    api::delete_consumer(context, stream, &info.name).await.ok();
    letters
}

fn reader(after: u64) -> pull::Config {
    pull::Config {
        name: Some(Uuid::now_v7().to_string()),
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after + 1 },
        ack_policy: AckPolicy::None,
        inactive_threshold: READER_AGE,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    }
}

async fn pull_letters(
    reader: &Consumer<pull::Config>,
    limit: usize,
) -> Result<Vec<StoredDeadLetter>, JournalError> {
    let mut letters = Vec::new();
    let mut pending = reader.cached_info().num_pending;
    while pending > 0 && letters.len() < limit {
        let wanted = PULL_LETTERS.min(limit - letters.len());
        let pull = timeout(PUBLISH_TIMEOUT, reader.fetch().max_messages(wanted).messages()).await;
        let mut pull = pull.map_err(unreachable)?.map_err(unreachable)?;
        let before = letters.len();
        while let Some(message) = timeout(PUBLISH_TIMEOUT, pull.next()).await.map_err(unreachable)? {
            let message = message.map_err(unreachable)?;
            pending = message.info().map_err(unreachable)?.pending;
            letters.push(from_delivery(&message)?);
        }
        if letters.len() == before {
            // The pending letters were removed meanwhile.
            break;
        }
    }
    Ok(letters)
}

/// Reads the letter at a sequence.
pub(super) async fn read_at(
    context: &Context,
    stream: &str,
    sequence: u64,
) -> Result<Option<StoredDeadLetter>, JournalError> {
    if sequence == 0 {
        return Ok(None);
    }
    let stream = context.get_stream_no_info(stream).await.map_err(unreachable)?;
    read_one(stream.raw_message_builder().sequence(sequence)).await
}

/// Reads the newest letter under a subject.
pub(super) async fn read_last(
    context: &Context,
    stream: &str,
    subject: &str,
) -> Result<Option<StoredDeadLetter>, JournalError> {
    let stream = context.get_stream_no_info(stream).await.map_err(unreachable)?;
    read_one(stream.raw_message_builder().last_by_subject(subject)).await
}

async fn read_one(request: RawMessageBuilder<WithHeaders>) -> Result<Option<StoredDeadLetter>, JournalError> {
    match timeout(PUBLISH_TIMEOUT, request.send()).await.map_err(unreachable)? {
        Ok(message) => from_stream(message).map(Some),
        Err(error) => match error.kind() {
            RawMessageErrorKind::NoMessageFound => Ok(None),
            RawMessageErrorKind::JetStream(refusal) => Err(ApiError::from(refusal).into()),
            RawMessageErrorKind::InvalidSubject | RawMessageErrorKind::Other => Err(unreachable(error)),
        },
    }
}

pub(super) async fn remove(context: &Context, stream: &str, sequences: &[u64]) -> Result<(), JournalError> {
    for window in sequences.chunks(WINDOW) {
        try_join_all(window.iter().map(|sequence| api::delete(context, stream, *sequence))).await?;
    }
    Ok(())
}

pub(super) async fn stats(context: &Context, stream: &str) -> Result<DeadLetterStats, JournalError> {
    let state = api::stream_info(context, stream).await?.info.state;
    Ok(DeadLetterStats {
        letters: state.messages,
        bytes: state.bytes,
        last_sequence: state.last_sequence,
        gone: state.last_sequence - state.messages,
    })
}

fn from_delivery(message: &Message) -> Result<StoredDeadLetter, JournalError> {
    let info = message.info().map_err(unreachable)?;
    stored(info.stream_sequence, info.published, message.subject.as_str(), &message.payload)
}

fn from_stream(message: StreamMessage) -> Result<StoredDeadLetter, JournalError> {
    stored(message.sequence, message.time, message.subject.as_str(), &message.payload)
}

fn stored(
    sequence: u64,
    stored_at: DateTime<Utc>,
    subject: &str,
    payload: &[u8],
) -> Result<StoredDeadLetter, JournalError> {
    let unreadable = || JournalError::Unusable(format!("the dead letter {sequence} can't be read"));
    Ok(StoredDeadLetter {
        sequence,
        letter: DeadLetter::decode(payload).ok_or_else(unreadable)?,
        stored_at,
        subject: subject.to_owned(),
    })
}
