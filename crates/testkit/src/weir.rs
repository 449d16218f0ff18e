//! A running Weir: everything in one process on files, the same on real servers, or one process for each role.

mod binary;
mod faults;
mod fleet;
mod metrics;
mod storage;

use std::{
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

pub use binary::{binary, command, example};
pub use fleet::Addresses;
use fleet::{FLEET, PAIRS};
pub use metrics::Series;
use reqwest::{Body, Client, Method, RequestBuilder};
use serde_json::Value;
pub use storage::Ground;
use tempfile::TempDir;
use tokio::process::Command;

use super::{
    Answer, eventually,
    nats::{Nats, Operator},
    process::Process,
};

/// Tells stories twice: with every role in one process on files alone, and the same on real servers.
#[macro_export]
macro_rules! on_files_and_on_servers {
    ($($story:ident),+ $(,)?) => {
        mod on_files {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                super::$story($crate::Weir::on_files().await).await;
            })+
        }

        mod on_servers {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                super::$story($crate::Weir::on_servers().await).await;
            })+
        }
    };
}
pub use on_files_and_on_servers;

/// One request of a test's: an array of 50,000 events on a slow machine that runs other tests besides.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// A running Weir. Dropped, its processes are killed and its files are gone.
#[derive(Debug)]
pub struct Weir {
    // In the order in which they must be dropped: processes, their servers, the folder of both.
    processes: Vec<Process>,
    ground: Ground,
    folder: TempDir,
    /// Environment variables of every process besides what the deployment gives them.
    settings: Vec<(&'static str, String)>,
    pub addresses: Addresses,
    http: Client,
}

impl Weir {
    /// `weir up` on files.
    pub async fn on_files() -> Self {
        Self::up(Ground::Files).await
    }

    /// `weir up` on a real nats-server and a real PostgreSQL.
    pub async fn on_servers() -> Self {
        Self::up(Ground::servers().await).await
    }

    async fn up(ground: Ground) -> Self {
        Self::up_with(ground, Vec::new()).await
    }

