//! Commands to the writer, and the handle that sends them.

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use weir_event::Source;

use super::sql::signed;
use crate::{
    dead_letter::DeadLetter,
    dead_letter_stream::DeadLetterStream,
    error::{AppendError, JournalError},
    frame::SealedFrame,
    names::Names,
};

/// A frame to append.
#[derive(Debug)]
pub(super) struct NewFrame {
    pub(super) id: String,
    pub(super) source: Source,
    pub(super) payload: Bytes,
}

/// A dead letter to append.
#[derive(Debug)]
pub(super) struct NewDeadLetter {
    pub(super) subject: String,
    /// `None` for a parked letter, which is always appended.
    pub(super) fingerprint: Option<[u8; 32]>,
    pub(super) payload: Bytes,
}

/// An operation of the writer.
#[derive(Debug)]
pub(super) enum Operation {
    Append(Vec<NewFrame>),
    AppendDeadLetters(DeadLetterStream, Vec<NewDeadLetter>),
    /// Removes dead letters, by sequence.
    RemoveDeadLetters(DeadLetterStream, Vec<i64>),
    /// Acknowledges a frame, by sequence.
    Acknowledge(i64),
    /// Counts one more delivery of these frames. No caller waits for it.
    CountDeliveries(Vec<i64>),
    Close,
}

/// An operation with the channel for its result.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) operation: Operation,
    /// `None` if no caller waits.
    pub(super) reply: Option<oneshot::Sender<Result<(), AppendError>>>,
}

/// The handle of the writer. Its queue is bounded: a caller that sends more than the disk can write waits.
#[derive(Clone, Debug)]
pub(super) struct WriterHandle {
    commands: mpsc::Sender<Command>,
}

impl From<&SealedFrame> for NewFrame {
    fn from(frame: &SealedFrame) -> Self {
        Self { id: frame.id().to_owned(), source: frame.source(), payload: frame.payload().clone() }
    }
}

impl NewDeadLetter {
    pub(super) fn new(stream: DeadLetterStream, letter: &DeadLetter) -> Self {
        Self {
            subject: letter.subject(&Names::default(), stream),
            fingerprint: (stream == DeadLetterStream::Rejected).then(|| letter.fingerprint()),
            payload: letter.encode(),
        }
    }
}

impl Command {
    pub(super) fn reply(self, result: Result<(), AppendError>) {
        if let Some(caller) = self.reply {
            // The caller may have gone; the operation is done all the same.
            caller.send(result).ok();
        }
    }
}

impl WriterHandle {
    pub(super) fn new(commands: mpsc::Sender<Command>) -> Self {
        Self { commands }
    }

    /// Executes an operation. Returns when its result is durable.
    pub(super) async fn execute(&self, operation: Operation) -> Result<(), AppendError> {
        let closed = || AppendError::Unreachable("the journal is closed".to_owned());
        let (sender, result) = oneshot::channel();
        self.commands.send(Command { operation, reply: Some(sender) }).await.map_err(|_| closed())?;
        result.await.map_err(|_| closed())?
    }

    /// Acknowledges a frame. Returns when the acknowledgement is durable.
    pub(super) async fn acknowledge(&self, sequence: i64) -> Result<(), JournalError> {
        let acknowledged = self.execute(Operation::Acknowledge(sequence)).await;
        acknowledged.map_err(|error| JournalError::Unreachable(error.to_string()))
    }

    /// Removes dead letters. Returns when the removal is durable.
    pub(super) async fn remove_dead_letters(
        &self,
        stream: DeadLetterStream,
        sequences: &[u64],
    ) -> Result<(), JournalError> {
        let sequences = sequences.iter().copied().map(signed).collect();
        let removed = self.execute(Operation::RemoveDeadLetters(stream, sequences)).await;
        removed.map_err(|error| JournalError::Unreachable(error.to_string()))
    }

    /// Counts one more delivery of these frames, soon. A full queue drops the command: the counts only number the
    /// attempts after a restart.
    pub(super) fn count_deliveries(&self, sequences: Vec<i64>) {
        let operation = Operation::CountDeliveries(sequences);
        self.commands.try_send(Command { operation, reply: None }).ok();
    }

    /// Ends the writer, and returns when it has ended. Does nothing if it has ended already.
    pub(super) async fn close(&self) {
        self.execute(Operation::Close).await.ok();
        self.commands.closed().await;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.commands.is_closed()
    }
}
