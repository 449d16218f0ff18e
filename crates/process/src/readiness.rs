//! Readiness is earned: one latch per dependency, set by whoever uses it or sampled on a timer, never work per
//! probe.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tokio::{sync::watch, task::JoinHandle, time};

use super::Stop;

/// After the first look; every look that fails before one succeeds doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// How often a dependency is sampled, and how long one sample may take: together they flip a probe within 5 s.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
const SAMPLE_TIMEOUT: Duration = Duration::from_secs(2);

/// The state of one dependency, as the probes show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dependency {
    pub ready: bool,
    /// Whether the role is unready without it.
    pub required: bool,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Under this name a role shows that its process is ending, whatever becomes of its dependencies.
const PROCESS: &str = "process";

type States = BTreeMap<&'static str, Dependency>;

/// The readiness of one role. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RoleReadiness {
    role: &'static str,
    states: Arc<watch::Sender<States>>,
}

/// One dependency of one role.
#[derive(Clone, Debug)]
pub struct Latch {
    name: &'static str,
    states: Arc<watch::Sender<States>>,
}

impl RoleReadiness {
    #[must_use]
    pub fn new(role: &'static str) -> Self {
        Self { role, states: Arc::new(watch::Sender::new(States::new())) }
    }

    #[must_use]
    pub fn role(&self) -> &'static str {
        self.role
    }

    /// Adds a dependency, not ready yet. Without a `required` one the role is ready all the same.
    #[must_use]
    pub fn dependency(&self, name: &'static str, required: bool) -> Latch {
        let state = Dependency { ready: false, required, reason: Some("not seen yet".into()) };
        self.states.send_modify(|states| {
            states.insert(name, state);
        });
        Latch { name, states: Arc::clone(&self.states) }
    }

    /// A dependency that must be there before the role can be started, which adds it again.
    #[must_use]
    pub fn wait_for(&self, name: &'static str) -> Latch {
        let latch = self.dependency(name, true);
        latch.set(Err("is waited for".into()));
        latch
    }

    /// The role is not ready any more, because of its process.
    fn end(&self, reason: &str) {
        self.dependency(PROCESS, true).set(Err(reason.to_owned()));
    }

    /// Every dependency by name.
    #[must_use]
    pub fn dependencies(&self) -> BTreeMap<&'static str, Dependency> {
        self.states.borrow().clone()
    }

    #[must_use]
    pub fn is_ready(&self) -> bool {
        all_required_ready(&self.states.borrow())
    }

    /// Returns when readiness is no longer `known`, with what it is then.
    pub async fn changed_from(&self, known: bool) -> bool {
        let mut states = self.states.subscribe();
        // The sender lives in self, so waiting can't fail.
        let _ = states.wait_for(|states| all_required_ready(states) != known).await;
        !known
    }
}

fn all_required_ready(states: &States) -> bool {
    states.values().all(|state| state.ready || !state.required)
}

impl Latch {
    /// Says how the dependency is; the error is for people.
    pub fn set(&self, state: Result<(), String>) {
        let (ready, reason) = match state {
            Ok(()) => (true, None),
            Err(reason) => (false, Some(reason)),
        };
        self.states.send_if_modified(|states| match states.get_mut(self.name) {
            Some(known) if known.ready != ready || known.reason != reason => {
                (known.ready, known.reason) = (ready, reason);
                true
            }
            _ => false,
        });
    }

    /// Sets the latch by `check`, once a second until `stop`; a check that takes over 2 s has failed. At first, until one
    /// succeeds, it looks sooner: roles that start together wait for each other.
    pub fn sample<F, C>(self, stop: Stop, check: C) -> JoinHandle<()>
    where
        F: Future<Output = Result<(), String>> + Send,
        C: Fn() -> F + Send + 'static,
    {
        tokio::spawn(async move {
            let mut pause = FIRST_PAUSE;
            while let Some(sample) = stop.run_until_cancelled(time::timeout(SAMPLE_TIMEOUT, check())).await {
                let sample = sample.unwrap_or_else(|_| Err("no answer in 2 s".into()));
                pause = if sample.is_ok() { SAMPLE_EVERY } else { SAMPLE_EVERY.min(2 * pause) };
                self.set(sample);
                stop.run_until_cancelled(time::sleep(pause)).await;
            }
        })
    }
}

/// The readiness of a process: of every role that it hosts, once all of them are started and until they are asked to
/// end. Cheap to clone; every clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<ProcessState>>);