    /// `weir up` with settings that win over the deployment's own.
    pub async fn up_with(ground: Ground, settings: Vec<(&'static str, String)>) -> Self {
        let mut weir = Self::down(ground, &["up"]);
        weir.settings = settings;
        weir.start(&[("up", &["up"])]).await;
        weir
    }

    /// One process for each role on real servers, with two collectors for Facebook.
    pub async fn fleet() -> Self {
        Self::fleet_with(Ground::servers().await, Vec::new()).await
    }

    /// [`Weir::fleet`] with settings for every process, which win over the deployment's own.
    pub async fn fleet_with(ground: Ground, settings: Vec<(&'static str, String)>) -> Self {
        let mut weir = Self::down(ground, &FLEET.map(|(name, _)| name));
        weir.settings = settings;
        weir.start(FLEET).await;
        weir
    }

    /// Two processes for each role on real servers.
    pub async fn pairs() -> Self {
        let mut weir = Self::down(Ground::servers().await, &PAIRS.map(|(name, _)| name));
        weir.start(PAIRS).await;
        weir
    }

    /// Processes by name and arguments that may wait for something, and are not waited for.
    pub fn launched(
        ground: Ground,
        settings: Vec<(&'static str, String)>,
        processes: &[(&'static str, &[&str])],
    ) -> Self {
        let names: Vec<_> = processes.iter().map(|(name, _)| *name).collect();
        let mut weir = Self::down(ground, &names);
        weir.settings = settings;
        weir.launch(processes);
        weir
    }

    /// `weir up` whose output nobody reads: the pipes behind it fill up.
    pub async fn unread(ground: Ground, settings: Vec<(&'static str, String)>) -> Self {
        let mut weir = Self::down(ground, &["up"]);
        weir.settings = settings;
        weir.processes.push(Process::start_unread("up", weir.folder.path(), weir.command("up", &["up"])));
        weir.ready().await;
        weir
    }

    fn down(ground: Ground, names: &[&'static str]) -> Self {
        let http =
            Client::builder().timeout(REQUEST_TIMEOUT).build().expect("a client without TLS can be built");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        Self {
            processes: Vec::new(),
            ground,
            folder,
            settings: Vec::new(),
            addresses: Addresses::choose(names),
            http,
        }
    }

    /// Starts processes by name and arguments, and waits until all of them are ready.
    async fn start(&mut self, processes: &[(&str, &[&str])]) {
        self.launch(processes);
        self.ready().await;
    }

    fn launch(&mut self, processes: &[(&str, &[&str])]) {
        for (name, args) in processes {
            let process = Process::start(name, self.folder.path(), self.command(name, args));
            self.processes.push(process);
        }
    }

    /// The command of one process, with the environment of this deployment.
    fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut command = command(args);
        command.env("WEIR_DATA_DIR", self.data_folder());
        command.envs(self.addresses.environment(name));
        if let Ground::Servers { nats, database_url } = &self.ground {
            command.env("NATS_URL", nats.url()).env("DATABASE_URL", database_url);
        }
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Waits until every process is ready; fails at once when one ends instead.
    pub async fn ready(&mut self) {
        let Self { processes, addresses, http, .. } = self;
        for address in addresses.admin() {
            let url = format!("http://{address}/health/ready");
            eventually(async || {
                processes.iter_mut().for_each(Process::assert_alive);
                let response = http.get(&url).send().await.map_err(|error| error.to_string())?;
                let answer = Answer::read(response).await;
                if answer.status.is_success() { Ok(()) } else { Err(format!("{answer:?}")) }
            })
            .await;
        }
    }

    /// Ends every process with SIGTERM; fails unless each exits with 0.
    pub async fn stop(&mut self) {
        self.signal("TERM").await;
        self.stopped().await;
    }

    /// Sends a signal to every process, by its name without SIG.
    pub async fn signal(&self, signal: &str) {
        for process in &self.processes {
            process.signal(signal).await;
        }
    }

    /// Waits until every process has ended; fails unless each exits with 0.
    pub async fn stopped(&mut self) {
        for process in &mut self.processes {
            let status = process.ended().await;
            assert!(status.success(), "ended with {status}:\n{}", process.log());
        }
    }

    /// Waits until every process has ended; says with which code.
    pub async fn exit_codes(&mut self) -> Vec<Option<i32>> {
        let mut codes = Vec::new();
        for process in &mut self.processes {
            codes.push(process.ended().await.code());
        }
        codes
    }

    /// Waits until every process has ended, however it ends.
    pub async fn killed(&mut self) {
        for process in &mut self.processes {
            process.ended().await;
        }
    }

    /// Starts `weir up` anew on the same files, servers and ports, after its end.
    pub async fn start_again(&mut self) {
        self.processes.clear();
        self.start(&[("up", &["up"])]).await;
    }

    /// Starts processes anew after their end, and does not wait for them.
    pub fn launch_again(&mut self, processes: &[(&str, &[&str])]) {
        self.processes.clear();
        self.launch(processes);
    }

    /// Ends `weir up` and starts it anew.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
    }

    /// [`Weir::restart`] with settings that win over the deployment's own.
    pub async fn restart_with(&mut self, settings: Vec<(&'static str, String)>) {
        self.stop().await;
        self.start_again_with(settings).await;
    }

    /// [`Weir::start_again`] with settings that win over the deployment's own.
    pub async fn start_again_with(&mut self, settings: Vec<(&'static str, String)>) {
        self.settings = settings;
        self.start_again().await;
    }

    /// Another command of the binary, with the environment of this deployment.
    pub fn tool(&self, args: &[&str]) -> Command {
        self.command("tool", args)
    }

    /// Runs another command of the binary beside this Weir, until it ends; says how, and everything it wrote.
    pub async fn run(&self, args: &[&str], environment: &[(&str, &str)]) -> (ExitStatus, String) {
        let mut command = self.command("tool", args);
        let output =
            command.envs(environment.iter().copied()).output().await.expect("the binary can be started");
        let both = [output.stdout, output.stderr].concat();
        (output.status, String::from_utf8_lossy(&both).into_owned())
    }

    /// A POST to a path of the edge, for a test to add to.
    pub fn request(&self, path: &str) -> RequestBuilder {
        self.request_by(Method::POST, path)
    }

    /// [`Weir::request`] by any method.
    pub fn request_by(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path))
    }

    /// Posts JSON to `/events`.
    pub async fn post(&self, events: &Value) -> Answer {
        self.post_bytes("application/json", events.to_string()).await
    }

    /// Posts a body of a media type to `/events`.
    pub async fn post_bytes(&self, media_type: &str, body: impl Into<Body>) -> Answer {
        self.send(self.request("/events").header("content-type", media_type).body(body)).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.http.get(self.url(path))).await
    }

    pub async fn send(&self, request: RequestBuilder) -> Answer {
        Answer::read(request.send().await.expect("the edge answers")).await
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addresses.edge)
    }

    /// A report's answer, of any status.
    pub async fn report(&self, name: &str, parameters: &[(&str, String)]) -> Answer {
        self.send(self.http.get(self.url(&format!("/reports/{name}"))).query(parameters)).await
    }

    /// How many events the reports know.
    pub async fn reported_events(&self) -> u64 {
        let answer = self.report("events", &[]).await;
        answer.body["totalEvents"].as_u64().unwrap_or_else(|| panic!("no totalEvents in {answer:?}"))
    }

    /// Waits until `accepted` events, duplicates included, have come through the collectors since they started.
    pub async fn drained(&self, accepted: usize) {
        eventually(async || {
            let processed = self.metric("events_processed_total", &[]).await;
            if processed == accepted as f64 {
                Ok(())
            } else {
                Err(format!("{processed} of {accepted} processed"))
            }
        })
        .await;
    }

    /// Whether a process is ready, and what it says of its dependencies.
    pub async fn readiness(&self, process: &str) -> (bool, Value) {
        let url = format!("http://{}/health/ready", self.addresses.admin_of(process));
        let mut answer = self.send(self.http.get(url)).await;
        (answer.status.is_success(), answer.body["dependencies"].take())
    }

    /// Everything that the processes have logged since they were started first.
    pub fn log(&self) -> String {
        self.processes.iter().map(Process::log).collect()
    }

    /// The store on files.
    pub fn store_file(&self) -> PathBuf {
        self.data_folder().join("store.sqlite")
    }

    fn data_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where a test may lay files of its own beside this Weir's.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What journal and store stand on.
    pub fn ground(&self) -> &Ground {
        &self.ground
    }

    /// An operator's connection to the journal's servers; fails on files.
    pub async fn operator(&self) -> Operator {
        let Ground::Servers { nats, .. } = &self.ground else { panic!("there is no nats-server on files") };
        let urls = self.setting("NATS_URL").unwrap_or_else(|| nats.url());
        Operator::connect(&urls).await
    }

    /// The nats-server; fails on files.
    pub fn nats(&mut self) -> &mut Nats {
        match &mut self.ground {
            Ground::Servers { nats, .. } => nats,
            Ground::Files => panic!("there is no nats-server on files"),
        }
    }
}
