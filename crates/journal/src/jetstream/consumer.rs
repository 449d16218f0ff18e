//! The durable pull consumer of one source, and acknowledgements that the server confirms.

use std::{fmt, mem, sync::Arc, time::Duration};

use async_nats::{
    Client, Request, Subject,
    jetstream::{
        AckKind, Message,
        consumer::{Consumer, pull},
    },
};
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use tokio::time::{Instant, timeout};
use weir_event::Source;

use super::{
    PUBLISH_TIMEOUT,
    api::{self, ApiError, Context, unreachable},
    session::Session,
};
use crate::{error::JournalError, names::Names, offer::Offer, usage::Backlog};

/// The longest wait of one pull at the server. A restarted server has forgotten the pull; the consumer sends a new one
/// after this time.
const MAX_PULL_WAIT: Duration = Duration::from_secs(2);
/// The last message of a pull may come this much later than the pull's end.
const GRACE: Duration = Duration::from_secs(1);
/// Pause after a pull that the server refused at once.
const PAUSE: Duration = Duration::from_millis(200);

/// The durable pull consumer of one source.
pub struct PullConsumer {
    session: Arc<Session>,
    source: Source,
    consumer: Consumer<pull::Config>,
    /// A pull in progress, and the frames that it brought. Both survive a call that is cancelled.
    pull: Option<pull::Batch>,
    ready: Vec<Offer<MessageAcker>>,
}

impl PullConsumer {
    pub(super) async fn open(session: Arc<Session>, source: Source) -> Result<Self, JournalError> {
        let names = &session.settings.names;
        let (context, name) = (session.connection.context(), names.consumer(source));
        let found = context.get_consumer_from_stream(name, names.events_stream());
        let consumer = timeout(PUBLISH_TIMEOUT, found).await.map_err(unreachable)?.map_err(|error| {
            // The owner creates a vanished consumer anew in this round.
            session.request_maintenance();
            unreachable(error)
        })?;
        Ok(Self { session, source, consumer, pull: None, ready: Vec::new() })
    }

    pub(crate) async fn next(
        &mut self,
        max_frames: usize,
        wait: Duration,
    ) -> Result<Vec<Offer<MessageAcker>>, JournalError> {
        let deadline = Instant::now() + wait;
        loop {
            self.session.connection.wait_until_up(deadline).await?;
            if let Err(reason) = self.pull(max_frames, deadline).await {
                self.pull = None;
                self.wait_after_failure(&reason, deadline).await?;
            }
            if !self.ready.is_empty() || Instant::now() >= deadline {
                return Ok(mem::take(&mut self.ready));
            }
        }
    }

    /// Runs one pull from its request to its end: the frames that are there, or else the first one that comes.
    async fn pull(&mut self, max_frames: usize, deadline: Instant) -> Result<(), String> {
        let expires = deadline.saturating_duration_since(Instant::now()).min(MAX_PULL_WAIT);
        if self.pull.is_none() {
            let request = self.consumer.fetch().max_messages(max_frames.max(1)).expires(expires);
            let pull = timeout(GRACE, request.messages()).await.map_err(|elapsed| elapsed.to_string())?;
            self.pull = Some(pull.map_err(|error| error.to_string())?);
        }
        let Some(pull) = &mut self.pull else { return Ok(()) };
        while let Ok(Some(message)) = timeout(expires + GRACE, pull.next()).await {
            let message = message.map_err(|error| error.to_string())?;
            self.ready.push(offer(message, self.session.connection.client())?);
        }
        self.pull = None;
        Ok(())
    }

