//! `weir health`: asks a role for its readiness, for the health checks of containers.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use serde_json::Value;
use url::Url;
use weir_process::{
    args::{ConfigErrors, Environment},
    diagnosis::{ServerKind, Target},
    exit_code,
};

use crate::{
    client::{self, ADMIN_LISTEN, http_url, reachable},
    exit::{CommandResult, configured},
    output::print_json,
};

/// Shorter than the usual deadlines of container engines, so that this command and not the engine reports the
/// cause.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The role to ask.
#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// The role's admin address, as in the role's own setting: HOST:PORT, :PORT or PORT.
    #[arg(long, env = "ADMIN_LISTEN", default_value = "9101", value_name = "ADDRESS")]
    admin_listen: String,
    /// Ask this URL instead, such as http://ingest:9102/health/ready.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

impl HealthArgs {
    fn url(&self, errors: &mut ConfigErrors) -> Option<Url> {
        match &self.url {
            Some(url) => errors.check("--url", http_url(url, "http://ingest:9102/health/ready")),
            None => {
                let text = Some(self.admin_listen.as_str());
                let listens = Environment::Development.listen("ADMIN_LISTEN", text, 0, errors)?;
                let url = format!("http://{}/health/ready", reachable(listens));
                errors.check("ADMIN_LISTEN", Url::parse(&url))
            }
        }
    }
}

/// Shows the answer of the role, and fails unless it is a 2xx.
pub(crate) async fn run(args: HealthArgs) -> CommandResult {
    let mut errors = ConfigErrors::default();
    let url = configured(args.url(&mut errors), errors)?;
    let setting = if args.url.is_some() { "--url" } else { ADMIN_LISTEN };
    let target = Target { url, setting, kind: ServerKind::Admin, instance: None };
    let answer = client::ask(&target, TIMEOUT, |client| client.get(target.url.clone())).await?;
    let message: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if message["ready"].as_bool().or(message["live"].as_bool()).is_none() {
        return Err(answer.explanation(&target).into());
    }
    print_json(String::from_utf8_lossy(&answer.body).trim_end());
    Ok(if answer.status.is_success() { ExitCode::SUCCESS } else { ExitCode::from(exit_code::FAILED) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(admin_listen: &str, url: Option<&str>) -> Result<String, String> {
        let args = HealthArgs { admin_listen: admin_listen.into(), url: url.map(Into::into) };
        let mut errors = ConfigErrors::default();
        let url = args.url(&mut errors);
        configured(url, errors).map(|url| url.to_string()).map_err(|errors| errors.to_string())
    }

    #[test]
    fn the_address_that_a_role_listens_on_is_asked() {
        assert_eq!(url("9102", None), Ok("http://127.0.0.1:9102/health/ready".into()));
        assert_eq!(url("0.0.0.0:9102", None), Ok("http://127.0.0.1:9102/health/ready".into()));
        assert_eq!(url("[::]:9102", None), Ok("http://[::1]:9102/health/ready".into()));
        assert_eq!(url("9102", Some("http://ingest:1/x")), Ok("http://ingest:1/x".into()));
        assert!(url("nowhere:x", None).is_err());
    }
}
