//! Single events over 64 connections, compared with a bare handler that parses the same JSON.

use std::{net::SocketAddr, time::Duration};

use crate::{
    alone::{Server, Step},
    effort::Effort,
    fleet::{FRONT, Fleet},
    loops::{self, Until},
    report::{Report, Row, milliseconds, rate},
    request_template::RequestTemplate,
    statistics::median,
    usage::{CpuShares, CpuTimes},
};

const CONNECTIONS: usize = 64;
/// Connections of the open loop: more than are ever in use at half the rate.
const OPEN_CONNECTIONS: usize = 256;
const LEAST: f64 = 25_000.0;
/// The bar, as a share of the bare handler's throughput.
const LEAST_RATIO: f64 = 0.5;
const LONGEST_P99: Duration = Duration::from_millis(15);

pub(super) async fn measure(effort: Effort) -> anyhow::Result<Report> {
    let mut report = Report::begin("singles: one event a post, 64 connections");
    let folder = tempfile::tempdir()?;
    let server = Server::start(Step::Singles, folder.path()).await?;
    let (bare, share) = closed(server.address, effort).await?;
    drop(server);
    report.add(Row::new("alone: axum and serde", rate(bare)).beside(client(&share)));
    let fleet = Fleet::start(FRONT).await;
    let edge = fleet.weir.addresses.edge;
    let (figure, share) = closed(edge, effort).await?;
    report.note(format!("Processors: {share}."));
    report.add(
        Row::new("JetStream", rate(figure))
            .beside(client(&share))
            .bar(format!("≥ {}", rate(LEAST)), figure >= LEAST),
    );
    let ratio = figure / bare;
    report.add(
        Row::new("of the bare handler", format!("{ratio:.2}"))
            .bar(format!("≥ {LEAST_RATIO}"), ratio >= LEAST_RATIO),
    );
    let mut templates = RequestTemplate::singles(edge, OPEN_CONNECTIONS, 9);
    let latencies = loops::open(edge, &mut templates, figure / 2.0, effort.steady()).await?;
    let [p50, p95, p99] = [50, 95, 99].map(|percent| latencies.quantile(percent));
    report.add(
        Row::new("at half of that, p99", milliseconds(p99))
            .beside(format!("p50 {}, p95 {}", milliseconds(p50), milliseconds(p95)))
            .bar(format!("< {}", milliseconds(LONGEST_P99)), p99 < LONGEST_P99),
    );
    report.note("Edge and ingest on JetStream; frames wait for collectors. Every event is another one.");
    Ok(report)
}

/// The median throughput of several runs, and the usage of processors.
async fn closed(server: SocketAddr, effort: Effort) -> anyhow::Result<(f64, CpuShares)> {
    let mut figures = Vec::new();
    let before = CpuTimes::now();
    for run in 0..effort.runs() as u64 {
        let mut templates = RequestTemplate::singles(server, CONNECTIONS, run);
        let reached = loops::closed(server, &mut templates, Until::Elapsed(effort.run())).await?;
        figures.push(reached.per_second());
    }
    Ok((median(figures), before.since()))
}

fn client(share: &CpuShares) -> String {
    format!("client {:.2} processors", share.of("client"))
}