    /// Waits after a pull that failed: for a moment if the server refuses pulls for now, and for the journal's owner if
    /// the consumer vanished.
    async fn wait_after_failure(&self, reason: &str, deadline: Instant) -> Result<(), JournalError> {
        let (context, names) = (self.session.connection.context(), &self.session.settings.names);
        match api::consumer_info(context, &names.events_stream(), &names.consumer(self.source)).await {
            Ok(_) => {
                // Too many frames are in flight, or the consumer's leader changes.
                tracing::debug!(reason, source = %self.source, "a pull of frames was refused");
            }
            Err(ApiError::NotFound(_)) if Instant::now() < deadline => self.session.request_maintenance(),
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    pub(crate) async fn backlog(&self) -> Result<Backlog, JournalError> {
        backlog(self.session.connection.context(), &self.session.settings.names, self.source).await
    }
}

pub(super) async fn backlog(
    context: &Context,
    names: &Names,
    source: Source,
) -> Result<Backlog, JournalError> {
    let info = api::consumer_info(context, &names.events_stream(), &names.consumer(source)).await?;
    let mut waiting = info.num_pending;
    // The server counts a frame for its consumer a moment after it acknowledged the frame.
    if waiting == 0 {
        let next = time_of_next(context, names, source, info.delivered.stream_sequence);
        // In a box: the futures of callers would be too large.
        waiting = Box::pin(next).await?.map_or(0, |_| 1);
    }
    Ok(Backlog { waiting, in_flight: info.num_ack_pending as u64 })
}

/// When the stream stored the first frame behind the acknowledgement floor: the oldest one without an acknowledgement.
pub(super) async fn oldest_unacknowledged(
    context: &Context,
    names: &Names,
    source: Source,
) -> Result<Option<DateTime<Utc>>, JournalError> {
    let info = api::consumer_info(context, &names.events_stream(), &names.consumer(source)).await?;
    if info.num_pending == 0 && info.num_ack_pending == 0 {
        return Ok(None);
    }
    time_of_next(context, names, source, info.ack_floor.stream_sequence).await
}

/// When the stream stored the first frame of this source behind a sequence.
async fn time_of_next(
    context: &Context,
    names: &Names,
    source: Source,
    behind: u64,
) -> Result<Option<DateTime<Utc>>, JournalError> {
    let events = names.events_stream();
    let of_events = api::time_of_next(context, &events, &names.events(source), behind + 1).await?;
    let of_erasures = api::time_of_next(context, &events, &names.erasures(source), behind + 1).await?;
    Ok(of_events.into_iter().chain(of_erasures).min())
}

impl fmt::Debug for PullConsumer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PullConsumer").field("source", &self.source).finish_non_exhaustive()
    }
}

fn offer(message: Message, client: &Client) -> Result<Offer<MessageAcker>, String> {
    let info = message.info().map_err(|error| error.to_string())?;
    let (sequence, attempt) = (info.stream_sequence, u64::try_from(info.delivered).unwrap_or(1));
    let stored_at = info.published;
    let reply = message.reply.clone().ok_or("a message of the consumer has no reply subject")?;
    let acker = MessageAcker { client: client.clone(), reply };
    Ok(Offer { payload: message.message.payload, sequence, attempt, stored_at, acker })
}

/// Acknowledges one message at the server.
#[derive(Debug)]
pub(crate) struct MessageAcker {
    client: Client,
    reply: Subject,
}

impl MessageAcker {
    pub(crate) async fn ack(&self) -> Result<(), JournalError> {
        self.send(AckKind::Ack).await
    }

    pub(crate) async fn progress(&self) -> Result<(), JournalError> {
        self.send(AckKind::Progress).await
    }

    pub(crate) async fn retry_in(&self, delay: Duration) -> Result<(), JournalError> {
        // Without a delay the server delivers the frame at once. It takes a delay of zero for the whole ack_wait.
        self.send(AckKind::Nak(Some(delay).filter(|delay| !delay.is_zero()))).await
    }

    /// Returns when the server has confirmed the acknowledgement: a publish alone would wait in a buffer.
    async fn send(&self, acknowledgement: AckKind) -> Result<(), JournalError> {
        let request = Request::new().payload(acknowledgement.into());
        match timeout(PUBLISH_TIMEOUT, self.client.send_request(self.reply.clone(), request)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(JournalError::Unreachable(error.to_string())),
            Err(_elapsed) => Err(JournalError::Unreachable("the server does not answer".to_owned())),
        }
    }
}
