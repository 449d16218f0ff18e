//! The instances of one service behind the edge: who serves is sampled, and calls go round those who do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use tonic::transport::Channel;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use url::Url;
use weir::process::{Latch, Stop, grpc};

/// Below the 2 s that a sample may take in all, so that a frozen instance doesn't hide the others.
const CHECK_TIMEOUT: Duration = Duration::from_millis(1500);

/// The instances of one service. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Replicas {
    all: Arc<[Replica]>,
    next: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Replica {
    address: String,
    channel: Channel,
    serves: AtomicBool,
}

impl Replicas {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// An address is no http:// URL.
    pub(crate) fn new(addresses: &[Url]) -> anyhow::Result<Self> {
        let replica = |address: &Url| {
            let channel = grpc::endpoint(address)?.connect_lazy();
            Ok(Replica { address: address.to_string(), channel, serves: AtomicBool::new(false) })
        };
        let all = addresses.iter().map(replica).collect::<anyhow::Result<_>>()?;
        Ok(Self { all, next: Arc::default() })
    }

    /// The next instance that serves. Where none is known to, any one: the sample may be a second old.
    pub(crate) fn channel(&self) -> Option<Channel> {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let round = || (0..self.all.len()).map(|step| &self.all[start.wrapping_add(step) % self.all.len()]);
        let serving = round().find(|replica| replica.serves.load(Ordering::Relaxed));
        serving.or_else(|| round().next()).map(|replica| replica.channel.clone())
    }

    /// Sets `latch` once a second by whether at least one instance serves.
    pub(crate) fn sample(&self, latch: Latch, stop: Stop) {
        let replicas = self.clone();
        latch.sample(stop, move || {
            let replicas = replicas.clone();
            async move { replicas.check().await }
        });
    }

    async fn check(&self) -> Result<(), String> {
        let states = join_all(self.all.iter().map(Replica::check)).await;
        if states.iter().any(Result::is_ok) {
            return Ok(());
        }
        let reasons: Vec<String> = states.into_iter().filter_map(Result::err).collect();
        Err(if reasons.is_empty() { "no address is configured".into() } else { reasons.join("; ") })
    }
}

impl Replica {
    async fn check(&self) -> Result<(), String> {
        let mut client = HealthClient::new(self.channel.clone());
        let state =
            match tokio::time::timeout(CHECK_TIMEOUT, client.check(HealthCheckRequest::default())).await {
                Ok(Ok(response)) if response.get_ref().status() == ServingStatus::Serving => Ok(()),
                Ok(Ok(_)) => Err("is not ready"),
                Ok(Err(_)) => Err("is not reachable"),
                Err(_) => Err("does not answer"),
            };
        self.serves.store(state.is_ok(), Ordering::Relaxed);
        state.map_err(|reason| format!("{} {reason}", self.address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replicas(addresses: &[&str]) -> Replicas {
        let addresses: Vec<Url> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Replicas::new(&addresses).unwrap()
    }

    #[tokio::test]
    async fn without_an_address_there_is_no_channel() {
        assert!(replicas(&[]).channel().is_none());
        assert_eq!(replicas(&[]).check().await, Err("no address is configured".into()));
    }

    #[tokio::test]
    async fn every_instance_that_does_not_serve_is_named() {
        let replicas = replicas(&["http://127.0.0.1:1", "http://127.0.0.1:2"]);
        assert!(replicas.channel().is_some());
        let reason = replicas.check().await.unwrap_err();
        assert!(reason.contains("127.0.0.1:1") && reason.contains("127.0.0.1:2"), "{reason}");
    }
}
