//! The connection to the servers: made with patience, watched, closed in order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use async_nats::{
    Client, ConnectErrorKind, ConnectOptions, Event,
    connection::State,
    jetstream::{Context, context::ContextBuilder},
};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::journal::JournalError;

/// How long one publish waits for its acknowledgement. One that takes longer is usually stored, and its repetition
/// carries the same message id.
pub(super) const PUBLISH_TIMEOUT: Duration = Duration::from_millis(2500);
/// Two unanswered pings mean that the server is gone: a half-open connection is noticed within 15 s.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Between attempts to reach a server: short enough that an event is in the reports soon after the fault.
const LONGEST_RECONNECT_DELAY: Duration = Duration::from_secs(1);
/// Between looks at a server that is not there yet.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(200);
/// Between looks at a connection that is away.
const STATE_INTERVAL: Duration = Duration::from_millis(20);
/// Publishes without an acknowledgement yet: 256 MiB of full frames, were they all full.
const MAX_IN_FLIGHT: usize = 1024;
/// Commands that may wait for the connection: while it is away, what they hold is memory.
const COMMANDS: usize = 256;

/// A connection to JetStream.
#[derive(Debug)]
pub(super) struct Connection {
    client: Client,
    context: Context,
    closed: CancellationToken,
}

impl Connection {
    pub(super) async fn open(url: &str) -> Result<Self, JournalError> {
        let servers: Vec<&str> = url.split(',').map(str::trim).collect();
        let closed = CancellationToken::new();
        let client = options(closed.clone()).connect(servers).await.map_err(|error| match error.kind() {
            ConnectErrorKind::ServerParse
            | ConnectErrorKind::Authentication
            | ConnectErrorKind::AuthorizationViolation
            | ConnectErrorKind::Tls => JournalError::Unusable(error.to_string()),
            ConnectErrorKind::Dns
            | ConnectErrorKind::TimedOut
            | ConnectErrorKind::Io
            | ConnectErrorKind::MaxReconnects => JournalError::Unreachable(error.to_string()),
        })?;
        let context = ContextBuilder::new()
            .timeout(PUBLISH_TIMEOUT)
            .max_ack_inflight(MAX_IN_FLIGHT)
            .backpressure_on_inflight(false)
            .build(client.clone());
        Ok(Self { client, context, closed })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    /// Returns when the connection is up, at the latest at `deadline`. Nothing is handed to a connection that is
    /// away: it would wait in memory and be sent long after its caller was told that it failed.
    pub(super) async fn up(&self, deadline: Instant) -> Result<(), JournalError> {
        loop {
            // A closed client goes on to call itself connected.
            if self.closed.is_cancelled() {
                return Err(JournalError::Unreachable("the connection is closed".to_owned()));
            }
            if self.client.connection_state() == State::Connected {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(JournalError::Unreachable("the server is away".to_owned()));
            }
            sleep(STATE_INTERVAL).await;
        }
    }

    /// Everything that was said is sent before the connection ends, where `deadline` allows.
    pub(super) async fn close(&self, deadline: Duration) {
        let closing = async {
            self.client.flush().await.ok();
            self.client.drain().await.ok();
            // drain() returns at once: the connection itself says when it is done, and needs a nudge to look.
            while timeout(STATE_INTERVAL, self.closed.cancelled()).await.is_err() {
                self.client.flush().await.ok();
            }
        };
        if timeout(deadline, closing).await.is_err() {
            tracing::warn!("the journal's connection did not close in time");
        }
    }
}

/// Tries again and again while the journal is away, at most for `patience`.
pub(super) async fn patiently<T, F: Future<Output = Result<T, JournalError>>>(
    patience: Duration,
    mut attempt: impl FnMut() -> F,
) -> Result<T, JournalError> {
    let deadline = Instant::now() + patience;
    loop {
        match attempt().await {
            Err(JournalError::Unreachable(reason)) if Instant::now() + ATTEMPT_INTERVAL < deadline => {
                tracing::debug!(reason, "the journal is not there yet");
                sleep(ATTEMPT_INTERVAL).await;
            }
            outcome => return outcome,
        }
    }
}

fn options(closed: CancellationToken) -> ConnectOptions {
    let was_lost = Arc::new(AtomicBool::new(false));
    ConnectOptions::new()
        .name("weir")
        .ping_interval(PING_INTERVAL)
        .connection_timeout(CONNECT_TIMEOUT)
        .request_timeout(Some(PUBLISH_TIMEOUT))
        .client_capacity(COMMANDS)
        .reconnect_delay_callback(|attempts| {
            LONGEST_RECONNECT_DELAY
                .min(Duration::from_millis(50).saturating_mul(u32::try_from(attempts).unwrap_or(20)))
        })
        .event_callback(move |event| {
            let (closed, was_lost) = (closed.clone(), Arc::clone(&was_lost));
            async move { tell(&event, &closed, &was_lost) }
        })
}

fn tell(event: &Event, closed: &CancellationToken, was_lost: &AtomicBool) {
    match event {
        // A role that waits for streams connects again and again.
        Event::Connected if was_lost.swap(false, Relaxed) => tracing::info!("connected to the journal again"),
        Event::Connected => tracing::debug!("connected to the journal"),
        Event::Disconnected => {
            was_lost.store(true, Relaxed);
            tracing::warn!("the connection to the journal is lost");
        }
        Event::LameDuckMode => tracing::info!("the journal's server is about to shut down"),
        Event::Draining => {}
        Event::Closed => closed.cancel(),
        Event::SlowConsumer(subscription) => {
            tracing::warn!(subscription, "frames of the journal come faster than they are taken");
        }
        Event::ServerError(error) => tracing::error!(%error, "the journal's server reports an error"),
        Event::ClientError(error) => tracing::warn!(%error, "the journal's client reports an error"),
    }
}