#[derive(Debug, Default)]
struct ProcessState {
    phase: Phase,
    roles: Vec<RoleReadiness>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Starting,
    Serving,
    Draining,
    Stopping,
}

impl Readiness {
    pub(super) fn add(&self, role: RoleReadiness) {
        self.state().roles.push(role);
    }

    pub(super) fn serving(&self) {
        self.state().phase = Phase::Serving;
    }

    /// Every probe answers no from now on, while everything else goes on.
    pub(super) fn draining(&self) {
        self.end(Phase::Draining);
    }

    pub(super) fn stopping(&self) {
        self.end(Phase::Stopping);
    }

    fn end(&self, phase: Phase) {
        let mut state = self.state();
        state.phase = phase;
        if let Some(reason) = phase.reason() {
            state.roles.iter().for_each(|role| role.end(reason));
        }
    }

    #[must_use]
    pub fn is_ready(&self) -> bool {
        let state = self.state();
        state.phase == Phase::Serving && state.roles.iter().all(RoleReadiness::is_ready)
    }

    /// Every dependency; `role.name` where the process hosts several roles, else its name. `process` is among them
    /// while the process itself is the reason.
    #[must_use]
    pub fn dependencies(&self) -> BTreeMap<String, Dependency> {
        let state = self.state();
        let several = state.roles.len() > 1;
        let named = |role: &RoleReadiness| {
            let prefix = if several { format!("{}.", role.role) } else { String::new() };
            let own = role.dependencies().into_iter().filter(|(name, _)| *name != PROCESS);
            own.map(move |(name, state)| (format!("{prefix}{name}"), state))
        };
        let process = state.phase.reason().map(|reason| {
            let unready = Dependency { ready: false, required: true, reason: Some(reason.to_owned()) };
            (PROCESS.to_owned(), unready)
        });
        state.roles.iter().flat_map(named).chain(process).collect()
    }

    /// Nobody panics while holding it.
    fn state(&self) -> MutexGuard<'_, ProcessState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Phase {
    /// Why the process is not ready, whatever its roles say.
    fn reason(self) -> Option<&'static str> {
        match self {
            Self::Starting => Some("is starting"),
            Self::Serving => None,
            Self::Draining => Some("is draining"),
            Self::Stopping => Some("is stopping"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_role_is_ready_when_every_required_dependency_is() {
        let role = RoleReadiness::new("edge");
        let (ingest, reporting) = (role.dependency("ingest", true), role.dependency("reporting", false));
        assert!(!role.is_ready());
        ingest.set(Ok(()));
        assert!(role.is_ready());
        reporting.set(Err("away".into()));
        assert!(role.is_ready());
        ingest.set(Err("away".into()));
        assert!(!role.changed_from(true).await);
    }

    #[test]
    fn roles_are_told_apart_where_a_process_hosts_several() {
        let readiness = Readiness::default();
        readiness.serving();
        for role in ["ingest", "edge"] {
            let role = RoleReadiness::new(role);
            let _latch = role.dependency("journal", true);
            readiness.add(role);
        }
        let names: Vec<String> = readiness.dependencies().into_keys().collect();
        assert_eq!(names, ["edge.journal", "ingest.journal"]);
    }

    #[test]
    fn a_process_is_ready_between_its_start_and_its_end() {
        let readiness = Readiness::default();
        let role = RoleReadiness::new("ingest");
        let journal = role.wait_for("journal");
        readiness.add(role.clone());
        let reasons = || {
            let dependencies = readiness.dependencies().into_iter();
            dependencies.filter_map(|(name, state)| Some((name, state.reason?))).collect::<Vec<_>>()
        };
        let told = |name: &str, reason: &str| (name.to_owned(), reason.to_owned());
        assert_eq!(reasons(), [told("journal", "is waited for"), told("process", "is starting")]);
        journal.set(Ok(()));
        assert!(!readiness.is_ready());
        readiness.serving();
        assert!(readiness.is_ready() && reasons().is_empty());
        readiness.draining();
        assert!(!readiness.is_ready() && !role.is_ready());
        assert_eq!(reasons(), [told("process", "is draining")]);
        readiness.stopping();
        assert!(!readiness.is_ready());
        assert_eq!(reasons(), [told("process", "is stopping")]);
        assert_eq!(role.dependencies()["process"].reason.as_deref(), Some("is stopping"));
    }
}
