//! Real nats-servers with JetStream: one that syncs before it acknowledges, or a cluster of three.

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

/// The time that a server has to start listening.
const TIMEOUT: Duration = Duration::from_secs(20);

/// One running server. When dropped, it is killed and its folder is removed.
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

    /// A server that stores its streams in this folder, and finds there the streams that another server stored. The
    /// free space of the disk does not limit it.
    pub async fn start_in(store: PathBuf) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let nats = Self::launch_in(folder, store, "sync_interval: always, max_file_store: 64GB", "");
        nats.listening().await;
        nats
    }

    /// A server that syncs once a minute, long after it acknowledged.
    pub async fn start_with_late_sync() -> Self {
        let nats = Self::launch("1m", "");
        nats.listening().await;
        nats
    }

    /// A server with further settings of JetStream, such as `domain: hub`, and further lines of configuration.
    pub async fn configured(jetstream: &str, lines: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = folder.path().join("store");
        let nats = Self::launch_in(folder, store, &format!("sync_interval: always, {jetstream}"), lines);
        nats.listening().await;
        nats
    }

    /// A server without JetStream, which can keep no journal.
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

    /// The URL with a login in front of the address, such as `user:password`.
    pub fn url_with(&self, login: &str) -> String {
        format!("nats://{login}@127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Launches a server with further lines of configuration. A member of a cluster may need the others before it
    /// listens.
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

    /// The folder of its streams.
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// Everything that the server has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(log(&self.folder)).unwrap_or_default()
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The server as the journal's settings name it.
    pub fn servers(&self) -> Servers {
        self.url().parse().expect("its URL is one")
    }

    /// The URL of its monitoring port, which reports its settings and its health.
    pub fn monitor_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.monitor)
    }

    /// Kills the server, as `kill -9` does.
    pub fn kill(&mut self) {
        self.process.kill().expect("the server is ours to kill");
        self.process.wait().expect("the server is ours to wait for");
    }

    /// Starts it again after [`Nats::kill`], with its streams.
    pub async fn start_again(&mut self) {
        self.process = spawn(&self.folder);
        self.listening().await;
    }

    /// Starts it again after [`Nats::kill`], with an empty folder.
    pub async fn start_again_empty(&mut self) {
        fs::remove_dir_all(&self.store).expect("the server's folder can be removed");
        self.start_again().await;
    }

    /// Copies its streams to a folder that does not exist yet, after [`Nats::kill`].
    pub fn back_up(&self, copy: &Path) {
        copy_folder(&self.store, copy);
    }

    /// Replaces its streams with a copy of [`Nats::back_up`], after [`Nats::kill`].
    pub fn restore(&self, copy: &Path) {
        fs::remove_dir_all(&self.store).expect("the server's folder can be removed");
        copy_folder(copy, &self.store);
    }

    /// Sends a signal, by its name without SIG. STOP freezes the server and CONT resumes it.
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
        if timeout(TIMEOUT, listens).await.is_err() {
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
