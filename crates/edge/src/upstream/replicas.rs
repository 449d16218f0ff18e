//! The instances of one service: resolves their names, samples their health and chooses one per attempt, in turn.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use tokio::time::{self, MissedTickBehavior};
use tracing::{Instrument as _, error, info};
use url::{Host, Url};
use weir_process::{
    Latch, Stop,
    diagnosis::{Target, Unusable},
};

use super::replica::Replica;

/// The edge finds new addresses of a name within this time and the resolver's cache time.
const RESOLVE_INTERVAL: Duration = Duration::from_secs(5);
/// The time after which the resolver counts as unavailable.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(3);

/// The instances of one service. Cheap to clone; all clones share one state.
#[derive(Clone, Debug)]
pub(super) struct Replicas {
    targets: Arc<[Target]>,
    /// One entry per target, in the order of the targets.
    resolved: Arc<RwLock<Vec<ResolvedTarget>>>,
    next: Arc<AtomicUsize>,
}

/// The instances of one configured URL.
#[derive(Clone, Debug, Default)]
struct ResolvedTarget {
    replicas: Vec<Arc<Replica>>,
    /// The cause of the last failed resolution; `None` after a successful one.
    failure: Option<String>,
}

impl Replicas {
    /// Resolves every target once.
    pub(super) async fn resolve(targets: Vec<Target>) -> Self {
        let resolved = Arc::new(RwLock::new(vec![ResolvedTarget::default(); targets.len()]));
        let replicas = Self { targets: targets.into(), resolved, next: Arc::default() };
        replicas.resolve_targets().await;
        replicas
    }

    /// Chooses the next instance that serves, preferably one outside `tried`. Where none serves it chooses any: the
    /// last sample may be a second old.
    pub(super) fn choose(&self, tried: &[SocketAddr]) -> Option<Arc<Replica>> {
        let all = self.all();
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let round = || (0..all.len()).map(|step| &all[start.wrapping_add(step) % all.len()]);
        let untried = |replica: &&Arc<Replica>| !tried.contains(&replica.address());
        let serving = |replica: &&Arc<Replica>| replica.serves();
        round()
            .filter(serving)
            .find(untried)
            .or_else(|| round().find(serving))
            .or_else(|| round().find(untried))
            .or_else(|| round().next())
            .cloned()
    }

    /// Whether an instance outside `tried` serves.
    pub(super) fn another_serves(&self, tried: &[SocketAddr]) -> bool {
        self.all().iter().any(|replica| replica.serves() && !tried.contains(&replica.address()))
    }

    /// Sets `latch` once a second to whether at least one instance serves, and resolves the names again every 5 s,
    /// until `stop`.
    pub(super) fn watch(&self, latch: Latch, stop: &Stop) {
        let sampled = self.clone();
        latch.sample(stop.clone(), move || {
            let replicas = sampled.clone();
            async move { replicas.check().await }
        });
        let (replicas, stop) = (self.clone(), stop.clone());
        let resolving = async move {
            let mut tick = time::interval(RESOLVE_INTERVAL);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while stop.run_until_cancelled(tick.tick()).await.is_some() {
                replicas.resolve_targets().await;
            }
        };
        tokio::spawn(resolving.in_current_span());
    }

    async fn check(&self) -> Result<(), String> {
        let all = self.all();
        let states = join_all(all.iter().map(|replica| replica.check())).await;
        if states.iter().any(Result::is_ok) {
            return Ok(());
        }
        let mut reasons: Vec<String> = states.into_iter().filter_map(Result::err).collect();
        let resolved = self.resolved.read().unwrap_or_else(PoisonError::into_inner);
        reasons.extend(resolved.iter().filter_map(|target| target.failure.clone()));
        Err(if reasons.is_empty() { "no address is known".into() } else { reasons.join("; ") })
    }

    /// Resolves every target again. Each address of a name is an instance. A target whose resolution fails keeps its
    /// instances, so that an unavailable resolver takes none out.
    async fn resolve_targets(&self) {
        let resolutions =
            self.targets.iter().map(|target| time::timeout(RESOLVE_TIMEOUT, resolve(&target.url)));
        for (index, resolution) in join_all(resolutions).await.into_iter().enumerate() {
            let target = &self.targets[index];
            match resolution {
                Ok(Ok(addresses)) => self.update(index, target, &addresses),
                Ok(Err(_)) => self.record_failure(index, target, &target.unknown_host()),
                Err(_) => self.record_failure(index, target, &target.silent_resolver()),
            }
        }
    }

