//! `weir log-level`: what a running role logs, for containers that hold no other program to ask with.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Args;
use reqwest::{Client, StatusCode};
use weir_process::{
    args::{ConfigErrors, Environment},
    diagnosis::{Target, Wanted},
    exit_code,
};

use crate::{
    client::{self, ADMIN_LISTEN, reachable},
    exit::{Outcome, configured},
    output::say,
};

const TIMEOUT: Duration = Duration::from_secs(5);

/// Whom to tell what.
#[derive(Debug, Args)]
pub(crate) struct LogLevelArgs {
    /// error, warn, info, debug or trace, or directives such as "info,weir_edge=debug"; without one it is only shown
    /// what is in force.
    #[arg(value_name = "LEVEL")]
    level: Option<String>,
    /// The role's admin address, as the role itself is told: HOST:PORT, :PORT or PORT.
    #[arg(long, env = "ADMIN_LISTEN", default_value = "9101", value_name = "ADDRESS")]
    admin_listen: String,
}

/// Says what is in force then.
pub(crate) async fn run(args: LogLevelArgs) -> Outcome {
    let mut mistakes = ConfigErrors::default();
    let text = Some(args.admin_listen.as_str());
    let listens = Environment::Development.listen("ADMIN_LISTEN", text, 0, &mut mistakes);
    let url = format!("http://{}/log-level", reachable(configured(listens, mistakes)?));
    let url = url.parse().context("an address makes a URL")?;
    let target = Target { url, setting: ADMIN_LISTEN, wanted: Wanted::Admin, instance: None };
    let request = |client: &Client| match args.level {
        Some(level) => client.put(target.url.clone()).body(level),
        None => client.get(target.url.clone()),
    };
    let answer = client::ask(&target, TIMEOUT, request).await?;
    let told = String::from_utf8_lossy(&answer.body);
    if !is_of_weir(answer.status, &told) {
        return Err(answer.explained(&target).into());
    }
    say(told.trim_end());
    Ok(match answer.status {
        status if status.is_success() => ExitCode::SUCCESS,
        StatusCode::BAD_REQUEST => ExitCode::from(exit_code::MISCONFIGURED),
        _ => ExitCode::from(exit_code::FAILED),
    })
}

/// A role answers with one line of text: directives, or what is wrong with them.
fn is_of_weir(status: StatusCode, told: &str) -> bool {
    let told = told.trim();
    let has_answered =
        status.is_success() || matches!(status, StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN);
    has_answered && !told.is_empty() && !told.starts_with(['<', '{']) && told.lines().count() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_another_server_is_no_log_level() {
        assert!(is_of_weir(StatusCode::OK, "info,weir_edge=debug\n"));
        assert!(is_of_weir(StatusCode::BAD_REQUEST, "'loud' is no level\n"));
        assert!(!is_of_weir(StatusCode::OK, "<!doctype html>"));
        assert!(!is_of_weir(StatusCode::NOT_FOUND, "404 page not found"));
        assert!(!is_of_weir(StatusCode::OK, ""));
    }
}
