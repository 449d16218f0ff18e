//! The dialer: connects to one of the servers, at the start and after each loss. It chooses the server and the login, and
//! logs the reason of a failed attempt.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use async_nats::{
    Auth, AuthError, Client, ConnectOptions, Event, ReconnectToServer, ServerAddr, ServerError,
};
use rand::seq::IndexedRandom as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    PUBLISH_TIMEOUT, credentials,
    diagnosis::diagnose,
    server_errors::{LastServerError, RefusedPermission},
};
use crate::{
    error::JournalError,
    servers::{Server, Servers},
};

/// Two unanswered pings mean that the server is gone, so that the client detects a half-open connection within 15 s.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// A handshake takes milliseconds. With this timeout, two servers that do not answer are reported within five seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const FIRST_RECONNECT_DELAY: Duration = Duration::from_millis(50);
/// The longest pause between attempts: short enough that an event is in the reports soon after the fault.
const LONGEST_RECONNECT_DELAY: Duration = Duration::from_secs(1);
/// The remedy for a refused permission.
const GRANT: &str = "give the user of NATS_URL the rights of docs/runbook.md, \"NATS: users and rights\"";
/// The most commands that wait for the connection. They take memory while it is down.
const COMMANDS: usize = 256;

/// The reasons in the order of the servers, so that the same reasons make the same text.
fn joined<Key>(reasons: &BTreeMap<Key, String>) -> String {
    reasons.values().map(String::as_str).collect::<Vec<_>>().join("; ")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is one step, so that a panic elsewhere leaves the value consistent.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Chooses the server of each attempt, and answers its handshake. async-nats calls it before each attempt.
pub(super) struct Dialer {
    servers: Servers,
    /// Index of the server of the first attempt.
    first: AtomicUsize,
    /// The server of the current attempt, or of the last one.
    chosen: Mutex<Option<ServerAddr>>,
    was_lost: AtomicBool,
    /// The reason of each failed attempt to reconnect, by the server's address. Empty while there is a connection.
    reasons: Mutex<BTreeMap<String, String>>,
    server_error: watch::Sender<LastServerError>,
    refused_permission: RefusedPermission,
}

impl Dialer {
    pub(super) fn new(servers: Servers) -> Self {
        Self {
            servers,
            first: AtomicUsize::new(0),
            chosen: Mutex::default(),
            was_lost: AtomicBool::new(false),
            reasons: Mutex::default(),
            server_error: watch::Sender::new(None),
            refused_permission: RefusedPermission::default(),
        }
    }

    /// The errors that servers report against this client.
    pub(super) fn server_errors(&self) -> watch::Receiver<LastServerError> {
        self.server_error.subscribe()
    }

    /// The permission that a server refused last.
    pub(super) fn refused_permission(&self) -> RefusedPermission {
        self.refused_permission.clone()
    }

    /// Connects to the first server that accepts this client, starting with a random one. Cancels `closed` when the
    /// connection has ended for good.
    ///
    /// # Errors
    /// No server accepts this client; the text has the reason of each. [`JournalError::Unreachable`] if waiting may help
    /// with one of them.
    pub(super) async fn dial(self: &Arc<Self>, closed: &CancellationToken) -> Result<Client, JournalError> {
        let count = self.servers.list.len();
        let start = rand::random_range(0..count);
        let (mut reasons, mut may_recover) = (BTreeMap::new(), false);
        for index in (0..count).map(|index| (start + index) % count) {
            self.first.store(index, Relaxed);
            let addresses: Vec<String> = self.servers.list.iter().map(Server::to_string).collect();
            match self.options(closed.clone()).connect(addresses).await {
                Ok(client) => {
                    if !reasons.is_empty() {
                        let reason = joined(&reasons);
                        tracing::warn!(reason, "a server of the journal does not accept this client");
                    }
                    return Ok(client);
                }
                Err(error) => {
                    let cause = diagnose(&self.servers, &self.servers.list[index], &error.to_string()).await;
                    may_recover |= matches!(cause, JournalError::Unreachable(_));
                    reasons.insert(index, cause.reason());
                }
            }
        }
        let reason = joined(&reasons);
        Err(if may_recover { JournalError::Unreachable(reason) } else { JournalError::Unusable(reason) })
    }

    fn options(self: &Arc<Self>, closed: CancellationToken) -> ConnectOptions {
        let (chooser, listener, authenticator) = (Arc::clone(self), Arc::clone(self), Arc::clone(self));
        let mut options = ConnectOptions::with_auth_callback(move |nonce| {
            let dialer = Arc::clone(&authenticator);
            async move { dialer.authenticate(&nonce).await }
        });
        if let Some(ca) = &self.servers.ca {
            options = options.add_root_certificates(ca.clone());
        }
        if let Some((certificate, key)) = &self.servers.certificate {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        let files_require_tls = self.servers.ca.is_some() || self.servers.certificate.is_some();
        options
            .require_tls(files_require_tls)
            .name("weir")
            .ping_interval(PING_INTERVAL)
            .connection_timeout(CONNECT_TIMEOUT)
            .request_timeout(Some(PUBLISH_TIMEOUT))
            .client_capacity(COMMANDS)
            .reconnect_to_server_callback(move |pool, _| {
                let dialer = Arc::clone(&chooser);
                async move { dialer.choose_server(pool).await }
            })
            .event_callback(move |event| {
                let (dialer, closed) = (Arc::clone(&listener), closed.clone());
                async move { dialer.on_event(&event, &closed) }
            })
    }

    /// Chooses the server of the next attempt: one of those that failed least often.
    async fn choose_server(&self, pool: Vec<async_nats::Server>) -> Option<ReconnectToServer> {
        self.log_failed_attempt(&pool).await;
        let fewest = pool.iter().map(|server| server.failed_attempts).min()?;
        let best: Vec<_> = pool.iter().filter(|server| server.failed_attempts == fewest).collect();
        let is_first_attempt = pool.iter().all(|server| !server.did_connect && server.failed_attempts == 0);
        let next = if is_first_attempt {
            pool.get(self.first.load(Relaxed))?
        } else {
            *best.choose(&mut rand::rng())?
        };
        let attempts = u32::try_from(fewest).unwrap_or(u32::MAX);
        let delay = LONGEST_RECONNECT_DELAY.min(FIRST_RECONNECT_DELAY.saturating_mul(attempts));
        *lock(&self.chosen) = Some(next.addr.clone());
        Some(ReconnectToServer { addr: next.addr.clone(), delay: Some(delay) })
    }

    /// Logs the reason of a failed attempt to reconnect, once for each reason. The first connection returns its own errors.
    async fn log_failed_attempt(&self, pool: &[async_nats::Server]) {
        if !self.was_lost.load(Relaxed) {
            return;
        }
        let chosen = lock(&self.chosen).clone();
        let Some(failed) = pool.iter().find(|server| Some(&server.addr) == chosen.as_ref()) else { return };
        let (Some(error), Some(server)) = (&failed.last_error, self.configured(&failed.addr)) else { return };
        let reason = diagnose(&self.servers, server, error).await.reason();
        let mut reasons = lock(&self.reasons);
        if reasons.insert(server.to_string(), reason.clone()).as_ref() != Some(&reason) {
            tracing::error!(reason, "the journal's server can't be connected to again");
            self.server_error.send_replace(Some(joined(&reasons)));
        }
    }

    async fn authenticate(&self, nonce: &[u8]) -> Result<Auth, AuthError> {
        let chosen = lock(&self.chosen).clone();
        let server = chosen.and_then(|address| self.configured(&address));
        // A cluster announces servers that are not in the list. They accept the same logins.
        let server = server.or_else(|| self.servers.list.iter().find(|server| server.login.is_some()));
        credentials::auth(&self.servers, server, nonce).await.map_err(AuthError::new)
    }

    /// The server of the list with this address.
    fn configured(&self, address: &ServerAddr) -> Option<&Server> {
        let is_same = |server: &&Server| {
            server.host.trim_matches(['[', ']']) == address.host() && server.port == address.port()
        };
        self.servers.list.iter().find(is_same)
    }

    fn on_event(&self, event: &Event, closed: &CancellationToken) {
        match event {
            Event::Connected => {
                lock(&self.reasons).clear();
                self.server_error.send_replace(None);
                self.refused_permission.set(None);
                // A role that waits for streams opens many connections, so that a first connection is logged at debug.
                if self.was_lost.swap(false, Relaxed) {
                    tracing::info!("connected to the journal again");
                } else {
                    tracing::debug!("connected to the journal");
                }
            }
            Event::Disconnected => {
                self.was_lost.store(true, Relaxed);
                tracing::warn!("the connection to the journal is lost");
            }
            Event::LameDuckMode => tracing::info!("the journal's server is about to shut down"),
            Event::Draining => {}
            Event::Closed => closed.cancel(),
            Event::SlowConsumer(subscription) => {
                tracing::warn!(
                    subscription,
                    "frames of the journal arrive faster than the client reads them"
                );
            }
            Event::ServerError(error) => self.on_server_error(error),
            // An attempt to reconnect failed; `log_failed_attempt` logs it with its cause.
            Event::ClientError(error) if self.was_lost.load(Relaxed) => {
                tracing::debug!(%error, "an attempt to connect to the journal failed");
            }
            Event::ClientError(error) => tracing::warn!(%error, "the journal's client reports an error"),
        }
    }

    /// Logs an error of the server once. A server that refuses one subject repeats the error with every message.
    fn on_server_error(&self, error: &ServerError) {
        let mut error = error.to_string();
        if error.to_lowercase().contains("permissions violation") {
            error = format!("{error}: {GRANT}");
            self.refused_permission.set(Some(error.clone()));
        }
        if self.server_error.borrow().as_ref() != Some(&error) {
            tracing::error!(error, "the journal's server reports an error");
        }
        self.server_error.send_replace(Some(error));
    }
}
