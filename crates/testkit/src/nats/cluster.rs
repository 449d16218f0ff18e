//! A cluster of three nats-servers on loopback that replicate the same streams.

use reqwest::StatusCode;

use super::Nats;
use crate::{eventually, ports};

/// Three servers with a route between any two. When dropped, they are killed and their folders are removed.
#[derive(Debug)]
pub struct Cluster([Nats; 3]);

impl Cluster {
    /// Starts the servers and waits until the cluster is healthy.
    pub async fn start() -> Self {
        let routes = [ports::free(), ports::free(), ports::free()];
        let all = routes.map(|port| format!("nats://127.0.0.1:{port}")).join(", ");
        let cluster = Self(routes.map(|port| {
            let lines = format!(
                "server_name: n{port}\ncluster {{ name: weir, listen: 127.0.0.1:{port}, routes: [{all}] }}"
            );
            Nats::launch("always", &lines)
        }));
        for server in &cluster.0 {
            server.listening().await;
        }
        cluster.healthy().await;
        cluster
    }

    /// The URLs of all servers, as NATS_URL lists them.
    pub fn url(&self) -> String {
        self.0.each_ref().map(Nats::url).join(",")
    }

    /// The monitoring URLs of all servers, as NATS_MONITOR_URL lists them.
    pub fn monitor_url(&self) -> String {
        self.0.each_ref().map(Nats::monitor_url).join(",")
    }

    /// Kills one of the three servers.
    pub fn kill(&mut self, server: usize) {
        self.0[server].kill();
    }

    /// Starts a killed server again with its streams.
    pub async fn start_again(&mut self, server: usize) {
        self.0[server].start_again().await;
    }

    /// Starts a killed server again with an empty folder.
    pub async fn start_again_empty(&mut self, server: usize) {
        self.0[server].start_again_empty().await;
    }

    /// Waits until every server reports itself healthy, which includes that its replicas are current.
    pub async fn healthy(&self) {
        for server in &self.0 {
            eventually(async || {
                let url = format!("{}/healthz", server.monitor_url());
                match reqwest::get(url).await {
                    Ok(answer) if answer.status() == StatusCode::OK => Ok(()),
                    Ok(answer) => Err(answer.text().await.unwrap_or_default()),
                    Err(error) => Err(error.to_string()),
                }
            })
            .await;
        }
    }
}
