//! The answers of a call that goes on for a while: it ends when it is done, when nobody listens, or when ingest stops.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use weir_process::{Reason, Stop, refuse};

/// Answers that may wait for a slow reader before the work does.
const WAITING: usize = 4;

/// Where the work tells how far it is.
#[derive(Debug)]
pub(super) struct Answers<Answer> {
    sender: mpsc::Sender<Result<Answer, Status>>,
    stop: Stop,
}

/// What the caller reads.
pub(super) type AnswerStream<Answer> = ReceiverStream<Result<Answer, Status>>;

impl<Answer: Send + 'static> Answers<Answer> {
    pub(super) fn new(stop: Stop) -> (Self, AnswerStream<Answer>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { sender, stop }, ReceiverStream::new(receiver))
    }

    /// # Errors
    /// Nobody listens any more, or ingest stops.
    pub(super) async fn send(&self, answer: Answer) -> Result<(), Status> {
        let sent = self.until_stop(self.sender.send(Ok(answer))).await?;
        sent.map_err(|_| Status::cancelled("nobody listens any more"))
    }

    /// # Errors
    /// Ingest stops first.
    pub(super) async fn until_stop<Work: Future>(&self, work: Work) -> Result<Work::Output, Status> {
        let stopping = "ingest stops: go on with the cursor of the last answer";
        let done = self.stop.run_until_cancelled(work).await;
        done.ok_or_else(|| refuse(Reason::JournalUnavailable, stopping, &[]))
    }

    /// Tells how the work ended, unless it came to its end.
    pub(super) async fn end(self, ended: Result<(), Status>) {
        if let Err(status) = ended {
            // A caller who is gone needs not be told.
            self.sender.send(Err(status)).await.ok();
        }
    }
}
