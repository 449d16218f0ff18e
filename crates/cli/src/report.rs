//! `weir report`: asks the reporting service over gRPC, and prints tables or JSON.

mod args;
mod client;
pub(crate) mod filter;
pub(crate) mod names;
mod tables;

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::Context as _;
use args::{DemographicsArgs, EventsArgs, RevenueArgs};
use clap::Subcommand;
pub(crate) use client::ReportClient;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
pub(crate) use tables::{TitledTables, demographics, events, revenue};
use weir_edge::answers::{DemographicsReport, EventReport, RevenueReport};

use crate::{
    exit::CommandResult,
    output::{print_json, print_page},
};

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
            let with_series = !answer.series.is_empty();
            show(options.json, answer, |answer| EventReport::new(answer, with_series), events)
        }
        ReportCommand::Revenue(args) => {
            let (options, request) = args.request()?;
            let answer = ReportClient::connect(options.servers).await?.revenue(request).await?;
            let with_series = !answer.series.is_empty();
            show(options.json, answer, |answer| RevenueReport::new(answer, with_series), revenue)
        }
        ReportCommand::Demographics(args) => {
            let (options, request) = args.request()?;
            let answer = ReportClient::connect(options.servers).await?.demographics(request).await?;
            show(options.json, answer, DemographicsReport::from, demographics)
        }
    }
}

fn show<Answer, Report: Serialize>(
    as_json: bool,
    answer: Answer,
    report: impl FnOnce(Answer) -> Report,
    tables: impl FnOnce(&Answer) -> TitledTables,
) -> CommandResult {
    if as_json {
        print_json(sorted_json(&report(answer)).context("the answer can't be written as JSON")?);
    } else {
        print_page(&tables(&answer).page());
    }
    Ok(ExitCode::SUCCESS)
}

/// Indented JSON that lists the members of every object by name.
fn sorted_json(report: &impl Serialize) -> serde_json::Result<String> {
    let json = SortedJson::parse(&to_raw_value(report)?)?;
    serde_json::to_string_pretty(&json)
}

/// JSON with sorted members. Its scalars are raw, because a `Value` would read a mean as a float and lose digits.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum SortedJson {
    Object(BTreeMap<String, SortedJson>),
    Array(Vec<SortedJson>),
    Scalar(Box<RawValue>),
}

impl SortedJson {
    fn parse(json: &RawValue) -> serde_json::Result<Self> {
        match json.get().as_bytes().first() {
            Some(b'{') => {
                let members: BTreeMap<String, &RawValue> = serde_json::from_str(json.get())?;
                let parse = |(name, value)| Ok((name, Self::parse(value)?));
                Ok(Self::Object(members.into_iter().map(parse).collect::<serde_json::Result<_>>()?))
            }
            Some(b'[') => {
                let elements: Vec<&RawValue> = serde_json::from_str(json.get())?;
                Ok(Self::Array(elements.into_iter().map(Self::parse).collect::<serde_json::Result<_>>()?))
            }
            _ => Ok(Self::Scalar(json.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use weir::contract::reporting::v1::{GetDemographicsResponse, TiktokDemographics};

    use super::*;

    #[test]
    fn members_are_sorted_at_every_depth_and_elements_keep_their_order() {
        let written = sorted_json(&json!({"b": [{"d": null, "c": "\"é\n"}, 2, 1], "a": {}})).unwrap();
        let expected = "{\n  \"a\": {},\n  \"b\": [\n    {\n      \"c\": \"\\\"é\\n\",\n      \"d\": null\n    },\n    2,\n    1\n  ]\n}";
        assert_eq!(written, expected);
    }

    #[test]
    fn a_mean_that_no_float_holds_keeps_its_digits() {
        let tiktok = Some(TiktokDemographics {
            average_followers: 9_007_199_254_740_990.0,
            average_followers_decimal: "9007199254740990.50".into(),
            ..Default::default()
        });
        let answer = GetDemographicsResponse { tiktok, ..Default::default() };
        let written = sorted_json(&DemographicsReport::from(answer)).unwrap();
        assert!(written.contains(r#""averageFollowers": 9007199254740990.5,"#), "{written}");
    }
}
