//! `weir report`: asks the reporting service over gRPC, and shows tables or JSON.

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
pub(crate) use client::Client;
use serde::Serialize;
pub(crate) use tables::{Shown, demographics, events, revenue};

use crate::{exit::Outcome, output::say};

#[derive(Debug, Subcommand)]
pub(crate) enum Report {
    /// How many events, by source, funnel stage and type.
    Events(EventsArgs),
    /// How much money, by source and campaign.
    Revenue(RevenueArgs),
    /// Who: distinct users by age, gender, place, followers and device.
    Demographics(DemographicsArgs),
}

pub(crate) async fn run(report: Report) -> Outcome {
    match report {
        Report::Events(args) => {
            let (channel, request) = args.request()?;
            let answer = Client::connect(channel.servers).await?.events(request).await?;
            show(channel.json, || json::events(&answer), || events(&answer))
        }
        Report::Revenue(args) => {
            let (channel, request) = args.request()?;
            let answer = Client::connect(channel.servers).await?.revenue(request).await?;
            show(channel.json, || json::revenue(&answer), || revenue(&answer))
        }
        Report::Demographics(args) => {
            let (channel, request) = args.request()?;
            let answer = Client::connect(channel.servers).await?.demographics(request).await?;
            show(channel.json, || json::demographics(&answer), || demographics(&answer))
        }
    }
}

fn show<Json: Serialize>(
    as_json: bool,
    json: impl FnOnce() -> Json,
    tables: impl FnOnce() -> Shown,
) -> Outcome {
    if as_json {
        say(serde_json::to_string_pretty(&json()).context("the answer can't be written as JSON")?);
    } else {
        say(tables());
    }
    Ok(ExitCode::SUCCESS)
}
