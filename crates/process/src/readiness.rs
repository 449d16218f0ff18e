//! Readiness of roles: one latch per dependency. The user of a dependency sets it, or a timer samples it; a
//! probe causes no work.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tokio::{sync::watch, task::JoinHandle, time};

use super::{Stop, retry::Backoff};

/// The longest pause after the first sample; every failed sample before the first success doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The pause between samples and the timeout of one: together they flip a probe within 5 s.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
const SAMPLE_TIMEOUT: Duration = Duration::from_secs(2);

/// The state of one dependency, as the probes show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dependency {
    pub ready: bool,
    /// True if the role is unready without it.
    pub required: bool,
    /// The reason why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The dependency by which a role shows the end of its process, independent of the other dependencies.
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

    /// Adds a dependency, not ready yet. Only a `required` one makes the role unready.
    #[must_use]
    pub fn dependency(&self, name: &'static str, required: bool) -> Latch {
        let state = Dependency { ready: false, required, reason: Some("not seen yet".into()) };
        self.states.send_modify(|states| {
            states.insert(name, state);
        });
        Latch { name, states: Arc::clone(&self.states) }
    }

    /// Adds a dependency that must be ready before the role starts. The role adds it again.
    #[must_use]
    pub fn wait_for(&self, name: &'static str) -> Latch {
        let latch = self.dependency(name, true);
        latch.set(Err("is waited for".into()));
        latch
    }

    /// Makes the role unready, because its process ends.
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

    /// Waits until readiness differs from `known`, and returns the new value.
    pub async fn changed_from(&self, known: bool) -> bool {
        let mut states = self.states.subscribe();
        // The sender lives in self, so the wait can't fail.
        let _ = states.wait_for(|states| all_required_ready(states) != known).await;
        !known
    }
}

fn all_required_ready(states: &States) -> bool {
    states.values().all(|state| state.ready || !state.required)
}

impl Latch {
    /// Sets the state of the dependency. The error is the reason, for operators.
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

    /// Samples the dependency by `check`, once a second until `stop`. A check that takes over 2 s fails.
    /// Before the first success the samples follow sooner, because roles that start together wait for each
    /// other.
    pub fn sample<F, C>(self, stop: Stop, check: C) -> JoinHandle<()>
    where
        F: Future<Output = Result<(), String>> + Send,
        C: Fn() -> F + Send + 'static,
    {
        tokio::spawn(async move {
            let mut backoff = Backoff::new(FIRST_PAUSE, SAMPLE_EVERY);
            let mut has_succeeded = false;
            while let Some(sample) = stop.run_until_cancelled(time::timeout(SAMPLE_TIMEOUT, check())).await {
                let sample = sample.unwrap_or_else(|_| Err("no answer in 2 s".into()));
                has_succeeded |= sample.is_ok();
                self.set(sample);
                let pause = if has_succeeded { SAMPLE_EVERY } else { backoff.next_pause() };
                stop.run_until_cancelled(time::sleep(pause)).await;
            }
        })
    }
}

/// The readiness of a process: the readiness of all its roles, between their start and their end. Cheap to
/// clone; every clone is the same.
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

    /// Makes every probe unready, while the process continues to serve.
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

    /// Every dependency, as `role.name` if the process hosts several roles, else by its name. `process` is
    /// among them while the process itself is the reason.
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

    /// No code panics while it holds the lock.
    fn state(&self) -> MutexGuard<'_, ProcessState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Phase {
    /// The reason why the process is unready, independent of its roles.
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
    fn dependencies_carry_the_role_in_a_process_of_several_roles() {
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