    /// Records a failed resolution, and logs a new cause.
    fn record_failure(&self, index: usize, target: &Target, cause: &Unusable) {
        let cause = Some(cause.to_string());
        let mut resolved = self.resolved.write().unwrap_or_else(PoisonError::into_inner);
        let before = &mut resolved[index].failure;
        if *before != cause {
            error!(setting = target.setting, cause, "a host name can't be resolved");
            *before = cause;
        }
    }

    /// Replaces the instances of a target by those at `addresses`. An instance whose address stays keeps its
    /// connection.
    fn update(&self, index: usize, target: &Target, addresses: &[SocketAddr]) {
        let url = &target.url;
        let mut resolved = self.resolved.write().unwrap_or_else(PoisonError::into_inner);
        resolved[index].failure = None;
        let before = &mut resolved[index].replicas;
        if before.len() == addresses.len()
            && before.iter().all(|replica| addresses.contains(&replica.address()))
        {
            return;
        }
        let updated = addresses.iter().filter_map(|address| {
            let same = before.iter().find(|replica| replica.address() == *address).cloned();
            same.or_else(|| Replica::new(target, *address).ok().map(Arc::new))
        });
        *before = updated.collect();
        if matches!(url.host(), Some(Host::Domain(_))) {
            info!(%url, instances = before.len(), "a host name resolves to other instances now");
        }
    }

    fn all(&self) -> Vec<Arc<Replica>> {
        let resolved = self.resolved.read().unwrap_or_else(PoisonError::into_inner);
        resolved.iter().flat_map(|target| &target.replicas).cloned().collect()
    }
}

/// The addresses that the host of `url` resolves to, without repetition.
async fn resolve(url: &Url) -> std::io::Result<Vec<SocketAddr>> {
    let port = url.port_or_known_default().unwrap_or_default();
    let mut addresses: Vec<SocketAddr> = match url.host() {
        Some(Host::Ipv4(host)) => vec![SocketAddr::from((host, port))],
        Some(Host::Ipv6(host)) => vec![SocketAddr::from((IpAddr::V6(host), port))],
        Some(Host::Domain(name)) => tokio::net::lookup_host((name, port)).await?.collect(),
        None => Vec::new(),
    };
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use weir_process::diagnosis::ServerKind;

    use super::*;

    fn target(url: &str) -> Target {
        Target { url: url.parse().unwrap(), setting: "INGEST_URL", kind: ServerKind::Ingest, instance: None }
    }

    async fn replicas(urls: &[&str]) -> Replicas {
        Replicas::resolve(urls.iter().map(|url| target(url)).collect()).await
    }

    #[tokio::test]
    async fn an_unknown_host_name_is_reported() {
        let reason = replicas(&["http://nowhere.invalid:50051"]).await.check().await.unwrap_err();
        assert!(reason.contains("nowhere.invalid") && reason.contains("INGEST_URL"), "{reason}");
    }

    #[tokio::test]
    async fn a_service_without_addresses_has_no_instance() {
        assert!(replicas(&[]).await.choose(&[]).is_none());
        assert_eq!(replicas(&[]).await.check().await, Err("no address is known".into()));
    }

    #[tokio::test]
    async fn every_instance_that_does_not_serve_is_named() {
        let replicas = replicas(&["http://127.0.0.1:1", "http://127.0.0.1:2"]).await;
        assert!(replicas.choose(&[]).is_some());
        let reason = replicas.check().await.unwrap_err();
        assert!(reason.contains("127.0.0.1:1") && reason.contains("127.0.0.1:2"), "{reason}");
    }

    #[tokio::test]
    async fn an_instance_that_was_tried_is_the_last_choice() {
        let replicas = replicas(&["http://127.0.0.1:1", "http://127.0.0.1:2"]).await;
        let first = replicas.choose(&[]).unwrap().address();
        for _ in 0..4 {
            assert_ne!(replicas.choose(&[first]).unwrap().address(), first);
        }
        let all: Vec<SocketAddr> = replicas.all().iter().map(|replica| replica.address()).collect();
        assert!(replicas.choose(&all).is_some());
    }

    #[tokio::test]
    async fn every_address_of_a_name_is_an_instance_and_unchanged_ones_are_kept() {
        let replicas = replicas(&["http://localhost:1"]).await;
        assert!(replicas.all().iter().all(|replica| replica.address().ip().is_loopback()));
        let url = target("http://localhost:1");
        let [a, b, c] = [1, 2, 3].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        replicas.update(0, &url, &[a, b]);
        let kept = Arc::clone(&replicas.all()[1]);
        replicas.update(0, &url, &[b, c]);
        let all = replicas.all();
        assert!(Arc::ptr_eq(&all[0], &kept));
        assert_eq!(all[1].address(), c);
    }
}
