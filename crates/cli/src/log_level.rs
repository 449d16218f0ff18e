//! `weir log-level`: what a running role logs, for containers that hold no other program to ask with.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Args;
use reqwest::StatusCode;
use weir::process::{
    args::{EXIT_MISCONFIGURED, Environment, Mistakes},
    http_client,
};

use crate::{
    address::reachable,
    failure::{EXIT_FAILED, Outcome, configured},
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
    let mut mistakes = Mistakes::default();
    let text = Some(args.admin_listen.as_str());
    let listens = Environment::Development.listen("ADMIN_LISTEN", text, 0, &mut mistakes);
    let url = format!("http://{}/log-level", reachable(configured(listens, mistakes)?));
    let (status, answer) = ask(&url, args.level).await.with_context(|| format!("{url} does not answer"))?;
    say(answer.trim_end());
    Ok(match status {
        status if status.is_success() => ExitCode::SUCCESS,
        StatusCode::BAD_REQUEST => ExitCode::from(EXIT_MISCONFIGURED),
        _ => ExitCode::from(EXIT_FAILED),
    })
}

async fn ask(url: &str, level: Option<String>) -> reqwest::Result<(StatusCode, String)> {
    let client = http_client::direct_builder().timeout(TIMEOUT).build()?;
    let request = match level {
        Some(level) => client.put(url).body(level),
        None => client.get(url),
    };
    let response = request.send().await?;
    Ok((response.status(), response.text().await?))
}
