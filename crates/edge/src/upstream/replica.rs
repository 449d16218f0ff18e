//! One instance of a service: whether it serves, and the channel to it.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use url::Url;
use weir::process::grpc::{self, TracedChannel};

/// Below the 2 s that a sample may take in all, so that a frozen instance doesn't hide the others.
const CHECK_TIMEOUT: Duration = Duration::from_millis(1500);

#[derive(Debug)]
pub(super) struct Replica {
    address: SocketAddr,
    channel: TracedChannel,
    serves: AtomicBool,
}

impl Replica {
    /// Connects to nothing yet. `url` is how the service is called, `address` where this instance of it is.
    pub(super) fn new(url: &Url, address: SocketAddr) -> anyhow::Result<Self> {
        let instance = Url::parse(&format!("http://{address}"))?;
        let endpoint = grpc::endpoint(&instance)?.origin(url.as_str().parse()?);
        let channel = TracedChannel::new(endpoint.connect_lazy(), address);
        Ok(Self { address, channel, serves: AtomicBool::new(false) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn channel(&self) -> TracedChannel {
        self.channel.clone()
    }

    pub(super) fn serves(&self) -> bool {
        self.serves.load(Ordering::Relaxed)
    }

    /// Until a sample finds that it serves again.
    pub(super) fn leave_out(&self) {
        self.serves.store(false, Ordering::Relaxed);
    }

    pub(super) async fn check(&self) -> Result<(), String> {
        let mut client = HealthClient::new(self.channel.untraced());
        let state =
            match tokio::time::timeout(CHECK_TIMEOUT, client.check(HealthCheckRequest::default())).await {
                Ok(Ok(response)) if response.get_ref().status() == ServingStatus::Serving => Ok(()),
                Ok(Ok(_)) => Err("is not ready"),
                Ok(Err(_)) => Err("is not reachable"),
                Err(_) => Err("does not answer"),
            };
        self.serves.store(state.is_ok(), Ordering::Relaxed);
        state.map_err(|reason| format!("http://{}/ {reason}", self.address))
    }
}
