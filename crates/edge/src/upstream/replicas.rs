//! The instances of one service behind the edge: found by name, sampled, and taken in turn.

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

/// A fleet that grows or moves is seen within this and what the resolver keeps.
const LOOKUP_INTERVAL: Duration = Duration::from_secs(5);
/// A resolver that is away for longer has not answered.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);

/// The instances of one service. Cheap to clone; every clone sees the same ones.
#[derive(Clone, Debug)]
pub(super) struct Replicas {
    targets: Arc<[Target]>,
    /// By target, in their order.
    known: Arc<RwLock<Vec<Instances>>>,
    next: Arc<AtomicUsize>,
}

/// What is known of one target.
#[derive(Clone, Debug, Default)]
struct Instances {
    replicas: Vec<Arc<Replica>>,
    /// Why its name can't be looked up now.
    unknown: Option<String>,
}

impl Replicas {
    /// Looks every address up once.
    pub(super) async fn find(targets: Vec<Target>) -> Self {
        let known = Arc::new(RwLock::new(vec![Instances::default(); targets.len()]));
        let replicas = Self { targets: targets.into(), known, next: Arc::default() };
        replicas.look_up().await;
        replicas
    }

    /// The next instance that serves, rather one that is not among `tried`. Where none is known to serve, any one:
    /// the sample may be a second old.
    pub(super) fn choose(&self, tried: &[SocketAddr]) -> Option<Arc<Replica>> {
        let all = self.all();
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let round = || (0..all.len()).map(|step| &all[start.wrapping_add(step) % all.len()]);
        let fresh = |replica: &&Arc<Replica>| !tried.contains(&replica.address());
        let serving = |replica: &&Arc<Replica>| replica.serves();
        round()
            .filter(serving)
            .find(fresh)
            .or_else(|| round().find(serving))
            .or_else(|| round().find(fresh))
            .or_else(|| round().next())
            .cloned()
    }

    /// Whether an instance serves that is not among `tried`.
    pub(super) fn another_serves(&self, tried: &[SocketAddr]) -> bool {
        self.all().iter().any(|replica| replica.serves() && !tried.contains(&replica.address()))
    }

    /// Sets `latch` once a second by whether at least one instance serves, and keeps up with what names resolve to.
    pub(super) fn watch(&self, latch: Latch, stop: &Stop) {
        let sampled = self.clone();
        latch.sample(stop.clone(), move || {
            let replicas = sampled.clone();
            async move { replicas.check().await }
        });
        let (replicas, stop) = (self.clone(), stop.clone());
        let keeping_up = async move {
            let mut tick = time::interval(LOOKUP_INTERVAL);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while stop.run_until_cancelled(tick.tick()).await.is_some() {
                replicas.look_up().await;
            }
        };
        tokio::spawn(keeping_up.in_current_span());
    }

    async fn check(&self) -> Result<(), String> {
        let all = self.all();
        let states = join_all(all.iter().map(|replica| replica.check())).await;
        if states.iter().any(Result::is_ok) {
            return Ok(());
        }
        let mut reasons: Vec<String> = states.into_iter().filter_map(Result::err).collect();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        reasons.extend(known.iter().filter_map(|instances| instances.unknown.clone()));
        Err(if reasons.is_empty() { "no address is known".into() } else { reasons.join("; ") })
    }

    /// A name that resolves to several addresses is several instances. One that can't be looked up keeps those that
    /// it had: a resolver that is away takes nobody else out.
    async fn look_up(&self) {
        let looking = self.targets.iter().map(|target| time::timeout(LOOKUP_TIMEOUT, resolve(&target.url)));
        for (place, found) in join_all(looking).await.into_iter().enumerate() {
            let target = &self.targets[place];
            match found {
                Ok(Ok(addresses)) => self.renew(place, target, &addresses),
                Ok(Err(_)) => self.is_unknown(place, target, &target.unknown_host()),
                Err(_) => self.is_unknown(place, target, &target.silent_resolver()),
            }
        }
    }

    /// Logs a cause when it is new.
    fn is_unknown(&self, place: usize, target: &Target, cause: &Unusable) {
        let cause = Some(cause.to_string());
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let before = &mut known[place].unknown;
        if *before != cause {
            error!(setting = target.setting, cause, "a name can't be looked up");
            *before = cause;
        }
    }

    fn renew(&self, place: usize, target: &Target, addresses: &[SocketAddr]) {
        let url = &target.url;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known[place].unknown = None;
        let before = &mut known[place].replicas;
        if before.len() == addresses.len()
            && before.iter().all(|replica| addresses.contains(&replica.address()))
        {
            return;
        }
        let renewed = addresses.iter().filter_map(|address| {
            let same = before.iter().find(|replica| replica.address() == *address).cloned();
            same.or_else(|| Replica::new(target, *address).ok().map(Arc::new))
        });
        *before = renewed.collect();
        if matches!(url.host(), Some(Host::Domain(_))) {
            info!(%url, instances = before.len(), "instances of a service were found");
        }
    }

    fn all(&self) -> Vec<Arc<Replica>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().flat_map(|instances| &instances.replicas).cloned().collect()
    }
}

/// The addresses behind a URL, each once.
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
        Replicas::find(urls.iter().map(|url| target(url)).collect()).await
    }

    #[tokio::test]
    async fn a_name_that_is_unknown_is_told() {
        let reason = replicas(&["http://nowhere.invalid:50051"]).await.check().await.unwrap_err();
        assert!(reason.contains("nowhere.invalid") && reason.contains("INGEST_URL"), "{reason}");
    }

    #[tokio::test]
    async fn without_an_address_there_is_no_instance() {
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
    async fn a_name_stands_for_every_address_behind_it_and_those_that_stay_are_kept() {
        let replicas = replicas(&["http://localhost:1"]).await;
        assert!(replicas.all().iter().all(|replica| replica.address().ip().is_loopback()));
        let url = target("http://localhost:1");
        let [a, b, c] = [1, 2, 3].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        replicas.renew(0, &url, &[a, b]);
        let kept = Arc::clone(&replicas.all()[1]);
        replicas.renew(0, &url, &[b, c]);
        let all = replicas.all();
        assert!(Arc::ptr_eq(&all[0], &kept));
        assert_eq!(all[1].address(), c);
    }
}
