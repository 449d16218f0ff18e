//! The connection to the servers: made with patience, watched, closed in order.

use std::{sync::Arc, time::Duration};

use async_nats::{Client, connection::State, jetstream::context::ContextBuilder};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{api::Context, credentials, dialer::Dialer};
use crate::{JournalError, Servers, limits};

/// How long one publish waits for its acknowledgement. One that takes longer is usually stored, and its repetition
/// carries the same message id.
pub(super) const PUBLISH_TIMEOUT: Duration = Duration::from_millis(2500);
/// Between looks at a server that is not there yet.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(200);
/// Between looks at a connection that is away.
const STATE_INTERVAL: Duration = Duration::from_millis(20);
/// Publishes without an acknowledgement yet: 256 MiB of full frames, were they all full.
const MAX_IN_FLIGHT: usize = 1024;

/// A connection to JetStream.
#[derive(Debug)]
pub(super) struct Connection {
    client: Client,
    context: Context,
    closed: CancellationToken,
}

impl Connection {
    /// Tries each server once.
    ///
    /// # Errors
    /// None of them can be used; says why of each.
    pub(super) async fn open(servers: &Servers) -> Result<Self, JournalError> {
        credentials::check_files(servers).await.map_err(JournalError::Unusable)?;
        let (closed, dialer) = (CancellationToken::new(), Arc::new(Dialer::new(servers.clone())));
        let client = dialer.dial(&closed).await?;
        check_max_payload(client.server_info().max_payload)?;
        let builder = ContextBuilder::new()
            .timeout(PUBLISH_TIMEOUT)
            .max_ack_inflight(MAX_IN_FLIGHT)
            .backpressure_on_inflight(false);
        let context = match &servers.domain {
            Some(domain) => builder.api_prefix(format!("$JS.{domain}.API")).build(client.clone()),
            None => builder.build(client.clone()),
        };
        let context = Context::new(context, &dialer);
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
                return Err(JournalError::Unreachable(self.context.away()));
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

/// # Errors
/// A server takes less than Weir needs for one event and its dead letter.
fn check_max_payload(bytes: usize) -> Result<(), JournalError> {
    if bytes >= limits::LEAST_MESSAGE_BYTES {
        return Ok(());
    }
    Err(JournalError::Unusable(format!(
        "the server takes messages of at most {bytes} bytes (max_payload), and Weir needs at least {}: raise max_payload \
         in the configuration of nats-server",
        limits::LEAST_MESSAGE_BYTES
    )))
}
