//! The connection to the servers: opening, waiting for it, and closing.

use std::{sync::Arc, time::Duration};

use async_nats::{Client, connection::State, jetstream::context::ContextBuilder};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use weir_process::retry::{Attempt, Retry, RetryError};

use super::{PUBLISH_TIMEOUT, api::Context, credentials, dialer::Dialer};
use crate::{error::JournalError, limits::MIN_MESSAGE_BYTES, servers::Servers};

/// Pause between attempts to connect.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(200);
/// Interval of checks of the connection's state.
const STATE_INTERVAL: Duration = Duration::from_millis(20);
/// The most publishes without an acknowledgement: 256 MiB if every frame is full.
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
    /// No server can be used; the error has the reason of each.
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
        let context = Context::new(context, dialer.server_errors(), dialer.refused_permission());
        Ok(Self { client, context, closed })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    /// Returns when the connection is up. Callers send nothing before that: a message would wait in memory, and the client
    /// would send it long after its caller got an error.
    ///
    /// # Errors
    /// The connection is down at `deadline`, or it is closed.
    pub(super) async fn wait_until_up(&self, deadline: Instant) -> Result<(), JournalError> {
        loop {
            // The state of a closed client stays `Connected`.
            if self.closed.is_cancelled() {
                return Err(JournalError::Unreachable("the connection is closed".to_owned()));
            }
            if self.client.connection_state() == State::Connected {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(JournalError::Unreachable(self.context.unreachable_text()));
            }
            sleep(STATE_INTERVAL).await;
        }
    }

    /// Sends what is buffered and closes the connection, within `deadline`.
    pub(super) async fn close(&self, deadline: Duration) {
        let closing = async {
            self.client.flush().await.ok();
            self.client.drain().await.ok();
            // drain() returns at once. The connection reports its end through `closed`, and a flush makes it check.
            while timeout(STATE_INTERVAL, self.closed.cancelled()).await.is_err() {
                self.client.flush().await.ok();
            }
        };
        if timeout(deadline, closing).await.is_err() {
            tracing::warn!("the journal's connection did not close in time");
        }
    }
}

/// Retries `attempt` while the journal is unreachable, for up to `duration`.
pub(super) async fn with_retry<T, F: Future<Output = Result<T, JournalError>>>(
    duration: Duration,
    mut attempt: impl FnMut() -> F,
) -> Result<T, JournalError> {
    let outcome = Retry::every(ATTEMPT_INTERVAL)
        .until(Instant::now() + duration)
        .run(|| {
            let attempt = Box::pin(attempt());
            async {
                match attempt.await {
                    Ok(done) => Attempt::Done(done),
                    Err(JournalError::Unreachable(reason)) => {
                        tracing::debug!(reason, "the journal is unreachable, retrying");
                        Attempt::Again(reason)
                    }
                    Err(error) => Attempt::Failed(error),
                }
            }
        })
        .await;
    outcome.map_err(|error| match error {
        RetryError::Failed(error) => error,
        RetryError::DeadlineExceeded(reason) => JournalError::Unreachable(reason),
        RetryError::Stopped => unreachable!("the retry has no token that stops it"),
    })
}

/// Checks the server's `max_payload`.
///
/// # Errors
/// It is too small for an event and its dead letter.
fn check_max_payload(bytes: usize) -> Result<(), JournalError> {
    if bytes >= MIN_MESSAGE_BYTES {
        return Ok(());
    }
    Err(JournalError::Unusable(format!(
        "the server takes messages of at most {bytes} bytes (max_payload), and Weir needs at least {}: raise max_payload \
         in the configuration of nats-server",
        MIN_MESSAGE_BYTES
    )))
}
