//! `weir health`: asks a role whether it is ready, for the health checks of containers.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Args;
use url::Url;
use weir::process::{
    args::{Environment, Mistakes},
    http_client,
};

use crate::{
    address::reachable,
    failure::{EXIT_FAILED, Outcome, configured},
    output::say,
};

/// Shorter than the usual deadlines of container engines, so that this probe and not the engine says what is wrong.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Whom to ask.
#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// The role's admin address, as the role itself is told: HOST:PORT, :PORT or PORT.
    #[arg(long, env = "ADMIN_LISTEN", default_value = "9101", value_name = "ADDRESS")]
    admin_listen: String,
    /// Asks this URL instead, such as http://ingest:9102/health/ready.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

impl HealthArgs {
    /// What this machine listens on is asked directly, whatever its address is.
    async fn ask(&self, url: &Url) -> reqwest::Result<(bool, String)> {
        let asks_itself = self.url.is_none();
        let builder = if asks_itself { http_client::direct_builder() } else { http_client::builder(url) };
        let response = builder.timeout(TIMEOUT).build()?.get(url.clone()).send().await?;
        Ok((response.status().is_success(), response.text().await?))
    }

    fn url(&self, mistakes: &mut Mistakes) -> Option<Url> {
        match &self.url {
            Some(url) => mistakes.check("--url", Url::parse(url)),
            None => {
                let text = Some(self.admin_listen.as_str());
                let listens = Environment::Development.listen("ADMIN_LISTEN", text, 0, mistakes)?;
                let url = format!("http://{}/health/ready", reachable(listens));
                mistakes.check("ADMIN_LISTEN", Url::parse(&url))
            }
        }
    }
}

/// Says what the role answers; fails unless that is a 2xx.
pub(crate) async fn run(args: HealthArgs) -> Outcome {
    let mut mistakes = Mistakes::default();
    let url = configured(args.url(&mut mistakes), mistakes)?;
    let (ready, answer) = args.ask(&url).await.with_context(|| format!("{url} does not answer"))?;
    say(answer.trim_end());
    Ok(if ready { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(admin_listen: &str, url: Option<&str>) -> Result<String, String> {
        let args = HealthArgs { admin_listen: admin_listen.into(), url: url.map(Into::into) };
        let mut mistakes = Mistakes::default();
        let url = args.url(&mut mistakes);
        configured(url, mistakes).map(|url| url.to_string()).map_err(|mistakes| mistakes.to_string())
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
