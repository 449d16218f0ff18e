//! The host of the roles in a process: it starts them, watches signals, and stops them in the order of the
//! data flow, within one deadline.

use std::{future::Future, process::ExitCode, time::Duration};

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use tokio::{
    task::{AbortHandle, JoinHandle},
    time::{Instant, sleep},
};
use tracing::{Instrument as _, error, info, info_span, warn};

use super::{
    Readiness, RoleReadiness, SharedRegistry, Signals, Stop,
    admin::AdminServer,
    args::ProcessConfig,
    connections::Connections,
    exit_code,
    http_guard::RefusedRequests,
    logging, process_metrics, supervisor,
    telemetry::{self, Telemetry},
};

/// The longest end of all roles together after the drain delay, the export of the last spans included. A
/// supervisor must allow for the drain delay and this deadline.
pub const END_DEADLINE: Duration = Duration::from_secs(25);
/// The share of the deadline that is reserved for each later role, so that one that hangs does not use up the
/// others' time.
const RESERVED_PER_ROLE: Duration = Duration::from_secs(2);

/// One OS process and its roles.
///
/// Roles are added in the order in which an event passes them, and stopped in that order. So no new event
/// arrives while the later roles finish those in flight.
#[derive(Debug)]
pub struct Host {
    stop: Stop,
    registry: Registry,
    shared_registry: SharedRegistry,
    connections: Connections,
    readiness: Readiness,
    roles: Vec<Role>,
    admin: Admin,
    refused_requests: RefusedRequests,
    telemetry: Telemetry,
    drain_delay: Duration,
    /// Notifies a supervisor of the start.
    start: AbortHandle,
}

