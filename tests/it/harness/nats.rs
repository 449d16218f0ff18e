//! A real nats-server with JetStream that syncs before it acknowledges.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// One server. Dropped, it is killed and its folder removed.
#[derive(Debug)]
pub(crate) struct Nats {
    folder: TempDir,
    port: u16,
    process: Child,
}

impl Nats {
    /// Starts a server on a free port and waits until it listens.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let configuration = format!(
            "listen: 127.0.0.1:{port}\njetstream {{ store_dir: {:?}, sync_interval: always }}\n",
            folder.path().join("store")
        );
        fs::write(folder.path().join("nats.conf"), configuration).expect("the folder is writable");
        let process = spawn(&folder);
        let nats = Self { folder, port, process };
        nats.listening().await;
        nats
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// As `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("the server is ours to kill");
        self.process.wait().expect("the server is ours to wait for");
    }

    /// Sends a signal, by its name without SIG: STOP freezes it and CONT thaws it.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.process.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "nats-server can't be sent {signal}");
    }

    /// Starts it again after [`Nats::kill`], with what it stored.
    pub(crate) async fn start_again(&mut self) {
        self.process = spawn(&self.folder);
        self.listening().await;
    }

    async fn listening(&self) {
        let listens = async {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_err() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, listens).await.expect("nats-server listens");
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn spawn(folder: &TempDir) -> Child {
    Command::new("nats-server")
        .arg("--config")
        .arg(folder.path().join("nats.conf"))
        .arg("--log")
        .arg(folder.path().join("nats.log"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nats-server 2.10 or later is on the PATH")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}
