//! One instance of a service: its channel, its health, and the diagnosis where it does not serve.

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

/// Below the 2 s that one sample of all instances may take, so that a frozen instance doesn't hide the others.
const CHECK_TIMEOUT: Duration = Duration::from_millis(1500);
/// The time without a response after which the edge probes an instance, although it may still respond.
const SLOW_CHECK: Duration = Duration::from_millis(300);
/// The pause before the probe of an unreachable instance: roles that start together wait for each other.
const PROBE_DELAY: Duration = Duration::from_secs(1);
/// The pause between two probes of an instance. It may be another server, and probes would fill its log.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);

/// An instance at one address.
#[derive(Debug)]
pub(super) struct Replica {
    target: Target,
    address: SocketAddr,
    channel: TracedChannel,
    serves: AtomicBool,
    diagnosis: Arc<Diagnosis>,
}

/// The reason why an instance can't be used, where a probe has found one.
#[derive(Debug, Default)]
struct Diagnosis {
    state: Mutex<DiagnosisState>,
}

#[derive(Debug, Default)]
struct DiagnosisState {
    /// The result of the last probe; `None` where it found no fault.
    cause: Option<String>,
    probed_at: Option<Instant>,
}

impl Replica {
    /// Opens no connection yet. `target` is the configured URL of the service, `address` is that of this instance.
    ///
    /// # Errors
    /// `target` is no valid URL of a gRPC server.
    pub(super) fn new(target: &Target, address: SocketAddr) -> anyhow::Result<Self> {
        let instance = Url::parse(&format!("http://{address}"))?;
        let endpoint = grpc::endpoint(&instance)?.origin(target.url.as_str().parse()?);
        let channel = TracedChannel::new(endpoint.connect_lazy(), address);
        let target = Target { instance: Some(address), ..target.clone() };
        Ok(Self { target, address, channel, serves: AtomicBool::new(false), diagnosis: Arc::default() })
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

    /// Takes no calls until a sample finds that the instance serves again.
    pub(super) fn mark_unhealthy(&self) {
        self.serves.store(false, Ordering::Relaxed);
    }

    /// Checks whether the instance serves.
    ///
    /// # Errors
    /// The reason why it does not serve. A probe may have found a more precise one than the check.
    pub(super) async fn check(&self) -> Result<(), String> {
        let mut client = HealthClient::new(self.channel.untraced());
        let request = HealthCheckRequest { service: self.target.service().to_owned() };
        let mut checking = pin!(timeout(CHECK_TIMEOUT, client.check(request)));
        let response = match timeout(SLOW_CHECK, &mut checking).await {
            Ok(response) => response,
            Err(_) => {
                self.probe(Duration::ZERO);
                checking.await
            }
        };
        let state = match response {
            Ok(Ok(response)) if response.get_ref().status() == ServingStatus::Serving => Ok(()),
            Ok(Ok(_)) => Err("is not ready"),
            Ok(Err(_)) => Err("is not reachable"),
            Err(_) => Err("does not answer"),
        };
        self.serves.store(state.is_ok(), Ordering::Relaxed);
        match state {
            Ok(()) => self.diagnosis.clear(&self.target),
            // The instance responds, and its own ready probe names the cause.
            Err("is not ready") => {}
            Err(_) => self.probe(PROBE_DELAY),
        }
        let named = |reason: &str| format!("{} {reason} ({})", self.target.address(), self.target.setting);
        state.map_err(|reason| match self.diagnosis.cause() {
            Some(cause) if reason != "is not ready" => cause,
            _ => named(reason),
        })
    }

    /// Diagnoses the address in a task of its own, because that takes longer than a sample may.
    fn probe(&self, delay: Duration) {
        if !self.diagnosis.begin_probe() {
            return;
        }
        let (target, diagnosis) = (self.target.clone(), Arc::clone(&self.diagnosis));
        let channel = self.channel.untraced();
        let probing = async move {
            sleep(delay).await;
            let result = target.check_grpc_over(channel, CHECK_TIMEOUT).await;
            diagnosis.record(&target, result.err().map(|unusable| unusable.to_string()));
        };
        tokio::spawn(probing.in_current_span());
    }
}

impl Diagnosis {
    fn cause(&self) -> Option<String> {
        self.state().cause.clone()
    }

    /// Whether a probe is due now. If so, its interval starts.
    fn begin_probe(&self) -> bool {
        let mut state = self.state();
        let is_due = state.probed_at.is_none_or(|at| at.elapsed() >= PROBE_INTERVAL);
        if is_due {
            state.probed_at = Some(Instant::now());
        }
        is_due
    }

    /// Records the result of a probe, and logs a new cause.
    fn record(&self, target: &Target, cause: Option<String>) {
        let mut state = self.state();
        if let Some(cause) = cause.as_ref().filter(|cause| state.cause.as_ref() != Some(cause)) {
            error!(setting = target.setting, cause, "an instance can't be used");
        }
        state.cause = cause;
    }

    /// Forgets the cause of an instance that serves again.
    fn clear(&self, target: &Target) {
        let mut state = self.state();
        if state.cause.is_some() {
            info!(address = target.address(), "an instance can be used again");
        }
        *state = DiagnosisState::default();
    }

    fn state(&self) -> MutexGuard<'_, DiagnosisState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
