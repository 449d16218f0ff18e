//! `weir log-level`: shows and changes the log level of a running role, for containers without an HTTP
//! client.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Args;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use weir_process::{
    args::{ConfigErrors, Environment},
    diagnosis::{ServerKind, Target},
    exit_code,
};

use crate::{
    client::{self, ADMIN_LISTEN, reachable},
    exit::{CommandResult, configured},
    output::print_line,
};

const TIMEOUT: Duration = Duration::from_secs(5);

/// The role, and its new level.
#[derive(Debug, Args)]
pub(crate) struct LogLevelArgs {
    /// error, warn, info, debug or trace, or directives such as "info,weir_edge=debug". Without a level the
    /// current one is shown.
    #[arg(value_name = "LEVEL")]
    level: Option<String>,
    /// The role's admin address, as in the role's own setting: HOST:PORT, :PORT or PORT.
    #[arg(long, env = "ADMIN_LISTEN", default_value = "9101", value_name = "ADDRESS")]
    admin_listen: String,
}

/// Shows the directives that are in force afterwards.
pub(crate) async fn run(args: LogLevelArgs) -> CommandResult {
    let mut errors = ConfigErrors::default();
    let text = Some(args.admin_listen.as_str());
    let listens = Environment::Development.listen("ADMIN_LISTEN", text, 0, &mut errors);
    let url = format!("http://{}/log-level", reachable(configured(listens, errors)?));
    let url = url.parse().context("an address makes a URL")?;
    let target = Target { url, setting: ADMIN_LISTEN, kind: ServerKind::Admin, instance: None };
    let request = |client: &Client| match args.level {
        Some(level) => client.put(target.url.clone()).json(&json!({ "level": level })),
        None => client.get(target.url.clone()),
    };
    let answer = client::ask(&target, TIMEOUT, request).await?;
    let Some(message) = message(answer.status, &answer.body) else {
        return Err(answer.explanation(&target).into());
    };
    print_line(message);
    Ok(match answer.status {
        status if status.is_success() => ExitCode::SUCCESS,
        StatusCode::BAD_REQUEST => ExitCode::from(exit_code::MISCONFIGURED),
        _ => ExitCode::from(exit_code::FAILED),
    })
}

/// The line that a role answers: its directives, or the `detail` of the problem that it found. `None` for the answer of
/// another server.
fn message(status: StatusCode, body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let message = match status {
        status if status.is_success() => text.trim().to_owned(),
        StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN => {
            let problem: Value = serde_json::from_str(&text).ok()?;
            problem["detail"].as_str()?.to_owned()
        }
        _ => return None,
    };
    let is_of_weir = !message.is_empty() && !message.starts_with(['<', '{']) && message.lines().count() == 1;
    is_of_weir.then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_another_server_is_not_a_log_level() {
        assert_eq!(
            message(StatusCode::OK, b"info,weir_edge=debug\n").as_deref(),
            Some("info,weir_edge=debug")
        );
        let problem = br#"{"status":400,"detail":"'loud' is no level"}"#;
        assert_eq!(message(StatusCode::BAD_REQUEST, problem).as_deref(), Some("'loud' is no level"));
        for (status, body) in [
            (StatusCode::OK, "<!doctype html>"),
            (StatusCode::OK, ""),
            (StatusCode::OK, r#"{"level":"info"}"#),
            (StatusCode::NOT_FOUND, "404 page not found"),
            (StatusCode::BAD_REQUEST, "bad request"),
            (StatusCode::FORBIDDEN, "{}"),
        ] {
            assert_eq!(message(status, body.as_bytes()), None, "{status} {body}");
        }
    }
}
