//! `weir event`: where is my event? As the edge tells it.

mod tables;

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;
use tables::EventTables;
use url::Url;
use weir_edge::answers::{EventLookupAnswer, EventStatus};
use weir_event::Source;
use weir_process::{
    args::{ConfigErrors, Misconfigured},
    reach::{Target, Wanted},
};

use crate::{
    failure::{EXIT_FAILED, Outcome, configured},
    output::say,
    publish::{ENDPOINT, endpoint},
    reach,
};

/// Longer than the edge takes at most before it says what it could not ask.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Which event, and whom to ask.
#[derive(Debug, Args)]
pub(crate) struct EventArgs {
    /// facebook or tiktok.
    #[arg(value_name = "SOURCE")]
    source: String,
    /// The sender's eventId, as the sender writes it.
    #[arg(value_name = "ID")]
    id: String,
    /// Where the edge takes events.
    #[arg(long, env = "EVENT_ENDPOINT", default_value = "http://127.0.0.1:3001/events", value_name = "URL")]
    endpoint: String,
    /// Print the edge's JSON instead of tables.
    #[arg(long)]
    json: bool,
}

/// Says where the event is; fails where it is unknown.
pub(crate) async fn run(args: EventArgs) -> Outcome {
    let url = args.url()?;
    let answer =
        ask(&Target { url, setting: "EVENT_ENDPOINT or --endpoint", wanted: Wanted::Edge, instance: None })
            .await?;
    let lookup: EventLookupAnswer =
        serde_json::from_value(answer.clone()).context("the edge answers in another form")?;
    if args.json {
        // The answer itself, with any member that a newer edge has added.
        say(format_args!("{answer:#}"));
    } else {
        say(EventTables(&lookup));
    }
    let is_found = lookup.status != EventStatus::Unknown;
    Ok(if is_found { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
}

impl EventArgs {
    fn url(&self) -> Result<Url, Misconfigured> {
        let mut mistakes = ConfigErrors::default();
        let endpoint = mistakes.check(ENDPOINT, endpoint(&self.endpoint));
        let source = Source::from_name(&self.source);
        let source = source.ok_or_else(|| format!("'{}' is none of facebook, tiktok", self.source));
        let source = mistakes.check("SOURCE", source);
        // A URL can't say these two: they lead elsewhere, also percent-encoded.
        let id = match self.id.as_str() {
            "" | "." | ".." => Err(format!("'{}' can't be asked for over HTTP", self.id)),
            id => Ok(id),
        };
        let id = mistakes.check("ID", id);
        let url = || {
            let (mut url, source, id) = (endpoint?, source?, id?);
            url.path_segments_mut().ok()?.pop_if_empty().extend([source.name(), id]);
            Some(url)
        };
        configured(url(), mistakes)
    }
}

/// The answer, found or not.
async fn ask(target: &Target) -> anyhow::Result<Value> {
    let answer = reach::ask(target, TIMEOUT, |client| client.get(target.url.clone())).await?;
    let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if value["status"].is_string() { Ok(value) } else { Err(answer.explained(target)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(source: &str, id: &str, endpoint: &str) -> Result<String, String> {
        let args = EventArgs { source: source.into(), id: id.into(), endpoint: endpoint.into(), json: false };
        args.url().map(|url| url.to_string()).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn an_id_is_percent_encoded() {
        let asked = url("facebook", "a/b c?é%2F", "http://edge:1/events/").unwrap();
        assert_eq!(asked, "http://edge:1/events/facebook/a%2Fb%20c%3F%C3%A9%252F");
    }

    #[test]
    fn every_mistake_is_told() {
        let told = url("meta", "..", "edge").unwrap_err();
        for mistake in ["SOURCE", "ID", "EVENT_ENDPOINT"] {
            assert!(told.contains(mistake), "{mistake} is missing in {told}");
        }
    }
}
