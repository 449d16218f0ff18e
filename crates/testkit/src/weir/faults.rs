//! Hurting the processes of a fleet, one by one, and seeing them recover.

use std::{process::ExitStatus, time::Duration};

use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    Weir,
    fleet::{FLEET, PAIRS},
};
use crate::{eventually::within, process::Process};

/// How soon after a fault's end a fresh event is reported.
const LIVELY: Duration = Duration::from_secs(10);

/// What a process gives its roles to end.
const EXIT_DEADLINE: Duration = Duration::from_secs(25);

impl Weir {
    /// As `kill -9` of every process; what they logged is forgotten with them.
    pub async fn crash(&mut self) {
        self.signal("KILL").await;
        self.killed().await;
        self.processes.clear();
    }

    /// As `kill -9` of one process.
    pub async fn kill(&mut self, name: &str) {
        let process = self.process(name);
        process.signal("KILL").await;
        process.ended().await;
        self.processes.retain(|process| process.name() != name);
    }

    /// Starts a process of the fleet anew.
    pub fn revive(&mut self, name: &str) {
        self.revive_with(name, &[]);
    }

    /// [`Weir::revive`] with environment variables besides.
    pub fn revive_with(&mut self, name: &str, environment: &[(&str, &str)]) {
        let mut known = FLEET.iter().chain(PAIRS);
        let (_, args) = known.find(|(role, _)| *role == name).expect("a process of a fleet");
        let mut command = self.command(name, args);
        command.envs(environment.iter().copied());
        self.processes.push(Process::start(name, self.folder(), command));
    }

    /// One more process beside the fleet's own, with environment variables of its own; returns when all are ready.
    pub async fn join(&mut self, name: &'static str, args: &[&str], environment: &[(&str, &str)]) {
        self.addresses.add(name);
        let mut command = self.command(name, args);
        command.envs(environment.iter().copied());
        self.processes.push(Process::start(name, self.folder(), command));
        self.ready().await;
    }

    /// Waits until a process has ended by itself, and forgets it.
    pub async fn died(&mut self, name: &str) -> ExitStatus {
        let status = self.process(name).ended().await;
        self.processes.retain(|process| process.name() != name);
        status
    }

    /// Asks one process to end, and fails unless it does with code 0 in its time.
    pub async fn retire(&mut self, name: &str) {
        let asked = Instant::now();
        self.signal_to(name, "TERM").await;
        let status = self.process(name).ended().await;
        let (took, log) = (asked.elapsed(), self.process(name).log());
        assert!(status.success() && took < EXIT_DEADLINE, "{name} ended with {status} after {took:?}\n{log}");
        self.processes.retain(|process| process.name() != name);
    }

    /// Everything that one process of a fleet has logged since it was started first.
    pub fn log_of(&self, name: &str) -> String {
        let processes = self.processes.iter().filter(|process| process.name() == name);
        processes.last().map(Process::log).unwrap_or_default()
    }

    /// Sends a signal to one process, by its name without SIG.
    pub async fn signal_to(&mut self, name: &str, signal: &str) {
        self.process(name).signal(signal).await;
    }

    /// The fault is over: every process gets ready, and a fresh event is in the reports in time.
    pub async fn recovers(&mut self) {
        self.recovers_within(LIVELY).await;
    }

    /// [`Weir::recovers`] after a fault whose end nobody is told of.
    pub async fn recovers_within(&mut self, patience: Duration) {
        let started = Instant::now();
        self.ready().await;
        let campaign = format!("fresh-{}", Uuid::now_v7());
        let event = purchase(&campaign);
        within(LIVELY, async || {
            let answer =
                self.request("/events").json(&event).send().await.map_err(|error| error.to_string())?;
            if !answer.status().is_success() {
                return Err(answer.status().to_string());
            }
            Ok(())
        })
        .await;
        within(patience, async || {
            let report = self.report("revenue", &[("campaignId", campaign.clone())]).await;
            if report.body["totalTransactions"] == 1 { Ok(()) } else { Err(report.body) }
        })
        .await;
        eprintln!("recovered after {:.1?}", started.elapsed());
    }

    /// The most memory that one of the living processes has had, in bytes.
    pub fn peak_memory(&self) -> u64 {
        self.processes.iter().map(Process::peak_memory).max().unwrap_or_default()
    }

    /// The id of one process.
    pub fn id_of(&mut self, name: &str) -> u32 {
        self.process(name).id()
    }

    fn process(&mut self, name: &str) -> &mut Process {
        let found = self.processes.iter_mut().find(|process| process.name() == name);
        found.unwrap_or_else(|| panic!("no process {name} runs"))
    }
}

fn purchase(campaign: &str) -> serde_json::Value {
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
