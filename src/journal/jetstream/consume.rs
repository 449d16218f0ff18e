//! Pulling frames, and verdicts that the server confirms.

use std::{fmt, mem, sync::Arc, time::Duration};

use async_nats::{
    Client, Request, Subject,
    jetstream::{
        AckKind, Context, Message,
        consumer::{Consumer, pull},
    },
};
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use tokio::time::{Instant, timeout};

use super::{
    Shared,
    api::{self, ApiError},
    connection::PUBLISH_TIMEOUT,
    room, streams,
};
use crate::{
    event::Source,
    journal::{Backlog, Delivery, JournalError, Verdict, subject},
};

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
        let wanted = streams::consumer(source, &shared.settings);
        let consumer = api::put_consumer(shared.connection.context(), wanted).await?;
        Ok(Self { shared, source, consumer, pull: None, ready: Vec::new() })
    }

    pub(in crate::journal) async fn next(
        &mut self,
        max_frames: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, JournalError> {
        let deadline = Instant::now() + wait;
        loop {
            self.shared.connection.up(deadline).await?;
            if let Err(reason) = self.gather(max_frames, deadline).await {
                self.pull = None;
                self.mend(&reason).await?;
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

    /// After a pull that failed: is the consumer still there? One that vanished is made anew, loudly.
    async fn mend(&mut self, reason: &str) -> Result<(), JournalError> {
        let context = self.shared.connection.context();
        match api::consumer_info(context, &subject::consumer(self.source)).await {
            Ok(_) => {
                // The server refuses for now: too many frames are in flight, or its leader changes.
                tracing::debug!(reason, source = %self.source, "a pull of frames was refused");
                tokio::time::sleep(PAUSE).await;
                return Ok(());
            }
            Err(ApiError::NotFound(_)) => room::restore(context, &self.shared.settings, reason).await,
            Err(error) => return Err(error.into()),
        }
        self.consumer =
            api::put_consumer(context, streams::consumer(self.source, &self.shared.settings)).await?;
        Ok(())
    }

    pub(in crate::journal) async fn backlog(&self) -> Result<Backlog, JournalError> {
        backlog(self.shared.connection.context(), self.source).await
    }
}

pub(super) async fn backlog(context: &Context, source: Source) -> Result<Backlog, JournalError> {
    let info = api::consumer_info(context, &subject::consumer(source)).await?;
    Ok(Backlog { waiting: info.num_pending, in_flight: info.num_ack_pending as u64 })
}

/// Everything up to the acknowledgement floor is acknowledged, and what follows on the subject is not.
pub(super) async fn oldest_waiting(
    context: &Context,
    source: Source,
) -> Result<Option<DateTime<Utc>>, JournalError> {
    let info = api::consumer_info(context, &subject::consumer(source)).await?;
    if info.num_pending == 0 && info.num_ack_pending == 0 {
        return Ok(None);
    }
    let floor = info.ack_floor.stream_sequence;
    Ok(api::time_of_next(context, &subject::events(source), floor + 1).await?)
}

impl fmt::Debug for Pull {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pull").field("source", &self.source).finish_non_exhaustive()
    }
}

fn delivery(message: Message, client: &Client) -> Result<Delivery, String> {
    let info = message.info().map_err(|error| error.to_string())?;
    let (sequence, attempt) = (info.stream_sequence, u64::try_from(info.delivered).unwrap_or(1));
    let reply = message.reply.clone().ok_or("a message of the consumer has no reply subject")?;
    let verdict = Verdict::JetStream(PullVerdict { client: client.clone(), reply });
    Ok(Delivery::new(message.message.payload, sequence, attempt, verdict))
}

/// Where the verdict over one delivery goes.
#[derive(Debug)]
pub(in crate::journal) struct PullVerdict {
    client: Client,
    reply: Subject,
}

impl PullVerdict {
    pub(in crate::journal) async fn ack(&self) -> Result<(), JournalError> {
        self.tell(AckKind::Ack).await
    }

    pub(in crate::journal) async fn progress(&self) -> Result<(), JournalError> {
        self.tell(AckKind::Progress).await
    }

    pub(in crate::journal) async fn retry_in(&self, delay: Duration) -> Result<(), JournalError> {
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
