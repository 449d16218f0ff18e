//! Hosts roles: starts them, watches signals, and ends them front to back against one deadline.

use std::{
    future::Future,
    process::ExitCode,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use tokio::{task::JoinHandle, time::Instant};
use tracing::{Instrument as _, error, info, info_span, warn};

use super::{Readiness, RoleReadiness, Signals, admin::AdminServer, args::ProcessConfig, logging, vitals};

/// Cancelled when a role shall finish what it has in hand and return.
pub type Stop = tokio_util::sync::CancellationToken;

/// How long all roles together may take to end. Kubernetes kills after 30 s by default.
const DEADLINE: Duration = Duration::from_secs(25);
/// What of that is kept for each role that ends later: one that hangs must not cost the others their end.
const KEPT_FOR_EACH: Duration = Duration::from_secs(2);

/// The exit code of a process that a role failed in.
const EXIT_FAILED: u8 = 1;
/// 128 + SIGINT: what a shell reports for a process that left at once.
const EXIT_INTERRUPTED: i32 = 130;

/// The registry of the whole process, for a role that serves metrics itself; it is there once the process runs.
#[derive(Clone, Debug, Default)]
pub struct SharedRegistry(Arc<OnceLock<Arc<Registry>>>);

impl SharedRegistry {
    /// `None` as long as roles may still register metrics.
    #[must_use]
    pub fn get(&self) -> Option<&Registry> {
        self.0.get().map(Arc::as_ref)
    }

    /// Puts `registry` there; only the first one counts.
    pub fn fill(&self, registry: Registry) -> Arc<Registry> {
        Arc::clone(self.0.get_or_init(|| Arc::new(registry)))
    }
}

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
    /// Starts logging for a process that is known as `name` in its logs, and serves health and metrics: before its
    /// roles are started, so that what they wait for can be seen.
    ///
    /// # Errors
    /// The admin address is taken.
    pub async fn begin(name: &'static str, config: &ProcessConfig) -> anyhow::Result<Self> {
        logging::start(&config.log_directives, config.log_format, name)?;
        let mut registry = Registry::default();
        logging::register(&mut registry);
        vitals::register(&mut registry);
        let (readiness, shared_registry) = (Readiness::default(), SharedRegistry::default());
        let admin = config.admin_listen;
        let server = AdminServer::bind(admin, readiness.clone(), shared_registry.clone())
            .await
            .with_context(|| format!("can't listen on {admin} (ADMIN_LISTEN)"))?;
        info!(address = %server.address()?, "health and metrics are served");
        let stop = Stop::new();
        let admin = Admin { task: tokio::spawn(server.run(stop.clone())), stop };
        Ok(Self { stop: Stop::new(), registry, shared_registry, readiness, roles: Vec::new(), admin })
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
    /// second signal ends the process at once.
    pub async fn run(self, mut signals: Signals) -> ExitCode {
        let Self { stop, registry, shared_registry, readiness, mut roles, admin } = self;
        shared_registry.fill(registry);
        readiness.serving();
        let ended = tokio::select! {
            () = signals.next() => None,
            () = stop.cancelled() => None,
            ended = first_to_end(&mut roles) => Some(ended),
        };
        info!("stopping");
        readiness.stopping();
        tokio::spawn(leave_at_next(signals));
        if let Some(ended) = ended {
            // What became of it was told, and its task can't be asked again.
            roles.remove(ended);
        }
        let wrong = end(roles, Instant::now() + DEADLINE).await;
        admin.stop.cancel();
        admin.task.abort();
        if ended.is_some() || wrong { ExitCode::from(EXIT_FAILED) } else { ExitCode::SUCCESS }
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

async fn leave_at_next(mut signals: Signals) {
    signals.next().await;
    std::process::exit(EXIT_INTERRUPTED);
}
