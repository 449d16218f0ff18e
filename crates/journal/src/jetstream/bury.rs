//! Laying dead letters down; a rejected one once: what lies there already is recognised by its fingerprint.

use std::{collections::HashSet, time::Duration};

use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use futures::future::join_all;
use tokio::time::{Instant, timeout_at};

use super::{
    api::Context,
    connection::Connection,
    dead_letters,
    publish::{self, Outgoing, Repeated},
};
use crate::{AppendError, DeadLetter, DeadLetterStream, Names};

/// Looks on their way together.
const WINDOW: usize = 64;
/// For all looks of a burial together: a look that fails is no reason to refuse, the burial itself says what is wrong.
const PATIENCE: Duration = Duration::from_secs(1);
/// Letters of one identity that are compared. One identity with more is a sender that names nothing by its own id;
/// what it repeats later than the duplicate window lies there twice.
const MOST_COMPARED: usize = 8;

pub(super) async fn append_dead_letters(
    connection: &Connection,
    names: &Names,
    graveyard: DeadLetterStream,
    letters: &[DeadLetter],
) -> Result<(), AppendError> {
    if graveyard == DeadLetterStream::Parked {
        let letters = letters.iter().map(|letter| Outgoing::letter(names, graveyard, letter).renewed());
        return publish::all(connection, letters.collect()).await.map(drop);
    }
    let mut seen = HashSet::new();
    let different: Vec<&DeadLetter> =
        letters.iter().filter(|letter| seen.insert(letter.fingerprint())).collect();
    let context = connection.context();
    let deadline = Instant::now() + PATIENCE;
    let mut new = Vec::new();
    for window in different.chunks(WINDOW) {
        let looks = join_all(window.iter().map(|letter| is_present(context, names, graveyard, letter)));
        // What could not be seen in time is laid down.
        let present = timeout_at(deadline, looks).await.unwrap_or_else(|_| vec![false; window.len()]);
        let absent = window.iter().zip(present).filter(|(_, is_present)| !is_present);
        new.extend(absent.map(|(letter, _)| Outgoing::letter(names, graveyard, letter)));
    }
    let repeated = publish::all(connection, new).await?.repeated;
    let removed = removed(context, names, graveyard, repeated).await;
    publish::all(connection, removed).await.map(drop)
}

/// Whether the letter lies in its graveyard, as far as can be seen now.
async fn is_present(
    context: &Context,
    names: &Names,
    graveyard: DeadLetterStream,
    letter: &DeadLetter,
) -> bool {
    let Ok(stream) = context.get_stream_no_info(names.graveyard_stream(graveyard)).await else {
        return false;
    };
    let subject = letter.subject(names, graveyard);
    let fingerprint = letter.fingerprint();
    let mut after = 0;
    for _ in 0..MOST_COMPARED {
        let Some((sequence, payload)) = following(&stream, &subject, after).await else { return false };
        if DeadLetter::decode(&payload).is_some_and(|there| there.fingerprint() == fingerprint) {
            return true;
        }
        after = sequence;
    }
    false
}

async fn following<I>(stream: &Stream<I>, subject: &str, after: u64) -> Option<(u64, bytes::Bytes)> {
    let look = stream.raw_message_builder().sequence(after + 1).next_by_subject(subject);
    match look.send().await {
        Ok(message) => Some((message.sequence, message.payload)),
        Err(error) => {
            if error.kind() != RawMessageErrorKind::NoMessageFound {
                tracing::debug!(%error, "it can't be seen whether a dead letter is there already");
            }
            None
        }
    }
}

/// Of the letters that the duplicate window swallowed, those whose earlier copy was removed meanwhile: they are to be
/// laid down anew. When in doubt, they are.
async fn removed(
    context: &Context,
    names: &Names,
    graveyard: DeadLetterStream,
    repeated: Vec<Repeated>,
) -> Vec<Outgoing> {
    let mut removed = Vec::new();
    for (outgoing, sequence) in repeated {
        if !matches!(
            dead_letters::at(context, &names.graveyard_stream(graveyard), sequence).await,
            Ok(Some(_))
        ) {
            removed.push(outgoing.renewed());
        }
    }
    removed
}
