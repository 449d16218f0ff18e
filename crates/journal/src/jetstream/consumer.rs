//! Pulling frames, and verdicts that the server confirms.

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
    Shared,
    api::{self, ApiError, Context},
    connection::PUBLISH_TIMEOUT,
};
use crate::{Backlog, Delivery, JournalError, Names, Verdict};

/// The longest that one pull waits at the server: a pull that a restarted server forgot is asked anew after it.
const LONGEST_PULL: Duration = Duration::from_secs(2);
/// How much later than the pull's end its last word may come.
const GRACE: Duration = Duration::from_secs(1);
/// Between pulls that the server refuses at once.
const PAUSE: Duration = Duration::from_millis(200);

/// The durable pull consumer of one source.
pub struct Pull {
    shared: Arc<Shared>,
    source: Source,
    consumer: Consumer<pull::Config>,
    /// A pull that is still under way and what it brought: they survive a call that is cancelled.
    pull: Option<pull::Batch>,
    ready: Vec<Delivery>,
}

impl Pull {
    pub(super) async fn open(shared: Arc<Shared>, source: Source) -> Result<Self, JournalError> {
        let names = &shared.settings.names;
        let (context, name) = (shared.connection.context(), names.consumer(source));
        let found = context.get_consumer_from_stream(name, names.events_stream());
        let consumer = timeout(PUBLISH_TIMEOUT, found).await.map_err(away)?.map_err(|error| {
            // The owner makes it anew as soon as it sees that it is gone.
            shared.look();
            away(error)
        })?;
        Ok(Self { shared, source, consumer, pull: None, ready: Vec::new() })
    }

    pub(crate) async fn next(
        &mut self,
        max_frames: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, JournalError> {
        let deadline = Instant::now() + wait;
        loop {
            self.shared.connection.up(deadline).await?;
            if let Err(reason) = self.gather(max_frames, deadline).await {
                self.pull = None;
                self.mend(&reason, deadline).await?;
            }
            if !self.ready.is_empty() || Instant::now() >= deadline {
                return Ok(mem::take(&mut self.ready));
            }
        }
    }

    /// One pull, from its request to its end: what is there, or else the first frame that comes.
    async fn gather(&mut self, max_frames: usize, deadline: Instant) -> Result<(), String> {
        let expires = deadline.saturating_duration_since(Instant::now()).min(LONGEST_PULL);
        if self.pull.is_none() {
            let request = self.consumer.fetch().max_messages(max_frames.max(1)).expires(expires);
            let pull = timeout(GRACE, request.messages()).await.map_err(|elapsed| elapsed.to_string())?;
            self.pull = Some(pull.map_err(|error| error.to_string())?);
        }
        let Some(pull) = &mut self.pull else { return Ok(()) };
        while let Ok(Some(message)) = timeout(expires + GRACE, pull.next()).await {
            let message = message.map_err(|error| error.to_string())?;
            self.ready.push(delivery(message, self.shared.connection.client())?);
        }
        self.pull = None;
        Ok(())
    }

    /// After a pull that failed: waits a moment where the server refuses for now, and for the journal's owner where the
    /// consumer vanished.
    async fn mend(&self, reason: &str, deadline: Instant) -> Result<(), JournalError> {
        let (context, names) = (self.shared.connection.context(), &self.shared.settings.names);
        match api::consumer_info(context, &names.events_stream(), &names.consumer(self.source)).await {
            Ok(_) => {
                // Too many frames are in flight, or its leader changes.
                tracing::debug!(reason, source = %self.source, "a pull of frames was refused");
            }
            Err(ApiError::NotFound(_)) if Instant::now() < deadline => self.shared.look(),
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    pub(crate) async fn backlog(&self) -> Result<Backlog, JournalError> {
        backlog(self.shared.connection.context(), &self.shared.settings.names, self.source).await
    }
}

pub(super) async fn backlog(
    context: &Context,
    names: &Names,
    source: Source,
) -> Result<Backlog, JournalError> {
    let info = api::consumer_info(context, &names.events_stream(), &names.consumer(source)).await?;
    Ok(Backlog { waiting: info.num_pending, in_flight: info.num_ack_pending as u64 })
}

/// Everything up to the acknowledgement floor is acknowledged, and what follows on the source's subjects is not.
pub(super) async fn oldest_waiting(
    context: &Context,
    names: &Names,
    source: Source,
) -> Result<Option<DateTime<Utc>>, JournalError> {
    let events = names.events_stream();
    let info = api::consumer_info(context, &events, &names.consumer(source)).await?;
    if info.num_pending == 0 && info.num_ack_pending == 0 {
        return Ok(None);
    }
    let next = info.ack_floor.stream_sequence + 1;
    let of_events = api::time_of_next(context, &events, &names.events(source), next).await?;
    let of_erasures = api::time_of_next(context, &events, &names.erasures(source), next).await?;
    Ok(of_events.into_iter().chain(of_erasures).min())
}

fn away(error: impl fmt::Display) -> JournalError {
    JournalError::Unreachable(error.to_string())
}

impl fmt::Debug for Pull {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pull").field("source", &self.source).finish_non_exhaustive()
    }
}

fn delivery(message: Message, client: &Client) -> Result<Delivery, String> {
    let info = message.info().map_err(|error| error.to_string())?;
    let (sequence, attempt) = (info.stream_sequence, u64::try_from(info.delivered).unwrap_or(1));
    let stored_at = info.published;
    let reply = message.reply.clone().ok_or("a message of the consumer has no reply subject")?;
    let verdict = Verdict::JetStream(PullVerdict { client: client.clone(), reply });
    Ok(Delivery::new(message.message.payload, sequence, attempt, stored_at, verdict))
}

/// Where the verdict over one delivery goes.
#[derive(Debug)]
pub(crate) struct PullVerdict {
    client: Client,
    reply: Subject,
}

impl PullVerdict {
    pub(crate) async fn ack(&self) -> Result<(), JournalError> {
        self.tell(AckKind::Ack).await
    }

    pub(crate) async fn progress(&self) -> Result<(), JournalError> {
        self.tell(AckKind::Progress).await
    }

    pub(crate) async fn retry_in(&self, delay: Duration) -> Result<(), JournalError> {
        // Without a delay the server offers it at once; a delay of nothing would be the whole ack_wait.
        self.tell(AckKind::Nak(Some(delay).filter(|delay| !delay.is_zero()))).await
    }

    /// Returns when the server has it: a mere publish would wait in a buffer.
    async fn tell(&self, verdict: AckKind) -> Result<(), JournalError> {
        let request = Request::new().payload(verdict.into());
        match timeout(PUBLISH_TIMEOUT, self.client.send_request(self.reply.clone(), request)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(JournalError::Unreachable(error.to_string())),
            Err(_elapsed) => Err(JournalError::Unreachable("the server does not answer".to_owned())),
        }
    }
}
