//! `weir event`: looks up one event, through the edge.

mod tables;

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Args;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tables::EventTables;
use url::Url;
use weir_edge::answers::{EventLookupAnswer, EventStatus};
use weir_event::Source;
use weir_process::{
    args::{ConfigErrors, Misconfigured},
    diagnosis::{ServerKind, Target},
    exit_code,
};

use crate::{
    client::{self, EDGE_SETTING, edge_endpoint},
    exit::{CommandResult, configured},
    output::{print_json, print_page},
};

/// Longer than the edge takes at most, including the time to report unreachable services.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The event, and the edge.
#[derive(Debug, Args)]
pub(crate) struct EventArgs {
    /// facebook or tiktok.
    #[arg(value_name = "SOURCE")]
    source: String,
    /// The eventId, as the sender writes it.
    #[arg(value_name = "ID")]
    id: String,
    /// The URL where the edge accepts events.
    #[arg(long, env = "EVENT_ENDPOINT", default_value = "http://127.0.0.1:3001/events", value_name = "URL")]
    endpoint: String,
    /// Print the edge's JSON instead of tables.
    #[arg(long)]
    json: bool,
}

/// What a segment of a path can't have as it is. The crate `url` would leave out line breaks and tabs.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Shows where the event is, and fails if it is unknown.
pub(crate) async fn run(args: EventArgs) -> CommandResult {
    let url = args.url()?;
    let answer =
        ask(&Target { url, setting: "EVENT_ENDPOINT or --endpoint", kind: ServerKind::Edge, instance: None })
            .await?;
    let lookup: EventLookupAnswer =
        serde_json::from_value(answer.clone()).context("the edge answers in another form")?;
    if args.json {
        // The answer itself, with any member that a newer edge has added.
        print_json(&answer);
    } else {
        print_page(&EventTables(&lookup).page());
    }
    let is_found = lookup.status != EventStatus::Unknown;
    Ok(if is_found { ExitCode::SUCCESS } else { ExitCode::from(exit_code::FAILED) })
}

impl EventArgs {
    fn url(&self) -> Result<Url, Misconfigured> {
        let mut errors = ConfigErrors::default();
        let endpoint = errors.check(EDGE_SETTING, edge_endpoint(&self.endpoint));
        let source = Source::from_name(&self.source);
        let source = source.ok_or_else(|| format!("'{}' is none of facebook, tiktok", self.source));
        let source = errors.check("SOURCE", source);
        // A URL can't contain these two as a segment: they lead elsewhere, even if percent-encoded.
        let id = match self.id.as_str() {
            "" | "." | ".." => Err(format!("'{}' can't be asked for over HTTP", self.id)),
            id => Ok(id),
        };
        let id = errors.check("ID", id);
        let url = || {
            let (mut url, source, id) = (endpoint?, source?, id?);
            let id = utf8_percent_encode(id, RESERVED);
            url.set_path(&format!("{}/{}/{id}", url.path().trim_end_matches('/'), source.name()));
            Some(url)
        };
        configured(url(), errors)
    }
}

/// Returns the answer, whether it found the event or not.
async fn ask(target: &Target) -> anyhow::Result<Value> {
    let answer = client::ask(target, TIMEOUT, |client| client.get(target.url.clone())).await?;
    let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if value["status"].is_string() { Ok(value) } else { Err(answer.explanation(target)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(source: &str, id: &str, endpoint: &str) -> Result<String, String> {
        let args = EventArgs { source: source.into(), id: id.into(), endpoint: endpoint.into(), json: false };
        args.url().map(|url| url.to_string()).map_err(|errors| errors.to_string())
    }

    #[test]
    fn an_id_is_percent_encoded() {
        let asked = url("facebook", "a/b c?é%2F", "http://edge:1/events/").unwrap();
        assert_eq!(asked, "http://edge:1/events/facebook/a%2Fb%20c%3F%C3%A9%252F");
        let asked = url("tiktok", "a\n\t\r\u{1b}-._~", "http://edge:1/events").unwrap();
        assert_eq!(asked, "http://edge:1/events/tiktok/a%0A%09%0D%1B-._~");
    }

    #[test]
    fn every_mistake_is_reported() {
        let message = url("meta", "..", "edge").unwrap_err();
        for error in ["SOURCE", "ID", "EVENT_ENDPOINT"] {
            assert!(message.contains(error), "{error} is missing in {message}");
        }
    }
}
