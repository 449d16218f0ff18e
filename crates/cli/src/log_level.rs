//! `weir log-level`: shows and changes the log level of a running role, for containers without an HTTP
//! client.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Args;
use reqwest::{Client, StatusCode};
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
        Some(level) => client.put(target.url.clone()).body(level),
        None => client.get(target.url.clone()),
    };
    let answer = client::ask(&target, TIMEOUT, request).await?;
    let message = String::from_utf8_lossy(&answer.body);
    if !is_of_weir(answer.status, &message) {
        return Err(answer.explanation(&target).into());
    }
    print_line(message.trim_end());
    Ok(match answer.status {
        status if status.is_success() => ExitCode::SUCCESS,
        StatusCode::BAD_REQUEST => ExitCode::from(exit_code::MISCONFIGURED),
        _ => ExitCode::from(exit_code::FAILED),
    })
}

/// A role answers with one line of text: its directives, or the error in the requested ones.
fn is_of_weir(status: StatusCode, message: &str) -> bool {
    let message = message.trim();
    let has_answered =
        status.is_success() || matches!(status, StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN);
    has_answered && !message.is_empty() && !message.starts_with(['<', '{']) && message.lines().count() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_another_server_is_not_a_log_level() {
        assert!(is_of_weir(StatusCode::OK, "info,weir_edge=debug\n"));
        assert!(is_of_weir(StatusCode::BAD_REQUEST, "'loud' is no level\n"));
        assert!(!is_of_weir(StatusCode::OK, "<!doctype html>"));
        assert!(!is_of_weir(StatusCode::NOT_FOUND, "404 page not found"));
        assert!(!is_of_weir(StatusCode::OK, ""));
    }
}
