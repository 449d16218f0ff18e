//! Commands to the writer, and the handle that sends them.

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use weir_event::Source;

use super::usage::signed;
use crate::{AppendError, DeadLetter, DeadLetterStream, JournalError, Names, SealedFrame};

/// A frame to store.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) source: Source,
    pub(super) payload: Bytes,
}

/// A dead letter to store.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) subject: String,
    /// None of its own where it is always laid down.
    pub(super) fingerprint: Option<[u8; 32]>,
    pub(super) payload: Bytes,
}

#[derive(Debug)]
pub(super) enum Work {
    Append(Vec<Record>),
    Bury(DeadLetterStream, Vec<Letter>),
    /// Letters, by sequence.
    Remove(DeadLetterStream, Vec<i64>),
    Acknowledge(i64),
    /// These were offered once more. Nobody waits for it.
    Offered(Vec<i64>),
    Close,
}

#[derive(Debug)]
pub(super) struct Command {
    pub(super) work: Work,
    /// `None` where nobody waits.
    pub(super) answer: Option<oneshot::Sender<Result<(), AppendError>>>,
}

/// The way to the writer. Its queue is bounded: who asks more than the disk can do waits.
#[derive(Clone, Debug)]
pub(super) struct Writing {
    commands: mpsc::Sender<Command>,
}

impl From<&SealedFrame> for Record {
    fn from(frame: &SealedFrame) -> Self {
        Self { id: frame.id().to_owned(), source: frame.source(), payload: frame.payload().clone() }
    }
}

impl Letter {
    pub(super) fn new(graveyard: DeadLetterStream, letter: &DeadLetter) -> Self {
        Self {
            subject: letter.subject(&Names::default(), graveyard),
            fingerprint: (graveyard == DeadLetterStream::Rejected).then(|| letter.fingerprint()),
            payload: letter.encode(),
        }
    }
}

impl Command {
    pub(super) fn answer(self, answer: Result<(), AppendError>) {
        if let Some(waiting) = self.answer {
            // Who asked may have gone; the work is done all the same.
            waiting.send(answer).ok();
        }
    }
}

impl Writing {
    pub(super) fn new(commands: mpsc::Sender<Command>) -> Self {
        Self { commands }
    }

    /// Returns when the work is durable.
    pub(super) async fn ask(&self, work: Work) -> Result<(), AppendError> {
        let closed = || AppendError::Unreachable("the journal is closed".to_owned());
        let (answer, answered) = oneshot::channel();
        self.commands.send(Command { work, answer: Some(answer) }).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Returns when the frame is durably acknowledged.
    pub(super) async fn acknowledge(&self, sequence: i64) -> Result<(), JournalError> {
        let acknowledged = self.ask(Work::Acknowledge(sequence)).await;
        acknowledged.map_err(|error| JournalError::Unreachable(error.to_string()))
    }

    /// Returns when the letters are durably gone.
    pub(super) async fn remove(
        &self,
        graveyard: DeadLetterStream,
        sequences: &[u64],
    ) -> Result<(), JournalError> {
        let sequences = sequences.iter().copied().map(signed).collect();
        let removed = self.ask(Work::Remove(graveyard, sequences)).await;
        removed.map_err(|error| JournalError::Unreachable(error.to_string()))
    }

    /// Has it written down soon that these were offered once more. A busy writer may miss it: the note only tells
    /// attempts apart after a restart.
    pub(super) fn note_offered(&self, sequences: Vec<i64>) {
        self.commands.try_send(Command { work: Work::Offered(sequences), answer: None }).ok();
    }

    pub(super) async fn close(&self) {
        // One that is closed already has nothing left to do.
        self.ask(Work::Close).await.ok();
        self.commands.closed().await;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.commands.is_closed()
    }
}
