//! The response stream of a long call. The call ends when its work is done, the caller disconnects or ingest stops.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use weir_process::{Reason, Stop, refuse};

/// The most responses that wait for a slow caller. Beyond it the work waits, too.
const QUEUED: usize = 4;

/// The sender of a call's progress.
#[derive(Debug)]
pub(super) struct ResponseSender<Message> {
    sender: mpsc::Sender<Result<Message, Status>>,
    stop: Stop,
}

/// The stream that the caller reads.
pub(super) type ResponseStream<Message> = ReceiverStream<Result<Message, Status>>;

impl<Message: Send + 'static> ResponseSender<Message> {
    /// Creates a sender and the stream that it feeds.
    pub(super) fn new(stop: Stop) -> (Self, ResponseStream<Message>) {
        let (sender, receiver) = mpsc::channel(QUEUED);
        (Self { sender, stop }, ReceiverStream::new(receiver))
    }

    /// Sends one response.
    ///
    /// # Errors
    /// The caller has disconnected, or ingest stops.
    pub(super) async fn send(&self, response: Message) -> Result<(), Status> {
        let sent = self.until_stop(self.sender.send(Ok(response))).await?;
        sent.map_err(|_| Status::cancelled("the caller has disconnected"))
    }

    /// Runs `work`, unless ingest stops first.
    ///
    /// # Errors
    /// Ingest stops first.
    pub(super) async fn until_stop<Work: Future>(&self, work: Work) -> Result<Work::Output, Status> {
        let stopping = "ingest is stopping: continue with the cursor of the last response";
        let done = self.stop.run_until_cancelled(work).await;
        done.ok_or_else(|| refuse(Reason::JournalUnavailable, stopping, &[]))
    }

    /// Ends the stream, with an error if the work failed.
    pub(super) async fn end(self, result: Result<(), Status>) {
        if let Err(status) = result {
            // A caller that has disconnected needs no error.
            self.sender.send(Err(status)).await.ok();
        }
    }
}
