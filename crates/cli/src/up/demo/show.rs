//! What a demonstration shows: events go in, reports come out, and these are the addresses.

use std::{future::Future, ops::RangeInclusive, time::Duration};

use anyhow::{Context as _, ensure};
use tokio::time::{sleep, timeout};
use url::Url;
use weir::{
    contract::reporting::v1::{GetDemographicsRequest, GetEventStatisticsRequest, GetRevenueRequest},
    process::Stop,
};

use crate::{
    output::{grouped, say},
    publish::{self, Mix, Plan},
    report::{self, Client},
    up::roles::Addresses,
};

const PUBLISH_FOR: Duration = Duration::from_secs(10);
/// Events of a batch: moderate, so that an unoptimised build on a small machine keeps up.
const SIZES: RangeInclusive<usize> = 1_000..=5_000;
/// Rows of the longer tables.
const ROWS: u32 = 5;
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long nothing may be stored while something still should.
const PROGRESS_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The demonstration, as the first role of the process.
pub(super) struct Show {
    pub(super) addresses: Addresses,
}

impl Show {
    /// Shows everything, and stays until `stop`.
    ///
    /// # Errors
    /// Something did not come as it should.
    pub(super) async fn run(self, stop: Stop) -> anyhow::Result<()> {
        if let Some(shown) = stop.run_until_cancelled(self.show(&stop)).await {
            shown?;
            stop.cancelled().await;
        }
        Ok(())
    }

    async fn show(&self, stop: &Stop) -> anyhow::Result<()> {
        timeout(READY_WITHIN, self.until_ready()).await.context("the roles did not get ready in 30 s")??;
        say(format_args!("Every role is ready; events are published for {} s", PUBLISH_FOR.as_secs()));
        let summary = publish::publish(self.plan()?, stop.clone()).await?;
        say(&summary);
        let mut client = Client::new(&[self.url(&format!("http://{}", self.addresses.reporting))?])?;
        until_stored(&mut client, summary.accepted).await?;
        say(format_args!("Every one of the {} accepted events is stored", grouped(summary.accepted)));
        say_reports(&mut client).await?;
        say(self.farewell());
        Ok(())
    }

    async fn until_ready(&self) -> anyhow::Result<()> {
        let url = self.url(&format!("http://{}/health/ready", self.addresses.edge))?;
        until(|| async { Ok(reqwest::get(url.clone()).await.is_ok_and(|answer| answer.status().is_success())) })
            .await
    }

    fn plan(&self) -> anyhow::Result<Plan> {
        Ok(Plan {
            endpoint: self.url(&format!("http://{}/events", self.addresses.edge))?,
            mix: Mix { sizes: SIZES, corrupt: 0.1, duplicates: 0.0, late: 0.05 },
            interval: Duration::from_secs(1),
            duration: Some(PUBLISH_FOR),
            seed: rand::random(),
        })
    }
}
