//! HTTP clients of tools. A server that can't be used is named with its setting and the remedy, within 5 s.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use reqwest::{Client, RequestBuilder, StatusCode, header::LOCATION, redirect::Policy};
use serde_json::Value;
use weir_process::{
    diagnosis::{Target, watched},
    http_client,
};

use super::address::ADMIN_LISTEN;
use crate::wait::patiently;

/// An HTTP server that is silent for so long is looked at, while it may still answer.
pub(crate) const QUIET: Duration = Duration::from_millis(1_500);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// What an HTTP server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    /// Where it leads to, if anywhere.
    redirect: Option<String>,
}

/// A client that tells redirects instead of following them: a POST would become a GET. What this machine listens on is
/// asked without a proxy, whatever its address is.
pub(crate) fn client_of(target: &Target, patience: Duration) -> anyhow::Result<Client> {
    let asks_itself = target.setting == ADMIN_LISTEN;
    let builder = if asks_itself { http_client::direct_builder() } else { http_client::builder(&target.url) };
    let builder = builder.timeout(patience).connect_timeout(CONNECT_TIMEOUT).redirect(Policy::none());
    builder.build().context("no HTTP client can be had")
}

/// The answer to a request, at most `patience` away.
///
/// # Errors
/// No HTTP server is there, or it does not answer. The cause is named within 5 s; a server that is slow has its time.
pub(crate) async fn ask(
    target: &Target,
    patience: Duration,
    request: impl FnOnce(&Client) -> RequestBuilder,
) -> anyhow::Result<Answer> {
    let request = request(&client_of(target, patience)?);
    let answer = async {
        let response = request.send().await?;
        let status = response.status();
        let redirect = response.headers().get(LOCATION);
        let redirect = redirect.map(|location| String::from_utf8_lossy(location.as_bytes()).into_owned());
        Ok(Answer { status, redirect, body: response.bytes().await?.into() })
    };
    let address = target.address();
    match patiently(&address, watched(target, QUIET, answer)).await? {
        Ok(answer) => Ok(answer),
        Err(error) => Err(anyhow!(cause(target, patience, &error).await)),
    }
}

/// Why a request to an HTTP server failed: what is at its address, or the last cause where HTTP is spoken there.
pub(crate) async fn cause(target: &Target, patience: Duration, error: &reqwest::Error) -> String {
    match target.is_no_http().await {
        Some(unusable) => unusable.to_string(),
        None => broken(target, patience, error),
    }
}

/// Why an HTTP server's answer did not come.
pub(crate) fn broken(target: &Target, patience: Duration, error: &reqwest::Error) -> String {
    let (address, setting) = (target.address(), target.setting);
    if error.is_timeout() {
        return format!("{address} gave no answer in {} s ({setting})", patience.as_secs());
    }
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let last = causes.last().map_or_else(|| error.to_string(), ToString::to_string);
    format!("the connection to {address} broke ({setting}): {last}")
}

/// What an answer says that is not the wanted one: Weir's own words, or that it is no Weir's.
pub(crate) fn explained(target: &Target, status: StatusCode, body: &[u8], redirect: Option<&str>) -> String {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    match problem["detail"].as_str().filter(|_| problem["correlationId"].is_string()) {
        Some(detail) => target.refused(status.as_u16(), detail).to_string(),
        None => target.foreign(status.as_u16(), redirect).to_string(),
    }
}

impl Answer {
    /// What is wrong where the wanted server does not answer as it is asked for.
    pub(crate) fn explained(&self, target: &Target) -> anyhow::Error {
        anyhow!(explained(target, self.status, &self.body, self.redirect.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use weir_process::diagnosis::Wanted;

    use super::*;

    #[test]
    fn a_problem_of_weir_s_is_told_in_its_words_and_a_page_is_not() {
        let url = "http://edge:3001/events".parse().unwrap();
        let target = Target { url, setting: "EVENT_ENDPOINT", wanted: Wanted::Edge, instance: None };
        let problem = br#"{"status":503,"detail":"the journal is full","correlationId":"c"}"#;
        let told = explained(&target, StatusCode::SERVICE_UNAVAILABLE, problem, None);
        assert!(told.contains("the edge answers 503") && told.contains("the journal is full"), "{told}");
        let page = explained(&target, StatusCode::UNAUTHORIZED, b"<html>", None);
        assert!(page.contains("answers 401, not as the edge does"), "{page}");
    }
}
