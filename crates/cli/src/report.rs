//! `weir report`: asks the reporting service over gRPC, and prints tables or JSON.

mod args;
mod client;
pub(crate) mod filter;
mod json;
pub(crate) mod names;
mod tables;

use std::process::ExitCode;

use anyhow::Context as _;
use args::{DemographicsArgs, EventsArgs, RevenueArgs};
use clap::Subcommand;
pub(crate) use client::ReportClient;
use serde::Serialize;
pub(crate) use tables::{TitledTables, demographics, events, revenue};

use crate::{exit::CommandResult, output::print_line};

#[derive(Debug, Subcommand)]
pub(crate) enum ReportCommand {
    /// Count events by source, funnel stage and type.
    Events(EventsArgs),
    /// Sum up revenue by source and campaign.
    Revenue(RevenueArgs),
    /// Count distinct users by age, gender, place, followers and device.
    Demographics(DemographicsArgs),
}

pub(crate) async fn run(report: ReportCommand) -> CommandResult {
    match report {
        ReportCommand::Events(args) => {
            let (options, request) = args.request()?;
            let answer = ReportClient::connect(options.servers).await?.events(request).await?;
            show(options.json, || json::events(&answer), || events(&answer))
        }
        ReportCommand::Revenue(args) => {
            let (options, request) = args.request()?;
            let answer = ReportClient::connect(options.servers).await?.revenue(request).await?;
            show(options.json, || json::revenue(&answer), || revenue(&answer))
        }
        ReportCommand::Demographics(args) => {
            let (options, request) = args.request()?;
            let answer = ReportClient::connect(options.servers).await?.demographics(request).await?;
            show(options.json, || json::demographics(&answer), || demographics(&answer))
        }
    }
}

fn show<Json: Serialize>(
    as_json: bool,
    json: impl FnOnce() -> Json,
    tables: impl FnOnce() -> TitledTables,
) -> CommandResult {
    if as_json {
        print_line(serde_json::to_string_pretty(&json()).context("the answer can't be written as JSON")?);
    } else {
        print_line(tables());
    }
    Ok(ExitCode::SUCCESS)
}
