//! One instance of a service: whether it serves, the channel to it, and what is wrong with it where it does not.

use std::{
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tracing::{Instrument as _, error, info};
use url::Url;
use weir_process::{
    diagnosis::Target,
    grpc::{self, TracedChannel},
};

/// Below the 2 s that a sample may take in all, so that a frozen instance doesn't hide the others.
const CHECK_TIMEOUT: Duration = Duration::from_millis(1500);
/// An instance that is silent for so long is looked at, while it may still answer.
const QUIET: Duration = Duration::from_millis(300);
/// Before a look at an instance that is not there: roles that start together wait for each other.
const GRACE: Duration = Duration::from_secs(1);
/// Between two looks at an instance that stays away: it may be another server, whose log they fill.
const LOOK_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Replica {
    target: Target,
    address: SocketAddr,
    channel: TracedChannel,
    serves: AtomicBool,
    cause: Arc<Cause>,
}

/// Why an instance can't be used, as far as it is known.
#[derive(Debug, Default)]
struct Cause {
    state: Mutex<CauseState>,
}

#[derive(Debug, Default)]
struct CauseState {
    /// What the last look found.
    told: Option<String>,
    looked_at: Option<Instant>,
}

impl Replica {
    /// Connects to nothing yet. `target` is how the service is called, `address` where this instance of it is.
    pub(super) fn new(target: &Target, address: SocketAddr) -> anyhow::Result<Self> {
        let instance = Url::parse(&format!("http://{address}"))?;
        let endpoint = grpc::endpoint(&instance)?.origin(target.url.as_str().parse()?);
        let channel = TracedChannel::new(endpoint.connect_lazy(), address);
        let target = Target { instance: Some(address), ..target.clone() };
        Ok(Self { target, address, channel, serves: AtomicBool::new(false), cause: Arc::default() })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn channel(&self) -> TracedChannel {
        self.channel.clone()
    }

    pub(super) fn serves(&self) -> bool {
        self.serves.load(Ordering::Relaxed)
    }

    /// Until a sample finds that it serves again.
    pub(super) fn leave_out(&self) {
        self.serves.store(false, Ordering::Relaxed);
    }

    /// Whether it serves; the error names what is wrong with it, once a look has told.
    pub(super) async fn check(&self) -> Result<(), String> {
        let mut client = HealthClient::new(self.channel.untraced());
        let request = HealthCheckRequest { service: self.target.service().to_owned() };
        let mut asking = pin!(timeout(CHECK_TIMEOUT, client.check(request)));
        let answer = match timeout(QUIET, &mut asking).await {
            Ok(answer) => answer,
            Err(_) => {
                self.look(Duration::ZERO);
                asking.await
            }
        };
        let state = match answer {
            Ok(Ok(response)) if response.get_ref().status() == ServingStatus::Serving => Ok(()),
            Ok(Ok(_)) => Err("is not ready"),
            Ok(Err(_)) => Err("is not reachable"),
            Err(_) => Err("does not answer"),
        };
        self.serves.store(state.is_ok(), Ordering::Relaxed);
        match state {
            Ok(()) => self.cause.is_over(&self.target),
            // It answers, and names what it waits for itself.
            Err("is not ready") => {}
            Err(_) => self.look(GRACE),
        }
        let named = |reason: &str| format!("{} {reason} ({})", self.target.address(), self.target.setting);
        state.map_err(|reason| match self.cause.told() {
            Some(cause) if reason != "is not ready" => cause,
            _ => named(reason),
        })
    }

    /// Looks at the address beside the samples, which have less time than that takes.
    fn look(&self, grace: Duration) {
        if !self.cause.is_due() {
            return;
        }
        let (target, cause) = (self.target.clone(), Arc::clone(&self.cause));
        let channel = self.channel.untraced();
        let looking = async move {
            sleep(grace).await;
            let found = target.check_grpc_over(channel, CHECK_TIMEOUT).await;
            let found = found.err().map(|unusable| unusable.to_string());
            cause.found(&target, found);
        };
        tokio::spawn(looking.in_current_span());
    }
}

impl Cause {
    fn told(&self) -> Option<String> {
        self.state().told.clone()
    }

    /// Whether the next look is to be made now; then it counts as made.
    fn is_due(&self) -> bool {
        let mut state = self.state();
        let is_due = state.looked_at.is_none_or(|at| at.elapsed() >= LOOK_EVERY);
        if is_due {
            state.looked_at = Some(Instant::now());
        }
        is_due
    }

    /// Logs a cause when it is new.
    fn found(&self, target: &Target, cause: Option<String>) {
        let mut state = self.state();
        if let Some(cause) = cause.as_ref().filter(|cause| state.told.as_ref() != Some(cause)) {
            error!(setting = target.setting, cause, "an instance can't be used");
        }
        state.told = cause;
    }

    fn is_over(&self, target: &Target) {
        let mut state = self.state();
        if state.told.is_some() {
            info!(address = target.address(), "an instance can be used again");
        }
        *state = CauseState::default();
    }

    fn state(&self) -> MutexGuard<'_, CauseState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
