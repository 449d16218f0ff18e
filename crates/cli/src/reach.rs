//! The way of tools to the servers that they ask: one that can't be used is named with its setting and the remedy, within
//! 5 s, and nobody waits in silence.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use reqwest::{Client, RequestBuilder, StatusCode, header::LOCATION, redirect::Policy};
use serde_json::Value;
use tokio::task::JoinSet;
use tonic::{Code, Response, Status, transport::Channel};
use tonic_types::StatusExt as _;
use url::Url;
use weir_process::{
    Reason,
    args::ConfigErrors,
    grpc, http_client,
    reach::{Target, Wanted, watched},
};

use crate::{address::ADMIN_LISTEN, failure::AskedWrongly, output::complain};

/// An HTTP server that is silent for so long is looked at, while it may still answer.
pub(crate) const QUIET: Duration = Duration::from_millis(1_500);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The gRPC servers that a setting names, instances of one role.
#[derive(Clone, Debug)]
pub(crate) struct Servers {
    urls: Vec<Url>,
    setting: &'static str,
    wanted: Wanted,
}

/// What an HTTP server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    /// Where it leads to, if anywhere.
    redirect: Option<String>,
}

impl Servers {
    /// The instances of ingest.
    pub(crate) fn ingest(text: &str, mistakes: &mut ConfigErrors) -> Option<Self> {
        let urls = mistakes.check("--ingest-url (INGEST_URL)", grpc::addresses(text))?;
        Some(Self { urls, setting: "INGEST_URL or --ingest-url", wanted: Wanted::Ingest })
    }

    /// The instances of reporting.
    pub(crate) fn reporting(text: &str, mistakes: &mut ConfigErrors) -> Option<Self> {
        let urls = mistakes.check("--reporting-url (REPORTING_URL)", grpc::addresses(text))?;
        Some(Self { urls, setting: "REPORTING_URL or --reporting-url", wanted: Wanted::Reporting })
    }

    /// The reporting of this process.
    pub(crate) fn own_reporting(url: Url) -> Self {
        Self { urls: vec![url], setting: "REPORTING_LISTEN", wanted: Wanted::Reporting }
    }

    /// A channel balanced over the instances that can be used; the others are named on standard error.
    ///
    /// # Errors
    /// None can be used; every one is named with its cause.
    pub(crate) async fn connect(&self) -> anyhow::Result<Channel> {
        let mut asked = JoinSet::new();
        for (place, url) in self.urls.iter().cloned().enumerate() {
            let target = Target { url, setting: self.setting, wanted: self.wanted, instance: None };
            asked.spawn(async move { (place, target.serves_grpc().await) });
        }
        let mut answers = asked.join_all().await;
        answers.sort_unstable_by_key(|(place, _)| *place);
        let usable: Vec<Url> = answers
            .iter()
            .filter(|(_, answer)| answer.is_ok())
            .map(|(place, _)| self.urls[*place].clone())
            .collect();
        let causes = answers.into_iter().filter_map(|(_, answer)| answer.err());
        let causes = causes.map(|cause| cause.to_string()).collect::<Vec<_>>();
        if usable.is_empty() {
            return Err(anyhow!(causes.join("\nweir: ")));
        }
        causes.iter().for_each(|cause| complain(format_args!("weir: {cause}; the others are asked")));
        grpc::channel(&usable)
    }

    /// What a status says, each field at fault, and what mends it.
    pub(crate) fn explained(&self, status: &Status) -> anyhow::Error {
        let (name, setting) =
            (if self.wanted == Wanted::Ingest { "ingest" } else { "reporting" }, self.setting);
        let told = status.message();
        match (Reason::of(status), status.code()) {
            (None, Code::Unauthenticated) => anyhow!(
                "{name} refused ({setting}): {told}. Set WEIR_OPERATOR_TOKEN here to the token that {name} was \
                 started with"
            ),
            (None, Code::PermissionDenied) => anyhow!("{name} refused ({setting}): {told}"),
            (None, Code::Unavailable) => anyhow!("{name} can't be reached ({setting}): {told}"),
            (None, Code::Unimplemented) => anyhow!(
                "{name} does not know this call ({setting}): {told}; it is of an older build, or not {name}"
            ),
            (Some(Reason::StoreUnavailable), _) if told.contains("took longer") => anyhow!(
                "{name} refused ({setting}): {told}; ask for a shorter range, or raise REPORT_TIMEOUT_MS of {name}"
            ),
            (Some(Reason::StoreUnavailable | Reason::JournalUnavailable | Reason::JournalFull), _) => {
                anyhow!("{name} refused ({setting}): {told}; its ready probe names the cause")
            }
            (reason, _) => {
                let details = status.get_details_bad_request();
                let fields = details.map_or_else(Vec::new, |details| details.field_violations);
                let fields: String = fields
                    .iter()
                    .map(|field| format!("\n  - {}: {}", field.field, field.description))
                    .collect();
                let told = format!("{name} refused: {told}{fields}");
                if reason == Some(Reason::InvalidRequest) { AskedWrongly(told).into() } else { anyhow!(told) }
            }
        }
    }

    /// The answer, or what the server says against it.
    pub(crate) fn answered<Message>(
        &self,
        answer: Result<Response<Message>, Status>,
    ) -> anyhow::Result<Message> {
        answer.map(Response::into_inner).map_err(|status| self.explained(&status))
    }
}

/// Reads the http:// URL of one HTTP server.
///
/// # Errors
/// It is none; `example` shows one.
pub(crate) fn http_url(text: &str, example: &str) -> Result<Url, String> {
    // What comes before the last @ may be a password.
    let shown = text.rsplit_once('@').map_or_else(|| text.to_owned(), |(_, rest)| format!("…@{rest}"));
    match Url::parse(text) {
        Ok(url) if url.scheme() == "http" && url.has_host() => Ok(url),
        Ok(url) if url.scheme() == "https" => Err(format!(
            "'{shown}': https is not supported; reach the server over http, or a local TLS proxy"
        )),
        _ => Err(format!("'{shown}' is no http:// URL such as {example}")),
    }
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

/// Awaits `answer`, saying on standard error every 5 s that `server` is waited for.
pub(crate) async fn patiently<F: Future>(server: &str, answer: F) -> F::Output {
    crate::place::patiently(server, answer).await
}

#[cfg(test)]
mod tests {
    use weir_process::refuse;

    use super::*;

    fn told(status: &Status) -> String {
        let servers = Servers::ingest("http://ingest:50051", &mut ConfigErrors::default()).unwrap();
        servers.explained(status).to_string()
    }

    #[test]
    fn a_refusal_names_the_setting_that_mends_it() {
        for (status, setting) in [
            (Status::unauthenticated("who are you"), "Set WEIR_OPERATOR_TOKEN"),
            (refuse(Reason::StoreUnavailable, "the report took longer than 30s", &[]), "REPORT_TIMEOUT_MS"),
            (refuse(Reason::StoreUnavailable, "the store can't be read", &[]), "its ready probe"),
            (refuse(Reason::JournalUnavailable, "the journal is away", &[]), "its ready probe"),
            (Status::unavailable("gone"), "INGEST_URL"),
            (refuse(Reason::InvalidRequest, "bad", &[("from", "is after to")]), "from: is after to"),
        ] {
            let told = told(&status);
            assert!(told.contains(setting), "{told}");
        }
    }

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
