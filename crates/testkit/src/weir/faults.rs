//! Faults of a fleet's processes: kill, stop, start and signal each of them, and expect recovery.

use std::{process::ExitStatus, time::Duration};

use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    Weir,
    fleet::{FLEET, PAIRS},
};
use crate::{eventually::within, process::Process};

/// The time from the end of a fault until a fresh event is in the reports: docs/reliability.md#i5-liveness.
const RECOVERY_DEADLINE: Duration = Duration::from_secs(10);

/// The time that a process gives its roles to end.
const EXIT_DEADLINE: Duration = Duration::from_secs(25);

impl Weir {
    /// Kills every process, as `kill -9` does, and drops them with their logs.
    pub async fn crash(&mut self) {
        self.signal("KILL").await;
        self.wait_for_exits().await;
        self.processes.clear();
    }

    /// Kills one process, as `kill -9` does.
    pub async fn kill(&mut self, name: &str) {
        let process = self.process(name);
        process.signal("KILL").await;
        process.ended().await;
        self.processes.retain(|process| process.name() != name);
    }

    /// Starts a process of the fleet again.
    pub fn start_process(&mut self, name: &str) {
        self.start_process_with(name, &[]);
    }

    /// [`Weir::start_process`] with further environment variables.
    pub fn start_process_with(&mut self, name: &str, environment: &[(&str, &str)]) {
        let mut known = FLEET.iter().chain(PAIRS);
        let (_, args) = known.find(|(role, _)| *role == name).expect("a process of a fleet");
        let mut command = self.command(name, args);
        command.envs(environment.iter().copied());
        self.processes.push(Process::start(name, self.folder(), command));
    }

    /// Adds a process to the fleet, with further environment variables; waits until every process is ready.
    pub async fn join(&mut self, name: &'static str, args: &[&str], environment: &[(&str, &str)]) {
        self.addresses.add(name);
        let mut command = self.command(name, args);
        command.envs(environment.iter().copied());
        self.processes.push(Process::start(name, self.folder(), command));
        self.ready().await;
    }

    /// Waits until a process has ended by itself; returns its status.
    pub async fn exit_of(&mut self, name: &str) -> ExitStatus {
        let status = self.process(name).ended().await;
        self.processes.retain(|process| process.name() != name);
        status
    }

    /// Ends one process with SIGTERM; fails unless it exits with code 0 within 25 s.
    pub async fn stop_process(&mut self, name: &str) {
        let signalled = Instant::now();
        self.signal_to(name, "TERM").await;
        let status = self.process(name).ended().await;
        let (took, log) = (signalled.elapsed(), self.process(name).log());
        assert!(status.success() && took < EXIT_DEADLINE, "{name} ended with {status} after {took:?}\n{log}");
        self.processes.retain(|process| process.name() != name);
    }

    /// The log of one process since its first start.
    pub fn log_of(&self, name: &str) -> String {
        let processes = self.processes.iter().filter(|process| process.name() == name);
        processes.last().map(Process::log).unwrap_or_default()
    }

    /// Sends a signal to one process, by its name without SIG.
    pub async fn signal_to(&mut self, name: &str, signal: &str) {
        self.process(name).signal(signal).await;
    }

    /// Expects, after a fault, that every process is ready and that a fresh event is in the reports within 10 s.
    pub async fn expect_recovery(&mut self) {
        self.expect_recovery_within(RECOVERY_DEADLINE).await;
    }

    /// [`Weir::expect_recovery`] with another limit, for a fault whose end no process can notice at once.
    pub async fn expect_recovery_within(&mut self, timeout: Duration) {
        let started = Instant::now();
        self.ready().await;
        let campaign = format!("fresh-{}", Uuid::now_v7());
        let event = checkout(&campaign);
        within(RECOVERY_DEADLINE, async || {
            let answer =
                self.request("/events").json(&event).send().await.map_err(|error| error.to_string())?;
            if !answer.status().is_success() {
                return Err(answer.status().to_string());
            }
            Ok(())
        })
        .await;
        within(timeout, async || {
            let report = self.report("revenue", &[("campaignId", campaign.clone())]).await;
            if report.body["totalTransactions"] == 1 { Ok(()) } else { Err(report.body) }
        })
        .await;
        eprintln!("recovered after {:.1?}", started.elapsed());
    }

    /// The highest peak of resident memory among the running processes, in bytes.
    pub fn peak_memory(&self) -> u64 {
        self.processes.iter().map(Process::peak_memory).max().unwrap_or_default()
    }

    /// The process id of one process.
    pub fn id_of(&mut self, name: &str) -> u32 {
        self.process(name).id()
    }

    fn process(&mut self, name: &str) -> &mut Process {
        let found = self.processes.iter_mut().find(|process| process.name() == name);
        found.unwrap_or_else(|| panic!("no process {name} runs"))
    }
}

/// A purchase of 318.49 USD in a campaign.
fn checkout(campaign: &str) -> serde_json::Value {
    json!({
        "eventId": campaign, "timestamp": "2025-09-14T07:21:45Z", "source": "facebook", "funnelStage": "bottom",
        "eventType": "checkout.complete",
        "data": {
            "user": {"userId": "u", "name": "Orla", "age": 41, "gender": "female",
                     "location": {"country": "Peru", "city": "Ica"}},
            "engagement": {"adId": "ad", "campaignId": campaign, "clickPosition": "center", "device": "mobile",
                           "browser": "Firefox", "purchaseAmount": "318.49"},
        },
    })
}