#[derive(Debug)]
struct Admin {
    stop: Stop,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Role {
    name: &'static str,
    stop: Stop,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Host {
    /// Starts the logs and traces of a process named `name`, and serves its health and metrics. This happens
    /// before its roles start, so that an operator sees the dependencies that they wait for.
    ///
    /// # Errors
    /// The admin address is taken.
    pub async fn begin(name: &'static str, config: &ProcessConfig) -> anyhow::Result<Self> {
        let identity = logging::ProcessIdentity { role: name, instance: telemetry::instance() };
        let export = config.telemetry.export.as_ref();
        let (telemetry, failed) = Telemetry::start(export, name, &identity.instance);
        let log_level =
            logging::start(&config.log_directives, config.log_format, identity, telemetry.layer())?;
        for warning in config.telemetry.warnings.iter().chain(&failed) {
            warn!(warning, "a setting of telemetry can't be used");
        }
        let mut registry = Registry::default();
        telemetry.register(&mut registry);
        logging::register(&mut registry);
        process_metrics::register(&mut registry);
        let connections = Connections::default();
        connections.register(&mut registry);
        let (readiness, shared_registry) = (Readiness::default(), SharedRegistry::default());
        let refused_requests = RefusedRequests::register(&mut registry);
        let admin = config.admin_listen;
        let (ready, metrics, refused) =
            (readiness.clone(), shared_registry.clone(), refused_requests.clone());
        let server = AdminServer::bind(admin, ready, metrics, log_level, refused)
            .await
            .with_context(|| format!("can't listen on {admin} (ADMIN_LISTEN)"))?;
        info!(address = %server.address()?, "health and metrics are served");
        let stop = Stop::new();
        let admin = Admin { task: tokio::spawn(server.run(connections.clone(), stop.clone())), stop };
        let (stop, roles) = (Stop::new(), Vec::new());
        let start = tokio::spawn(supervisor::notify_start(readiness.clone())).abort_handle();
        let drain_delay = config.drain_delay;
        Ok(Self {
            stop,
            registry,
            shared_registry,
            connections,
            readiness,
            roles,
            admin,
            refused_requests,
            telemetry,
            drain_delay,
            start,
        })
    }

    /// The registry for metrics, before [`Host::run`].
    pub fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// The registry with all metrics, filled by [`Host::run`].
    #[must_use]
    pub fn shared_registry(&self) -> SharedRegistry {
        self.shared_registry.clone()
    }

    /// The connections of this process, for the listeners of its roles.
    #[must_use]
    pub fn connections(&self) -> Connections {
        self.connections.clone()
    }

    /// The counter of requests that the HTTP listeners of the process refuse.
    #[must_use]
    pub fn refused_requests(&self) -> RefusedRequests {
        self.refused_requests.clone()
    }

    /// Cancelled when the process begins to end. Cancelling it ends the process.
    #[must_use]
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Adds the readiness of a role, which the admin server shows.
    pub fn readiness(&mut self, role: &'static str) -> RoleReadiness {
        let readiness = RoleReadiness::new(role);
        self.readiness.add(readiness.clone());
        readiness
    }

    /// Starts a role. After its `Stop` is cancelled it must finish its work in hand and return soon.
    pub fn add<F>(&mut self, name: &'static str, role: impl FnOnce(Stop) -> F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let stop = Stop::new();
        let task = tokio::spawn(role(stop.clone()).instrument(info_span!("role", role = name)));
        self.roles.push(Role { name, stop, task });
    }

    /// Runs the roles until a signal arrives or one of them ends, then stops all of them, front to back. A
    /// signal makes the process unready at once. Its roles stop after the drain delay: until then they serve
    /// everything, because load balancers still send. A second signal ends the process at once.
    pub async fn run(self, mut signals: Signals) -> ExitCode {
        let Self { stop, registry, shared_registry, readiness, mut roles, admin, telemetry, .. } = self;
        shared_registry.fill(registry);
        readiness.serving();
        let asked = tokio::select! {
            () = signals.next() => Ok(()),
            () = stop.cancelled() => Err(None),
            ended = first_to_end(&mut roles) => Err(Some(ended)),
        };
        self.start.abort();
        supervisor::notify_end();
        tokio::spawn(signals.exit_at_next());
        let ended = match asked {
            Ok(()) => drain(&readiness, self.drain_delay, &mut roles).await,
            Err(ended) => ended,
        };
        info!("stopping");
        readiness.stopping();
        if let Some(ended) = ended {
            // The end of this role is logged already, and its task can't be awaited twice.
            roles.remove(ended);
        }
        let failed = stop_roles(roles, Instant::now() + END_DEADLINE - telemetry::FLUSH).await;
        telemetry.flush().await;
        admin.stop.cancel();
        admin.task.abort();
        if ended.is_some() || failed { ExitCode::from(exit_code::FAILED) } else { ExitCode::SUCCESS }
    }
}

/// Serves for `delay` with unready probes, so that load balancers send nothing new when the roles stop.
/// Returns the index of a role that ended meanwhile.
async fn drain(readiness: &Readiness, delay: Duration, roles: &mut [Role]) -> Option<usize> {
    if delay.is_zero() {
        return None;
    }
    readiness.draining();
    let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
    info!(delay_ms, "draining: no longer ready, and still serving");
    tokio::select! {
        () = sleep(delay) => None,
        ended = first_to_end(roles) => Some(ended),
    }
}

/// Waits for a role that ends by itself, logs it and returns its index.
async fn first_to_end(roles: &mut [Role]) -> usize {
    if roles.is_empty() {
        return std::future::pending().await;
    }
    let tasks = roles.iter_mut().map(|role| {
        let name = role.name;
        Box::pin(async move { (name, (&mut role.task).await) })
    });
    let ((name, result), place, _) = futures::future::select_all(tasks).await;
    match result {
        Ok(Ok(())) => warn!(role = name, "role ended by itself"),
        Ok(Err(error)) => error!(role = name, error = format!("{error:#}"), "role failed"),
        Err(error) => error!(role = name, %error, "role panicked"),
    }
    place
}

/// Stops role after role and logs the end of each. Returns true if one failed or was late.
async fn stop_roles(roles: Vec<Role>, deadline: Instant) -> bool {
    let mut failed = false;
    let mut later = u32::try_from(roles.len()).unwrap_or(u32::MAX);
    for Role { name, stop, mut task } in roles {
        later -= 1;
        stop.cancel();
        match tokio::time::timeout_at(deadline - RESERVED_PER_ROLE * later, &mut task).await {
            Ok(Ok(Ok(()))) => info!(role = name, "role ended"),
            Ok(Ok(Err(error))) => {
                failed = true;
                error!(role = name, error = format!("{error:#}"), "role failed at its end");
            }
            Ok(Err(error)) => {
                failed = true;
                error!(role = name, %error, "role panicked at its end");
            }
            Err(_) => {
                failed = true;
                task.abort();
                error!(role = name, "role was late to end and was cut off");
            }
        }
    }
    failed
}
