//! A running Weir: all roles in one process on files, the same on real servers, or one process for each role.

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
pub use storage::Storage;
use tempfile::TempDir;
use tokio::process::Command;

use super::{
    Answer, eventually,
    nats::{Nats, Operator},
    process::Process,
};

/// Runs each story twice: with every role in one process on files, and the same on real servers.
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

/// The time that one request may take: an array of 50,000 events on a slow machine that runs other stories too.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// A running Weir. When dropped, its processes are killed and its files are removed.
#[derive(Debug)]
pub struct Weir {
    // In the order in which they must be dropped: processes, their servers, the folder of both.
    processes: Vec<Process>,
    storage: Storage,
    folder: TempDir,
    /// Environment variables of every process, which override those of the deployment.
    settings: Vec<(&'static str, String)>,
    pub addresses: Addresses,
    http: Client,
}

impl Weir {
    /// `weir up` on files.
    pub async fn on_files() -> Self {
        Self::up(Storage::Files).await
    }

    /// `weir up` on a real nats-server and a real PostgreSQL.
    pub async fn on_servers() -> Self {
        Self::up(Storage::servers().await).await
    }

    async fn up(storage: Storage) -> Self {
        Self::up_with(storage, Vec::new()).await
    }

    /// `weir up` with settings that override those of the deployment.
    pub async fn up_with(storage: Storage, settings: Vec<(&'static str, String)>) -> Self {
        let mut weir = Self::down(storage, &["up"]);
        weir.settings = settings;
        weir.start(&[("up", &["up"])]).await;
        weir
    }

    /// One process for each role on real servers, with two collectors for Facebook.
    pub async fn fleet() -> Self {
        Self::fleet_with(Storage::servers().await, Vec::new()).await
    }

    /// [`Weir::fleet`] with settings for every process, which override those of the deployment.
    pub async fn fleet_with(storage: Storage, settings: Vec<(&'static str, String)>) -> Self {
        let mut weir = Self::down(storage, &FLEET.map(|(name, _)| name));
        weir.settings = settings;
        weir.start(FLEET).await;
        weir
    }

    /// Two processes for each role on real servers.
    pub async fn pairs() -> Self {
        let mut weir = Self::down(Storage::servers().await, &PAIRS.map(|(name, _)| name));
        weir.start(PAIRS).await;
        weir
    }

    /// Starts processes by name and arguments, and does not wait until they are ready. They may lack a dependency.
    pub fn launch(
        storage: Storage,
        settings: Vec<(&'static str, String)>,
        processes: &[(&'static str, &[&str])],
    ) -> Self {
        let names: Vec<_> = processes.iter().map(|(name, _)| *name).collect();
        let mut weir = Self::down(storage, &names);
        weir.settings = settings;
        weir.spawn_all(processes);
        weir
    }

    /// `weir up` with its output in pipes that no process reads, and which fill up.
    pub async fn with_unread_output(storage: Storage, settings: Vec<(&'static str, String)>) -> Self {
        let mut weir = Self::down(storage, &["up"]);
        weir.settings = settings;
        weir.processes.push(Process::start_unread("up", weir.folder.path(), weir.command("up", &["up"])));
        weir.ready().await;
        weir
    }

    fn down(storage: Storage, names: &[&'static str]) -> Self {
        let http =
            Client::builder().timeout(REQUEST_TIMEOUT).build().expect("a client without TLS can be built");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        Self {
            processes: Vec::new(),
            storage,
            folder,
            settings: Vec::new(),
            addresses: Addresses::choose(names),
            http,
        }
    }

    /// Starts processes by name and arguments, and waits until every process is ready.
    async fn start(&mut self, processes: &[(&str, &[&str])]) {
        self.spawn_all(processes);
        self.ready().await;
    }

    fn spawn_all(&mut self, processes: &[(&str, &[&str])]) {
        for (name, args) in processes {
            let process = Process::start(name, self.folder.path(), self.command(name, args));
            self.processes.push(process);
        }
    }

    /// The command of one process in the environment of this deployment.
    fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut command = command(args);
        command.env("WEIR_DATA_DIR", self.data_folder());
        command.envs(self.addresses.environment(name));
        if let Storage::Servers { nats, database_url } = &self.storage {
            command.env("NATS_URL", nats.url()).env("DATABASE_URL", database_url);
        }
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Waits until every process is ready; fails at once if one ends instead.
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

    /// Ends every process with SIGTERM; fails unless each exits with code 0.
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

    /// Waits until every process has ended; fails unless each exits with code 0.
    pub async fn stopped(&mut self) {
        for process in &mut self.processes {
            let status = process.ended().await;
            assert!(status.success(), "ended with {status}:\n{}", process.log());
        }
    }

    /// Waits until every process has ended; returns the exit codes.
    pub async fn exit_codes(&mut self) -> Vec<Option<i32>> {
        let mut codes = Vec::new();
        for process in &mut self.processes {
            codes.push(process.ended().await.code());
        }
        codes
    }

    /// Waits until every process has ended, with any status.
    pub async fn wait_for_exits(&mut self) {
        for process in &mut self.processes {
            process.ended().await;
        }
    }

    /// Starts `weir up` again on the same files, servers and ports, after its end.
    pub async fn start_again(&mut self) {
        self.processes.clear();
        self.start(&[("up", &["up"])]).await;
    }

    /// Starts processes again after their end, and does not wait until they are ready.
    pub fn launch_again(&mut self, processes: &[(&str, &[&str])]) {
        self.processes.clear();
        self.spawn_all(processes);
    }

    /// Ends `weir up` and starts it again.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
    }

    /// [`Weir::restart`] with settings that override those of the deployment.
    pub async fn restart_with(&mut self, settings: Vec<(&'static str, String)>) {
        self.stop().await;
        self.start_again_with(settings).await;
    }

    /// [`Weir::start_again`] with settings that override those of the deployment.
    pub async fn start_again_with(&mut self, settings: Vec<(&'static str, String)>) {
        self.settings = settings;
        self.start_again().await;
    }

    /// Another command of the binary, in the environment of this deployment.
    pub fn tool(&self, args: &[&str]) -> Command {
        self.command("tool", args)
    }

    /// Runs another command of the binary until it ends; returns its status and everything that it wrote.
    pub async fn run(&self, args: &[&str], environment: &[(&str, &str)]) -> (ExitStatus, String) {
        let mut command = self.command("tool", args);
        let output =
            command.envs(environment.iter().copied()).output().await.expect("the binary can be started");
        let both = [output.stdout, output.stderr].concat();
        (output.status, String::from_utf8_lossy(&both).into_owned())
    }

    /// A POST to a path of the edge, which the story completes.
    pub fn request(&self, path: &str) -> RequestBuilder {
        self.request_by(Method::POST, path)
    }

    /// [`Weir::request`] with any method.
    pub fn request_by(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path))
    }

    /// Posts JSON to `/events`.
    pub async fn post(&self, events: &Value) -> Answer {
        self.post_bytes("application/json", events.to_string()).await
    }

    /// Posts a body with a media type to `/events`.
    pub async fn post_bytes(&self, media_type: &str, body: impl Into<Body>) -> Answer {
        self.send(self.request("/events").header("content-type", media_type).body(body)).await
    }

    /// GETs a path of the edge.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.http.get(self.url(path))).await
    }

    /// Sends a request and reads its answer; fails if there is none.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        Answer::read(request.send().await.expect("the edge answers")).await
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addresses.edge)
    }

    /// Requests a report; the answer may have any status.
    pub async fn report(&self, name: &str, parameters: &[(&str, String)]) -> Answer {
        self.send(self.http.get(self.url(&format!("/reports/{name}"))).query(parameters)).await
    }

    /// The total of the report on events.
    pub async fn reported_events(&self) -> u64 {
        let answer = self.report("events", &[]).await;
        answer.body["totalEvents"].as_u64().unwrap_or_else(|| panic!("no totalEvents in {answer:?}"))
    }

    /// Waits until the collectors have processed `accepted` events since they started, duplicates included.
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

    /// Whether a process is ready, and the dependencies that its probe lists.
    pub async fn readiness(&self, process: &str) -> (bool, Value) {
        let url = format!("http://{}/health/ready", self.addresses.admin_of(process));
        let mut answer = self.send(self.http.get(url)).await;
        (answer.status.is_success(), answer.body["dependencies"].take())
    }

    /// The logs of all processes since their first start.
    pub fn log(&self) -> String {
        self.processes.iter().map(Process::log).collect()
    }

    /// The file of the store, if it is on files.
    pub fn store_file(&self) -> PathBuf {
        self.data_folder().join("store.sqlite")
    }

    fn data_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder in which the story may write files too.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The files or servers of journal and store.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// An operator's connection to the journal's servers; fails if the journal is on files.
    pub async fn operator(&self) -> Operator {
        let Storage::Servers { nats, .. } = &self.storage else { panic!("there is no nats-server on files") };
        let urls = self.setting("NATS_URL").unwrap_or_else(|| nats.url());
        Operator::connect(&urls).await
    }

    /// The nats-server; fails if the journal is on files.
    pub fn nats(&mut self) -> &mut Nats {
        match &mut self.storage {
            Storage::Servers { nats, .. } => nats,
            Storage::Files => panic!("there is no nats-server on files"),
        }
    }
}
