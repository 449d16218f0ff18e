//! Arrays of events, from the first byte to the acknowledgement, compared with the steps alone.

use std::{net::SocketAddr, time::Duration};

use weir_testkit::{Storage, Weir, nats::Nats};

use crate::{
    alone::{self, Server, Step},
    effort::Effort,
    fleet::{FRONT, Fleet},
    loops::{self, Until},
    report::{Report, Row, grouped, milliseconds, percent, rate},
    request_template::RequestTemplate,
    statistics::median,
    usage::CpuTimes,
};

const SIZES: [usize; 2] = [1_000, 10_000];
/// Connections of the closed loop. Fewer already keep two processors busy.
const CONNECTIONS: usize = 4;
/// Connections of the open loop: more than are ever in use at half the rate.
const OPEN_CONNECTIONS: usize = 16;
/// The bar, as a share of the steps' budget.
const LEAST_RATIO: f64 = 0.6;
const LONGEST_P99: Duration = Duration::from_millis(50);

/// The throughput of each step alone, in events a second.
#[derive(Debug)]
struct Alone {
    /// By the size of the array.
    http: [f64; 2],
    grpc: f64,
    jetstream: f64,
    files: f64,
}

pub(super) async fn measure(effort: Effort) -> anyhow::Result<Report> {
    let mut report = Report::begin("arrays: from the post to the acknowledgement");
    let alone = Box::pin(measure_alone(effort, &mut report)).await?;
    let fleet = Fleet::start(FRONT).await;
    let edge = fleet.weir.addresses.edge;
    let mut reached = 0.0;
    for (place, size) in SIZES.iter().enumerate() {
        let before = CpuTimes::now();
        let figures = closed(edge, *size, effort).await?;
        report.note(format!("Processors, arrays of {}: {}.", grouped(*size as f64), before.since()));
        let figure = median(figures);
        if place == 0 {
            reached = figure;
        }
        let budget = budget([alone.http[place], alone.grpc, alone.jetstream]);
        report.add(compared(format!("JetStream, arrays of {}", grouped(*size as f64)), figure, budget));
    }
    add_latencies(&mut report, "JetStream", edge, reached, effort).await?;
    drop(fleet);
    Box::pin(on_files(effort, &alone, &mut report)).await?;
    report.note(
        "JetStream: edge and ingest, frames wait for collectors. Files: `weir up`, which stores meanwhile.",
    );
    Ok(report)
}

async fn measure_alone(effort: Effort, report: &mut Report) -> anyhow::Result<Alone> {
    let folder = tempfile::tempdir()?;
    let mut http = [0.0; 2];
    let server = Server::start(Step::Arrays, folder.path()).await?;
    for (place, size) in SIZES.iter().enumerate() {
        http[place] = median(closed(server.address, *size, effort).await?);
        report.add(Row::new(
            format!("alone: axum and serde, arrays of {}", grouped(*size as f64)),
            rate(http[place]),
        ));
    }
    drop(server);
    let server = Server::start(Step::Grpc, folder.path()).await?;
    let [mut grpc, mut jetstream, mut files] = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..effort.runs() {
        grpc.push(alone::grpc::call(server.address, effort.run()).await?.per_second());
    }
    drop(server);
    let nats = Nats::start().await;
    for _ in 0..effort.runs() {
        jetstream.push(alone::append::to_jetstream(&nats.url(), effort.run()).await?.per_second());
        let folder = tempfile::tempdir()?;
        files.push(alone::append::to_files(folder.path()).await?.per_second());
    }
    let alone = Alone { http, grpc: median(grpc), jetstream: median(jetstream), files: median(files) };
    report.add(Row::new("alone: tonic, 1,000 events a call", rate(alone.grpc)));
    report.add(Row::new("alone: JetStream, frames of 512, sync always", rate(alone.jetstream)));
    report.add(Row::new("alone: the embedded journal, frames of 512", rate(alone.files)));
    Ok(alone)
}

/// Starts `weir up` again for every run: otherwise it would still store the events of the run before.
async fn on_files(effort: Effort, alone: &Alone, report: &mut Report) -> anyhow::Result<()> {
    for (place, size) in SIZES.iter().enumerate() {
        let mut figures = Vec::new();
        for _ in 0..effort.runs() {
            let weir = Weir::up_with(Storage::Files, Vec::new()).await;
            figures.push(once(weir.addresses.edge, *size, effort.run(), 0).await?);
        }
        let figure = median(figures);
        let budget = budget([alone.http[place], alone.grpc, alone.files]);
        report.add(compared(format!("files, arrays of {}", grouped(*size as f64)), figure, budget));
        if place == 0 {
            let weir = Weir::up_with(Storage::Files, Vec::new()).await;
            add_latencies(report, "files", weir.addresses.edge, figure, effort).await?;
        }
    }
    Ok(())
}

/// The throughput of several runs, in events a second.
async fn closed(server: SocketAddr, size: usize, effort: Effort) -> anyhow::Result<Vec<f64>> {
    let mut figures = Vec::new();
    for run in 0..effort.runs() {
        figures.push(once(server, size, effort.run(), run as u64).await?);
    }
    Ok(figures)
}

async fn once(server: SocketAddr, size: usize, duration: Duration, run: u64) -> anyhow::Result<f64> {
    let mut templates = RequestTemplate::arrays(server, CONNECTIONS, size, run);
    Ok(loops::closed(server, &mut templates, Until::Elapsed(duration)).await?.per_second())
}

/// The throughput of all steps one after the other.
fn budget(steps: [f64; 3]) -> f64 {
    1.0 / steps.iter().map(|step| 1.0 / step).sum::<f64>()
}

fn compared(measured: String, figure: f64, budget: f64) -> Row {
    let ratio = figure / budget;
    Row::new(measured, rate(figure))
        .beside(format!("{} of the steps' {}", percent(ratio), rate(budget)))
        .bar(format!("≥ {}", percent(LEAST_RATIO)), ratio >= LEAST_RATIO)
}

async fn add_latencies(
    report: &mut Report,
    ground: &str,
    edge: SocketAddr,
    reached: f64,
    effort: Effort,
) -> anyhow::Result<()> {
    let size = SIZES[0];
    let mut templates = RequestTemplate::arrays(edge, OPEN_CONNECTIONS, size, 9);
    let posts = reached / 2.0 / size as f64;
    let latencies = loops::open(edge, &mut templates, posts, effort.steady()).await?;
    let [p50, p95, p99] = [50, 95, 99].map(|percent| latencies.quantile(percent));
    report.add(
        Row::new(format!("{ground}, arrays of 1,000 at half of that, p99"), milliseconds(p99))
            .beside(format!("p50 {}, p95 {}", milliseconds(p50), milliseconds(p95)))
            .bar(format!("< {}", milliseconds(LONGEST_P99)), p99 < LONGEST_P99),
    );
    Ok(())
}
