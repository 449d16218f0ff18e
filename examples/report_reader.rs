//! A reader of reports on the generated client: prints the number of events, the revenue and the distinct users.
//!
//! ```sh
//! cargo run --release -- up
//! cargo run --example report_reader -- http://127.0.0.1:50052
//! ```

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::env;

use anyhow::Context as _;
use weir::contract::reporting::v1::{
    GetDemographicsRequest, GetEventStatisticsRequest, GetRevenueRequest, GroupBy,
    reporting_service_client::ReportingServiceClient,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let reporting = env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:50052".to_owned());
    let mut client = ReportingServiceClient::connect(reporting.clone()).await.context(reporting)?;

    let by_day = GetEventStatisticsRequest { group_by: GroupBy::Day.into(), ..Default::default() };
    let statistics = client.get_event_statistics(by_day).await?.into_inner();
    println!("events: {}", statistics.total_events);
    for event in &statistics.events {
        println!("  {} {}: {}", event.source().as_str_name(), event.event_type().as_str_name(), event.count);
    }

    let top_three = GetRevenueRequest { limit: Some(3), ..Default::default() };
    let revenue = client.get_revenue(top_three).await?.into_inner();
    println!("revenue: {} {}", revenue.total_revenue, revenue.currency);
    for campaign in &revenue.campaigns {
        println!("  {}: {}", campaign.campaign_id, campaign.total_revenue);
    }

    let demographics = client.get_demographics(GetDemographicsRequest::default()).await?.into_inner();
    println!("Facebook users: {}", demographics.facebook.map_or(0, |section| section.users));
    println!("TikTok users: {}", demographics.tiktok.map_or(0, |section| section.users));
    Ok(())
}
