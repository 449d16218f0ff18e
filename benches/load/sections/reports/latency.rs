//! The latency of report requests, with all data in memory and with none.

use std::{fs, time::Duration};

use tokio::time::Instant;
use weir_testkit::{Weir, eventually};

use super::requests::{ReportKind, ReportRequest};
use crate::{fleet::Fleet, statistics::Latencies};

/// The latencies of one report.
#[derive(Clone, Debug)]
pub(super) struct ReportLatencies {
    pub(super) kind: ReportKind,
    /// By the name of the request.
    pub(super) warm: Vec<(&'static str, Vec<Duration>)>,
    pub(super) cold: Latencies,
}

impl ReportLatencies {
    /// The warm median over all requests.
    pub(super) fn median(&self) -> Duration {
        let all = self.warm.iter().flat_map(|(_, latencies)| latencies.clone()).collect();
        Latencies::new(all).quantile(50)
    }
}

/// A request above this latency is measured only once.
const SLOW: Duration = Duration::from_secs(2);

/// Sends every request so many times, in turn, after one request each to warm up.
pub(super) async fn warm(
    weir: &Weir,
    requests: &[ReportRequest],
    times: usize,
) -> Vec<(&'static str, Vec<Duration>)> {
    let mut latencies = Vec::new();
    for request in requests {
        let first = send(weir, request).await.took;
        let known = if first > SLOW { vec![first] } else { Vec::new() };
        latencies.push((request.name, known));
    }
    let slow: Vec<bool> = latencies.iter().map(|(_, known)| !known.is_empty()).collect();
    for _ in 0..times {
        let repeated = requests.iter().zip(&mut latencies).zip(&slow).filter(|(_, slow)| !**slow);
        for ((request, (_, latencies)), _) in repeated {
            latencies.push(send(weir, request).await.took);
        }
    }
    latencies
}

/// Sends some of the requests once, each to a database that has just started.
pub(super) async fn cold(fleet: &mut Fleet, requests: &[ReportRequest]) -> Latencies {
    /// A restart takes seconds.
    const MOST: usize = 4;
    let mut latencies = Vec::new();
    for request in requests.iter().take(MOST) {
        fleet.postgres.kill();
        drop_page_cache();
        fleet.postgres.start_again().await;
        fleet.weir.ready().await;
        connect_again(&fleet.weir, request.kind).await;
        latencies.push(send(&fleet.weir, request).await.took);
    }
    Latencies::new(latencies)
}

/// Requests an empty range until it is answered. Then the connections to the database exist again, and no data was
/// read.
async fn connect_again(weir: &Weir, kind: ReportKind) {
    let nothing = [("from", "2001-01-01".to_owned()), ("to", "2001-01-01".to_owned())];
    let nothing = ReportRequest { kind, name: "nothing", parameters: nothing.into() };
    eventually(async || match send(weir, &nothing).await {
        Outcome { is_answered: true, .. } => Ok(()),
        none => Err(none),
    })
    .await;
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    took: Duration,
    /// False if the report ran into its timeout.
    is_answered: bool,
}

async fn send(weir: &Weir, request: &ReportRequest) -> Outcome {
    let sent = Instant::now();
    let answer = weir.report(request.kind.name(), &request.parameters).await;
    Outcome { took: sent.elapsed(), is_answered: answer.status.is_success() }
}

/// Drops the kernel's page cache; only root may do so.
fn drop_page_cache() {
    /// Clean pages, dentries and inodes.
    const ALL: &str = "3";
    fs::write("/proc/sys/vm/drop_caches", ALL).ok();
}
