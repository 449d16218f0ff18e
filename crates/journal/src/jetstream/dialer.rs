//! Connecting to one of the servers, at the start and again and again: which one is next, with which login, and why the
//! last one did not take it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use async_nats::{
    Auth, AuthError, Client, ConnectOptions, Event, ReconnectToServer, ServerAddr, ServerError,
};
use rand::seq::IndexedRandom as _;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{connection::PUBLISH_TIMEOUT, credentials, diagnosis};
use crate::{JournalError, Servers, servers::Server};

/// Two unanswered pings mean that the server is gone: a half-open connection is noticed within 15 s.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// A handshake takes milliseconds. Two servers that say nothing are told of within five seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const FIRST_RECONNECT_DELAY: Duration = Duration::from_millis(50);
/// Between attempts to reach a server: short enough that an event is in the reports soon after the fault.
const LONGEST_RECONNECT_DELAY: Duration = Duration::from_secs(1);
/// How long a refusal counts that is not repeated: an operator may have granted the right without ending the connection.
const VIOLATION_AGE: Duration = Duration::from_secs(60);
/// What mends a refusal for lack of a right.
const GRANT: &str = "give the user of NATS_URL the rights of docs/runbook.md, \"NATS: users and rights\"";
/// Commands that may wait for the connection: while it is away, what they hold is memory.
const COMMANDS: usize = 256;

/// What a server said last against this client; nothing while all is well.
pub(super) type Complaint = Option<String>;

/// The last right that a server refused to this client.
#[derive(Clone, Debug, Default)]
pub(super) struct Violation(Arc<Mutex<Option<(Instant, String)>>>);

impl Violation {
    /// What was refused lately, with the remedy. A client that lacks a right is told so each time that it needs it.
    pub(super) fn lately(&self) -> Option<String> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        last.filter(|(at, _)| at.elapsed() < VIOLATION_AGE).map(|(_, told)| told)
    }

    fn note(&self, last: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = last.map(|told| (Instant::now(), told));
    }
}

/// In the order of the servers, so that the same reasons make the same text.
fn joined<Place>(reasons: &BTreeMap<Place, String>) -> String {
    reasons.values().map(String::as_str).collect::<Vec<_>>().join("; ")
}

/// Chooses servers and answers them. async-nats asks it before each attempt.
pub(super) struct Dialer {
    servers: Servers,
    /// Index of the server of the first attempt.
    first: AtomicUsize,
    /// The server that is being connected to, or the last one that was.
    chosen: Mutex<Option<ServerAddr>>,
    was_lost: AtomicBool,
    /// Why each server, by its address, did not take this client again; nothing while there is a connection.
    reasons: Mutex<BTreeMap<String, String>>,
    complaint: watch::Sender<Complaint>,
    violation: Violation,
}

impl Dialer {
    pub(super) fn new(servers: Servers) -> Self {
        Self {
            servers,
            first: AtomicUsize::new(0),
            chosen: Mutex::default(),
            was_lost: AtomicBool::new(false),
            reasons: Mutex::default(),
            complaint: watch::Sender::new(None),
            violation: Violation::default(),
        }
    }

    /// What servers say against this client, as it comes.
    pub(super) fn complaints(&self) -> watch::Receiver<Complaint> {
        self.complaint.subscribe()
    }

    /// The right that they refused last.
    pub(super) fn violation(&self) -> Violation {
        self.violation.clone()
    }

    /// Connects to the first of the servers that takes this client, beginning with any of them. `closed` tells when the
    /// connection has ended for good.
    ///
    /// # Errors
    /// Why each server did not; [`JournalError::Unreachable`] where waiting may help with one of them.
    pub(super) async fn dial(self: &Arc<Self>, closed: &CancellationToken) -> Result<Client, JournalError> {
        let count = self.servers.list.len();
        let start = rand::random_range(0..count);
        let (mut reasons, mut may_heal) = (BTreeMap::new(), false);
        for index in (0..count).map(|index| (start + index) % count) {
            self.first.store(index, Relaxed);
            let addresses: Vec<String> = self.servers.list.iter().map(Server::to_string).collect();
            match self.options(closed.clone()).connect(addresses).await {
                Ok(client) => {
                    if !reasons.is_empty() {
                        let reason = joined(&reasons);
                        tracing::warn!(reason, "a server of the journal does not take this client");
                    }
                    return Ok(client);
                }
                Err(error) => {
                    let cause =
                        diagnosis::of(&self.servers, &self.servers.list[index], &error.to_string()).await;
                    may_heal |= matches!(cause, JournalError::Unreachable(_));
                    reasons.insert(index, cause.reason());
                }
            }
        }
        let reason = joined(&reasons);
        Err(if may_heal { JournalError::Unreachable(reason) } else { JournalError::Unusable(reason) })
    }

