//! Hosts roles: starts them, watches signals, and ends them front to back against one deadline.

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
    exit_code, logging, process_metrics, supervisor,
    telemetry::{self, Telemetry},
};

/// How long all roles together may take to end once the drain delay is over, the last spans included. A supervisor has to
/// leave more than both.
pub const END_DEADLINE: Duration = Duration::from_secs(25);
/// What of that is kept for each role that ends later: one that hangs must not cost the others their end.
const KEPT_FOR_EACH: Duration = Duration::from_secs(2);

/// One OS process and the roles in it.
///
/// Roles are added in the order of an event's way, and stopped in that order: nothing new comes in while what is
/// in flight is finished.
#[derive(Debug)]
pub struct Host {
    stop: Stop,
    registry: Registry,
    shared_registry: SharedRegistry,
    readiness: Readiness,
    roles: Vec<Role>,
    admin: Admin,
    telemetry: Telemetry,
    drain_delay: Duration,
    /// What tells a supervisor of the start.
    start: AbortHandle,
}

#[derive(Debug)]
struct Admin {
    stop: Stop,
    task: JoinHandle<anyhow::Result<()>>,
}

#[derive(Debug)]
struct Role {
    name: &'static str,
    stop: Stop,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Host {
    /// Starts logs and traces of a process that is known as `name` in them, and serves health and metrics: before its
    /// roles are started, so that what they wait for can be seen.
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
        let (readiness, shared_registry) = (Readiness::default(), SharedRegistry::default());
        let admin = config.admin_listen;
        let server = AdminServer::bind(admin, readiness.clone(), shared_registry.clone(), log_level)
            .await
            .with_context(|| format!("can't listen on {admin} (ADMIN_LISTEN)"))?;
        info!(address = %server.address()?, "health and metrics are served");
        let stop = Stop::new();
        let admin = Admin { task: tokio::spawn(server.run(stop.clone())), stop };
        let (stop, roles) = (Stop::new(), Vec::new());
        let start = tokio::spawn(supervisor::tell_of_start(readiness.clone())).abort_handle();
        let drain_delay = config.drain_delay;
        Ok(Self { stop, registry, shared_registry, readiness, roles, admin, telemetry, drain_delay, start })
    }

    /// Where metrics are registered, before [`Host::run`].
    pub fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// What is registered by then, from [`Host::run`] on.
    #[must_use]
    pub fn shared_registry(&self) -> SharedRegistry {
        self.shared_registry.clone()
    }

    /// Cancelled when the process begins to end; whoever cancels it ends the process.
    #[must_use]
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// A role's readiness, shown by the admin server.
    pub fn readiness(&mut self, role: &'static str) -> RoleReadiness {
        let readiness = RoleReadiness::new(role);
        self.readiness.add(readiness.clone());
        readiness
    }

    /// Starts a role. It shall return soon after its `Stop` is cancelled, with what it had in hand finished.
    pub fn add<F>(&mut self, name: &'static str, role: impl FnOnce(Stop) -> F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let stop = Stop::new();
        let task = tokio::spawn(role(stop.clone()).instrument(info_span!("role", role = name)));
        self.roles.push(Role { name, stop, task });
    }

    /// Hosts the roles until one of `signals`, or until one of them ends; then ends all of them, front to back. A
    /// signal makes the process unready at once, and ends its roles when the drain delay is over: until then
    /// everything is served, because load balancers still send. A second signal ends the process at once.
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
        supervisor::tell_of_end();
        tokio::spawn(signals.exit_at_next());
        let ended = match asked {
            Ok(()) => drain(&readiness, self.drain_delay, &mut roles).await,
            Err(ended) => ended,
        };
        info!("stopping");
        readiness.stopping();
        if let Some(ended) = ended {
            // What became of it was told, and its task can't be asked again.
            roles.remove(ended);
        }
        let wrong = end(roles, Instant::now() + END_DEADLINE - telemetry::FLUSH).await;
        telemetry.flush().await;
        admin.stop.cancel();
        admin.task.abort();
        if ended.is_some() || wrong { ExitCode::from(exit_code::FAILED) } else { ExitCode::SUCCESS }
    }
}

/// Serves for `delay` with every probe answering no, so that load balancers send nothing new when the roles end.
/// Returns the place of a role that ended meanwhile.
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

/// Returns when a role ended that nobody stopped, and says so; returns its place.
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

/// Stops role after role, and says of each how it ended; returns whether one failed or was late.
async fn end(roles: Vec<Role>, deadline: Instant) -> bool {
    let mut wrong = false;
    let mut later = u32::try_from(roles.len()).unwrap_or(u32::MAX);
    for Role { name, stop, mut task } in roles {
        later -= 1;
        stop.cancel();
        match tokio::time::timeout_at(deadline - KEPT_FOR_EACH * later, &mut task).await {
            Ok(Ok(Ok(()))) => info!(role = name, "role ended"),
            Ok(Ok(Err(error))) => {
                wrong = true;
                error!(role = name, error = format!("{error:#}"), "role failed at its end");
            }
            Ok(Err(error)) => {
                wrong = true;
                error!(role = name, %error, "role panicked at its end");
            }
            Err(_) => {
                wrong = true;
                task.abort();
                error!(role = name, "role was late to end and was cut off");
            }
        }
    }
    wrong
}
