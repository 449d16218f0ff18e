//! Each step alone: its highest throughput without Weir around it.
//!
//! Steps that serve requests run in a separate process, as the roles do: the bench starts itself with `--serve`.

pub(crate) mod append;
pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod postgres;

use std::{net::SocketAddr, path::Path, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    process::Command,
    time::{sleep, timeout},
};
use weir_testkit::{ports, process::Process};

/// A step that serves requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Step {
    /// HTTP, and arrays of JSON parsed to typed events.
    Arrays,
    /// HTTP, and one JSON object parsed to a typed event.
    Singles,
    /// gRPC, and protobuf decoded to typed events.
    Grpc,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Arrays => "arrays",
            Self::Singles => "singles",
            Self::Grpc => "grpc",
        }
    }
}

/// A running server of one step. When dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Server {
    _process: Process,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts the server, and waits until it listens.
    ///
    /// # Errors
    /// It does not listen.
    pub(crate) async fn start(step: Step, folder: &Path) -> anyhow::Result<Self> {
        const TIMEOUT: Duration = Duration::from_secs(10);
        let port = ports::free();
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--serve", step.name(), "--port", &port.to_string()]);
        let process = Process::start(step.name(), folder, command);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let listens = async {
            while TcpStream::connect(address).await.is_err() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(TIMEOUT, listens).await?;
        Ok(Self { _process: process, address })
    }
}

/// Serves one step until it is killed.
///
/// # Errors
/// The port is taken.
pub(crate) async fn serve(step: Step, port: u16) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    match step {
        Step::Arrays => http::serve_arrays(listener).await,
        Step::Singles => http::serve_singles(listener).await,
        Step::Grpc => grpc::serve(listener).await,
    }
}