    fn options(self: &Arc<Self>, closed: CancellationToken) -> ConnectOptions {
        let (choosing, telling, answering) = (Arc::clone(self), Arc::clone(self), Arc::clone(self));
        let mut options = ConnectOptions::with_auth_callback(move |nonce| {
            let dialer = Arc::clone(&answering);
            async move { dialer.answer(&nonce).await }
        });
        if let Some(ca) = &self.servers.ca {
            options = options.add_root_certificates(ca.clone());
        }
        if let Some((certificate, key)) = &self.servers.certificate {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        let files_ask_for_tls = self.servers.ca.is_some() || self.servers.certificate.is_some();
        options
            .require_tls(files_ask_for_tls)
            .name("weir")
            .ping_interval(PING_INTERVAL)
            .connection_timeout(CONNECT_TIMEOUT)
            .request_timeout(Some(PUBLISH_TIMEOUT))
            .client_capacity(COMMANDS)
            .reconnect_to_server_callback(move |pool, _| {
                let dialer = Arc::clone(&choosing);
                async move { dialer.choose(pool).await }
            })
            .event_callback(move |event| {
                let (dialer, closed) = (Arc::clone(&telling), closed.clone());
                async move { dialer.hear(&event, &closed) }
            })
    }

    /// The server of the next attempt: one of those that failed least often.
    async fn choose(&self, pool: Vec<async_nats::Server>) -> Option<ReconnectToServer> {
        self.explain(&pool).await;
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
        *self.chosen.lock().unwrap_or_else(PoisonError::into_inner) = Some(next.addr.clone());
        Some(ReconnectToServer { addr: next.addr.clone(), delay: Some(delay) })
    }

    /// Says once why servers do not take this client again. The first connection has its own errors.
    async fn explain(&self, pool: &[async_nats::Server]) {
        if !self.was_lost.load(Relaxed) {
            return;
        }
        let chosen = self.chosen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(failed) = pool.iter().find(|server| Some(&server.addr) == chosen.as_ref()) else { return };
        let (Some(error), Some(server)) = (&failed.last_error, self.configured(&failed.addr)) else { return };
        let reason = diagnosis::of(&self.servers, server, error).await.reason();
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        if reasons.insert(server.to_string(), reason.clone()).as_ref() != Some(&reason) {
            tracing::error!(reason, "the journal's server can't be connected to again");
            self.complaint.send_replace(Some(joined(&reasons)));
        }
    }

    async fn answer(&self, nonce: &[u8]) -> Result<Auth, AuthError> {
        let chosen = self.chosen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let server = chosen.and_then(|address| self.configured(&address));
        // A cluster names servers that the list does not; they know the same logins.
        let server = server.or_else(|| self.servers.list.iter().find(|server| server.login.is_some()));
        credentials::auth(&self.servers, server, nonce).await.map_err(AuthError::new)
    }

    fn configured(&self, address: &ServerAddr) -> Option<&Server> {
        let is_same = |server: &&Server| {
            server.host.trim_matches(['[', ']']) == address.host() && server.port == address.port()
        };
        self.servers.list.iter().find(is_same)
    }

    fn hear(&self, event: &Event, closed: &CancellationToken) {
        match event {
            Event::Connected => {
                self.reasons.lock().unwrap_or_else(PoisonError::into_inner).clear();
                self.complaint.send_replace(None);
                self.violation.note(None);
                // A role that waits for streams connects again and again.
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
                tracing::warn!(subscription, "frames of the journal come faster than they are taken");
            }
            Event::ServerError(error) => self.object(error),
            // Of an attempt to connect again, which `explain` tells with its cause.
            Event::ClientError(error) if self.was_lost.load(Relaxed) => {
                tracing::debug!(%error, "an attempt to connect to the journal failed");
            }
            Event::ClientError(error) => tracing::warn!(%error, "the journal's client reports an error"),
        }
    }

    /// A server that refuses one subject repeats it with every message.
    fn object(&self, error: &ServerError) {
        let mut error = error.to_string();
        if error.to_lowercase().contains("permissions violation") {
            error = format!("{error}: {GRANT}");
            self.violation.note(Some(error.clone()));
        }
        if self.complaint.borrow().as_ref() != Some(&error) {
            tracing::error!(error, "the journal's server reports an error");
        }
        self.complaint.send_replace(Some(error));
    }
}
