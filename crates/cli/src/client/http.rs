//! HTTP clients of tools. The error for a server that can't be used names the setting and the remedy, within
//! 5 s.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use reqwest::{Client, RequestBuilder, StatusCode, header::LOCATION, redirect::Policy};
use serde_json::Value;
use weir_process::{
    diagnosis::{Target, with_diagnosis},
    http_client,
};

use super::address::ADMIN_LISTEN;
use crate::wait::with_wait_notice;

/// An HTTP server that is silent for so long is probed, while it may still answer.
pub(crate) const DIAGNOSE_AFTER: Duration = Duration::from_millis(1_500);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The answer of an HTTP server.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    /// The target of its redirect, if any.
    redirect: Option<String>,
}

/// Makes a client that reports redirects and does not follow them, because a POST would become a GET.
/// Requests to an admin address of this machine never use a proxy.
pub(crate) fn http_client(target: &Target, max_wait: Duration) -> anyhow::Result<Client> {
    let asks_itself = target.setting == ADMIN_LISTEN;
    let builder = if asks_itself { http_client::direct_builder() } else { http_client::builder(&target.url) };
    let builder = builder.timeout(max_wait).connect_timeout(CONNECT_TIMEOUT).redirect(Policy::none());
    builder.build().context("can't make an HTTP client")
}

/// Sends a request and returns the answer, which may take `max_wait`.
///
/// # Errors
/// The address has no HTTP server, or the server does not answer. The cause is known within 5 s; a slow
/// server has all its time.
pub(crate) async fn ask(
    target: &Target,
    max_wait: Duration,
    request: impl FnOnce(&Client) -> RequestBuilder,
) -> anyhow::Result<HttpAnswer> {
    let request = request(&http_client(target, max_wait)?);
    let answer = async {
        let response = request.send().await?;
        let status = response.status();
        let redirect = response.headers().get(LOCATION);
        let redirect = redirect.map(|location| String::from_utf8_lossy(location.as_bytes()).into_owned());
        Ok(HttpAnswer { status, redirect, body: response.bytes().await?.into() })
    };
    let address = target.address();
    match with_wait_notice(&address, with_diagnosis(target, DIAGNOSE_AFTER, answer)).await? {
        Ok(answer) => Ok(answer),
        Err(error) => Err(anyhow!(cause(target, max_wait, &error).await)),
    }
}

/// The cause of a failed request: the server at the address, or the last error if that speaks HTTP.
pub(crate) async fn cause(target: &Target, max_wait: Duration, error: &reqwest::Error) -> String {
    match target.diagnose_http().await {
        Some(unusable) => unusable.to_string(),
        None => broken(target, max_wait, error),
    }
}

/// The cause of a missing answer.
pub(crate) fn broken(target: &Target, max_wait: Duration, error: &reqwest::Error) -> String {
    let (address, setting) = (target.address(), target.setting);
    if error.is_timeout() {
        return format!("{address} gave no answer in {} s ({setting})", max_wait.as_secs());
    }
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let last = causes.last().map_or_else(|| error.to_string(), ToString::to_string);
    format!("the connection to {address} broke ({setting}): {last}")
}

/// Explains an unexpected answer: by the text of a Weir server, or as the answer of another server.
pub(crate) fn explanation(
    target: &Target,
    status: StatusCode,
    body: &[u8],
    redirect: Option<&str>,
) -> String {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    match problem["detail"].as_str().filter(|_| problem["correlationId"].is_string()) {
        Some(detail) => target.refused(status.as_u16(), detail).to_string(),
        None => target.foreign(status.as_u16(), redirect).to_string(),
    }
}

impl HttpAnswer {
    /// Explains an answer that is not the expected one.
    pub(crate) fn explanation(&self, target: &Target) -> anyhow::Error {
        anyhow!(explanation(target, self.status, &self.body, self.redirect.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use weir_process::diagnosis::ServerKind;

    use super::*;

    #[test]
    fn a_problem_of_weir_keeps_its_text_and_a_foreign_page_does_not() {
        let url = "http://edge:3001/events".parse().unwrap();
        let target = Target { url, setting: "EVENT_ENDPOINT", kind: ServerKind::Edge, instance: None };
        let problem = br#"{"status":503,"detail":"the journal is full","correlationId":"c"}"#;
        let message = explanation(&target, StatusCode::SERVICE_UNAVAILABLE, problem, None);
        assert!(
            message.contains("the edge answers 503") && message.contains("the journal is full"),
            "{message}"
        );
        let page = explanation(&target, StatusCode::UNAUTHORIZED, b"<html>", None);
        assert!(page.contains("answers 401, not as the edge does"), "{page}");
    }
}
