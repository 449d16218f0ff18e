//! A real nats-server with JetStream that syncs before it acknowledges, or three of them in a cluster.

mod certificates;
mod cluster;
mod operator;
mod users;

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use weir_journal::Servers;

pub use certificates::{Authority, Certificate};
pub use cluster::Cluster;
pub use operator::Operator;
pub use users::Users;

use super::ports;

/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// One server. Dropped, it is killed and its folder removed.
#[derive(Debug)]
pub struct Nats {
    folder: TempDir,
    store: PathBuf,
    port: u16,
    monitor: u16,
    process: Child,
}

impl Nats {
    /// Starts a server on a free port and waits until it listens.
    pub async fn start() -> Self {
        let nats = Self::launch("always", "");
        nats.listening().await;
        nats
    }

    /// A server that keeps what it stores in this folder, and finds there what another one stored. What is free on
    /// its disk is no bound to it.
    pub async fn start_in(store: PathBuf) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let nats = Self::launch_in(folder, store, "sync_interval: always, max_file_store: 64GB", "");
        nats.listening().await;
        nats
    }

    /// A server that syncs once in a while, long after it acknowledged.
    pub async fn start_with_late_sync() -> Self {
        let nats = Self::launch("1m", "");
        nats.listening().await;
        nats
    }

    /// A server with further settings of JetStream, such as `domain: hub`, and further lines in its configuration.
    pub async fn configured(jetstream: &str, lines: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = folder.path().join("store");
        let nats = Self::launch_in(folder, store, &format!("sync_interval: always, {jetstream}"), lines);
        nats.listening().await;
        nats
    }

    /// A server that keeps no journal.
    pub async fn without_jetstream() -> Self {
        let mut nats = Self::start().await;
        nats.kill();
        let (port, monitor) = (nats.port, nats.monitor);
        nats.write(&format!("listen: 127.0.0.1:{port}\nhttp: 127.0.0.1:{monitor}\n"));
        nats.start_again().await;
        nats
    }

    fn write(&self, configuration: &str) {
        fs::write(self.folder.path().join("nats.conf"), configuration).expect("the folder is writable");
    }

    /// Where it is reached with a login in front of its address, such as `user:password`.
    pub fn url_with(&self, login: &str) -> String {
        format!("nats://{login}@127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// A server with further lines in its configuration; it may need others to be ready.
    fn launch(sync_interval: &str, lines: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = folder.path().join("store");
        Self::launch_in(folder, store, &format!("sync_interval: {sync_interval}"), lines)
    }

    fn launch_in(folder: TempDir, store: PathBuf, jetstream: &str, lines: &str) -> Self {
        let (port, monitor) = (ports::free(), ports::free());
        let configuration = configuration(port, monitor, &store, jetstream, lines);
        fs::write(folder.path().join("nats.conf"), configuration).expect("the folder is writable");
        let process = spawn(&folder);
        Self { folder, store, port, monitor, process }
    }

    /// Where it keeps what it stores.
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// Everything that it wrote about itself.
    pub fn log(&self) -> String {
        fs::read_to_string(log(&self.folder)).unwrap_or_default()
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// As the journal is told of it.
    pub fn servers(&self) -> Servers {
        self.url().parse().expect("its URL is one")
    }

    /// Where it says what it promises and how it is.
    pub fn monitor_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.monitor)
    }

    /// As `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill().expect("the server is ours to kill");
        self.process.wait().expect("the server is ours to wait for");
    }

    /// Starts it again after [`Nats::kill`], with what it stored.
    pub async fn start_again(&mut self) {
        self.process = spawn(&self.folder);
        self.listening().await;
    }

    /// Starts it again after [`Nats::kill`], with nothing of what it stored.
    pub async fn start_again_empty(&mut self) {
        fs::remove_dir_all(&self.store).expect("what it stored is ours to remove");
        self.start_again().await;
    }

    /// Copies what it stores to a folder that is not there yet, after [`Nats::kill`].
    pub fn back_up(&self, copy: &Path) {
        copy_folder(&self.store, copy);
    }

    /// Puts a copy of [`Nats::back_up`] in the place of what it stores, after [`Nats::kill`].
    pub fn restore(&self, copy: &Path) {
        fs::remove_dir_all(&self.store).expect("what it stored is ours to remove");
        copy_folder(copy, &self.store);
    }

    /// Sends a signal, by its name without SIG: STOP freezes it and CONT thaws it.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.process.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "nats-server can't be sent {signal}");
    }

    async fn listening(&self) {
        let listens = async {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_err() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        if timeout(PATIENCE, listens).await.is_err() {
            panic!("nats-server does not listen\n{}", self.log());
        }
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn configuration(port: u16, monitor: u16, store: &Path, jetstream: &str, lines: &str) -> String {
    format!(
        "listen: 127.0.0.1:{port}\nhttp: 127.0.0.1:{monitor}\n\
         jetstream {{ store_dir: {store:?}, {jetstream} }}\n{lines}\n"
    )
}

fn spawn(folder: &TempDir) -> Child {
    Command::new("nats-server")
        .arg("--config")
        .arg(folder.path().join("nats.conf"))
        .arg("--log")
        .arg(log(folder))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nats-server 2.10 or later is on the PATH")
}

fn copy_folder(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("--archive").args([from, to]).status();
    assert!(copied.is_ok_and(|status| status.success()), "{} can't be copied", from.display());
}

fn log(folder: &TempDir) -> PathBuf {
    folder.path().join("nats.log")
}
