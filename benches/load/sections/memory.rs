//! The memory of the roles, the duration of the start, and the size of the binary.

use std::{fs, net::SocketAddr, time::Duration};

use anyhow::ensure;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use weir_testkit::{
    Storage, Weir, ports,
    process::Process,
    weir::{binary, command},
};

use crate::{
    client::Connection,
    effort::Effort,
    fleet::{FLEET, FRONT, Fleet},
    report::{Report, Row, mebibytes, milliseconds},
    request_template::RequestTemplate,
    statistics::median,
    usage::Memory,
};

const MIB: u64 = 1 << 20;
const MOST_IN_FLIGHT: u64 = 160 * MIB;
const MOST_IDLE: u64 = 40 * MIB;
const MOST_IDLE_IN_ONE: u64 = 80 * MIB;
const LONGEST_START: Duration = Duration::from_secs(1);
/// The reference publisher's largest array, about 21 MB.
const LARGEST_ARRAY: usize = 50_000;
const ARRAYS_IN_FLIGHT: usize = 4;
/// The time after which the work of the start has ended.
const REST: Duration = Duration::from_secs(5);

pub(super) async fn measure(effort: Effort) -> anyhow::Result<Report> {
    let mut report = Report::begin("memory, start and size");
    in_flight(&mut report).await?;
    idle_fleet(&mut report).await?;
    idle_in_one(&mut report).await?;
    let mut starts = Vec::new();
    for _ in 0..effort.runs() {
        starts.push(start().await?.as_secs_f64());
    }
    let start = Duration::from_secs_f64(median(starts));
    report.add(
        Row::new("`weir up` on files, from the start to ready", milliseconds(start))
            .bar("< 1 s", start < LONGEST_START),
    );
    let size = mebibytes(fs::metadata(binary())?.len());
    report.add(Row::new("the binary", size).beside("a release build has no debug information"));
    Ok(report)
}

/// The edge under the largest arrays of overlapping posts.
async fn in_flight(report: &mut Report) -> anyhow::Result<()> {
    let mut fleet = Fleet::start(FRONT).await;
    let edge = fleet.weir.addresses.edge;
    let mut posts = JoinSet::new();
    for mut template in RequestTemplate::arrays(edge, ARRAYS_IN_FLIGHT, LARGEST_ARRAY, 0) {
        posts.spawn(async move { Connection::open(edge).await?.post(template.renew()).await });
    }
    while let Some(post) = posts.join_next().await {
        post??;
    }
    for (role, bar) in [("edge", Some(MOST_IN_FLIGHT)), ("ingest", None)] {
        let peak = Memory::of(fleet.weir.id_of(role))?.peak;
        let row = Row::new(format!("{role}, peak of four arrays of 50,000 in flight"), mebibytes(peak));
        report.add(match bar {
            Some(most) => row.bar(format!("< {}", mebibytes(most)), peak < most),
            None => row,
        });
    }
    Ok(())
}

async fn idle_fleet(report: &mut Report) -> anyhow::Result<()> {
    let mut fleet = Fleet::start(FLEET).await;
    sleep(REST).await;
    for (role, _) in FLEET {
        add_idle(report, &format!("{role}, idle"), fleet.weir.id_of(role), MOST_IDLE)?;
    }
    Ok(())
}

async fn idle_in_one(report: &mut Report) -> anyhow::Result<()> {
    let mut weir = Weir::up_with(Storage::Files, Vec::new()).await;
    sleep(REST).await;
    add_idle(report, "`weir up` on files, idle", weir.id_of("up"), MOST_IDLE_IN_ONE)
}

fn add_idle(report: &mut Report, name: &str, pid: u32, most: u64) -> anyhow::Result<()> {
    let now = Memory::of(pid)?.now;
    report.add(Row::new(name, mebibytes(now)).bar(format!("< {}", mebibytes(most)), now < most));
    Ok(())
}

/// The time from the fork to the first ready answer, on an empty folder.
async fn start() -> anyhow::Result<Duration> {
    const TIMEOUT: Duration = Duration::from_secs(30);
    /// Finer than the printed figure.
    const PAUSE: Duration = Duration::from_millis(5);
    let folder = tempfile::tempdir()?;
    let admin = SocketAddr::from(([127, 0, 0, 1], ports::free()));
    let mut up = command(&["up"]);
    up.env("WEIR_DATA_DIR", folder.path().join("data")).env("ADMIN_LISTEN", admin.to_string());
    up.envs(["EDGE_LISTEN", "INGEST_LISTEN", "REPORTING_LISTEN"].map(|listen| (listen, "127.0.0.1:0")));
    let (http, ready) = (reqwest::Client::new(), format!("http://{admin}/health/ready"));
    let started = Instant::now();
    let mut process = Process::start("up", folder.path(), up);
    while !http.get(&ready).send().await.is_ok_and(|answer| answer.status().is_success()) {
        process.assert_alive();
        ensure!(started.elapsed() < TIMEOUT, "not ready within {TIMEOUT:?}");
        sleep(PAUSE).await;
    }
    Ok(started.elapsed())
}
