//! The walkthrough of a demonstration: it publishes events, prints the reports, and lists the addresses.

use std::{convert::Infallible, ops::RangeInclusive, time::Duration};

use anyhow::{Context as _, anyhow, ensure};
use tokio::time::{Instant, sleep};
use url::Url;
use weir::contract::reporting::v1::{GetDemographicsRequest, GetEventStatisticsRequest, GetRevenueRequest};
use weir_process::{
    Stop, http_client,
    retry::{Attempt, Retry, RetryError},
};

use crate::{
    client::GrpcServers,
    generator::Mix,
    output::{grouped, print_line, print_own_lines, print_page},
    publish::{self, Plan},
    report::{self, ReportClient},
    up::roles::{Addresses, grpc_url},
};

const PUBLISH_FOR: Duration = Duration::from_secs(10);
/// The sizes of batches, in events: moderate, so that an unoptimised build on a small machine keeps up.
const SIZES: RangeInclusive<usize> = 1_000..=5_000;
/// The rows of the longer tables.
const ROWS: u32 = 5;
const READY_WITHIN: Duration = Duration::from_secs(30);
/// The longest time without progress while events are not stored yet.
const PROGRESS_WITHIN: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(200);

/// The demonstration, as the first role of the process.
pub(super) struct Walkthrough {
    pub(super) addresses: Addresses,
}

impl Walkthrough {
    /// Shows everything, then waits for `stop`.
    ///
    /// # Errors
    /// A step of the demonstration failed.
    pub(super) async fn run(self, stop: Stop) -> anyhow::Result<()> {
        if let Some(shown) = stop.run_until_cancelled(self.show(&stop)).await {
            shown?;
            stop.cancelled().await;
        }
        Ok(())
    }

    async fn show(&self, stop: &Stop) -> anyhow::Result<()> {
        self.until_ready().await?;
        print_line(format_args!("Every role is ready; events are published for {} s", PUBLISH_FOR.as_secs()));
        let summary = publish::publish(self.plan()?, stop.clone()).await?;
        print_page(&summary.page());
        let mut client =
            ReportClient::connect(GrpcServers::own_reporting(grpc_url(self.addresses.reporting)?)).await?;
        until_stored(&mut client, summary.accepted).await?;
        print_line(format_args!("Every one of the {} accepted events is stored", grouped(summary.accepted)));
        say_reports(&mut client).await?;
        print_own_lines(&self.farewell());
        Ok(())
    }

    async fn until_ready(&self) -> anyhow::Result<()> {
        let url = self.edge_url("health/ready")?;
        let ready: Result<(), RetryError<Infallible, ()>> = Retry::every(POLL_EVERY)
            .until(Instant::now() + READY_WITHIN)
            .run(|| async { if is_ready(&url).await { Attempt::Done(()) } else { Attempt::Again(()) } })
            .await;
        ready.map_err(|_| anyhow!("the roles did not get ready in 30 s"))
    }

    fn plan(&self) -> anyhow::Result<Plan> {
        Ok(Plan {
            endpoint: self.edge_url("events")?,
            mix: Mix { sizes: SIZES, corrupt: 0.1, duplicates: 0.0, late: 0.05 },
            interval: Duration::from_secs(1),
            duration: Some(PUBLISH_FOR),
            seed: rand::random(),
            ledger: None,
        })
    }

    fn edge_url(&self, path: &str) -> anyhow::Result<Url> {
        let url = format!("http://{}/{path}", self.addresses.edge);
        Url::parse(&url).with_context(|| format!("{url} is no URL"))
    }

    fn farewell(&self) -> String {
        let Addresses { edge, ingest, reporting } = self.addresses;
        format!(
            "\
Weir is up. Look at
  the HTTP API, to try out     http://{edge}/api
  reports                      http://{edge}/reports/events?groupBy=day
                               http://{edge}/reports/revenue?source=facebook&limit=3
                               http://{edge}/reports/demographics
  what is counted              http://{edge}/metrics
  what depends on what         http://{edge}/health/ready
  gRPC, with reflection        {ingest} (ingest), {reporting} (reporting)

  grpcurl -plaintext -d '{{\"source\":\"SOURCE_TIKTOK\"}}' {reporting} \
weir.reporting.v1.ReportingService/GetEventStatistics
  weir report revenue --limit 3 --reporting-url http://{reporting}

Post events of your own to http://{edge}/events. Ctrl-C ends it and removes its files."
        )
    }
}

async fn is_ready(url: &Url) -> bool {
    let Ok(client) = http_client::builder(url).build() else { return false };
    client.get(url.clone()).send().await.is_ok_and(|answer| answer.status().is_success())
}

/// Waits until `accepted` events are stored, as long as their number grows.
async fn until_stored(client: &mut ReportClient, accepted: u64) -> anyhow::Result<()> {
    let mut stored = 0;
    let mut grew = Instant::now();
    while stored < accepted {
        ensure!(
            grew.elapsed() < PROGRESS_WITHIN,
            "{stored} of {accepted} accepted events are stored, and no more"
        );
        sleep(POLL_EVERY).await;
        let now = client.events(GetEventStatisticsRequest::default()).await?.total_events;
        if now > stored {
            (stored, grew) = (now, Instant::now());
        }
    }
    ensure!(stored == accepted, "{stored} events are stored, and only {accepted} were accepted");
    Ok(())
}

async fn say_reports(client: &mut ReportClient) -> anyhow::Result<()> {
    print_page(&report::events(&client.events(GetEventStatisticsRequest::default()).await?).page());
    let question = GetRevenueRequest { limit: Some(ROWS), ..Default::default() };
    print_page(&report::revenue(&client.revenue(question).await?).page());
    let question = GetDemographicsRequest { limit: Some(ROWS), ..Default::default() };
    print_page(&report::demographics(&client.demographics(question).await?).page());
    Ok(())
}
