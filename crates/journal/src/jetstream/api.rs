//! Questions to the JetStream API, with what its refusals mean to us.

use std::{ops::Deref, time::Duration};

use async_nats::{
    connection::State,
    jetstream::{
        self, Error, ErrorCode,
        consumer::{self, AckPolicy, DeliverPolicy, pull},
        context,
        response::Response,
        stream::{self, ConsumerErrorKind},
    },
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;
use tokio::{sync::watch, time::timeout};

use super::dialer::{Complaint, Dialer, Violation};
use crate::JournalError;

/// How long an answer of the API is waited for. Sending waits too while the connection is away, and async-nats
/// bounds the wait for the answer alone.
const PATIENCE: Duration = Duration::from_secs(5);

/// async-nats' context, which also knows what the server says against this client: a refusal for lack of a right is no
/// answer to the request, which then waits in vain.
#[derive(Clone, Debug)]
pub(super) struct Context {
    context: jetstream::Context,
    complaints: watch::Receiver<Complaint>,
    violation: Violation,
}

impl Context {
    pub(super) fn new(context: jetstream::Context, dialer: &Dialer) -> Self {
        Self { context, complaints: dialer.complaints(), violation: dialer.violation() }
    }

    /// That this client's user may do what it must, as far as the server has said lately.
    ///
    /// # Errors
    /// It may not.
    pub(super) fn check_rights(&self) -> Result<(), JournalError> {
        self.violation.lately().map_or(Ok(()), |told| Err(JournalError::Unusable(told)))
    }

    /// That the connection is away, and why as far as that is known.
    pub(super) fn away(&self) -> String {
        let complaint = self.complaints.borrow().clone();
        complaint
            .map_or("the server is away".to_owned(), |complaint| format!("the server is away: {complaint}"))
    }

    /// Ends when the server refuses `question`, or every answer, for lack of a right.
    async fn denied(&self, question: &str) -> String {
        let mut complaints = self.complaints.clone();
        complaints.mark_unchanged();
        while complaints.changed().await.is_ok() {
            let complaint = complaints.borrow_and_update().clone().unwrap_or_default();
            let is_denied = complaint.to_lowercase().contains("permissions violation");
            if is_denied && (complaint.contains(question) || complaint.contains("_INBOX")) {
                return complaint;
            }
        }
        // The connection has ended, and the request with it.
        std::future::pending().await
    }

    /// Waits for an answer of the API, as long as one may come.
    async fn answered<T>(&self, question: &str, answer: impl Future<Output = T>) -> Result<T, ApiError> {
        tokio::select! {
            answer = timeout(PATIENCE, answer) => {
                answer.map_err(|_elapsed| ApiError::Away("the server does not answer".to_owned()))
            }
            complaint = self.denied(question) => Err(ApiError::Denied(complaint)),
        }
    }
}

impl Deref for Context {
    type Target = jetstream::Context;

    fn deref(&self) -> &jetstream::Context {
        &self.context
    }
}

/// Why the API did not do it.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// The stream or the consumer is not there.
    #[error("{0}")]
    NotFound(Error),
    /// It says no, and will say so again.
    #[error("{0}")]
    Refused(Error),
    /// The user lacks the right to ask.
    #[error("{0}")]
    Denied(String),
    /// No server that keeps a journal is there.
    #[error("{0}")]
    NoJetStream(String),
    /// No answer, or none that is final: servers are starting or electing.
    #[error("{0}")]
    Away(String),
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        /// From here on the server says that the fault is its own, and so not the last word: it has no leader yet, shuts
        /// down, lost a race for a consumer, has no room.
        const SERVER_ERRORS: usize = 500;
        match error.error_code() {
            ErrorCode::STREAM_NOT_FOUND | ErrorCode::CONSUMER_NOT_FOUND => Self::NotFound(error),
            // A cluster that is starting has not all of its peers yet; a consumer that is made and removed at the same time
            // is one that does not exist.
            ErrorCode::CLUSTER_NO_PEERS
            | ErrorCode::INSUFFICIENT_RESOURCES
            | ErrorCode::CONSUMER_DOES_NOT_EXIST => Self::Away(told(&error)),
            // Answers, whatever class a server puts them in: one server keeps one copy, and nothing is there.
            ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED
            | ErrorCode::JETSTREAM_NOT_ENABLED
            | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => Self::Refused(error),
            _ if is_absence(&error) => Self::Refused(error),
            _ if error.code() >= SERVER_ERRORS => Self::Away(told(&error)),
            _ => Self::Refused(error),
        }
    }
}

impl From<ApiError> for JournalError {
    fn from(error: ApiError) -> Self {
        match error {
            // Whoever reads or asks will find it again: it is made anew as soon as its loss is seen.
            ApiError::NotFound(error) => Self::Unreachable(error.to_string()),
            ApiError::Away(reason) => Self::Unreachable(reason),
            ApiError::Refused(error) => Self::Unusable(told(&error)),
            ApiError::Denied(_) | ApiError::NoJetStream(_) => Self::Unusable(error.to_string()),
        }
    }
}

pub(super) async fn ask<T: Serialize + Sync, V: DeserializeOwned>(
    context: &Context,
    question: String,
    payload: &T,
) -> Result<V, ApiError> {
    if context.client().connection_state() != State::Connected {
        return Err(ApiError::Away(context.away()));
    }
    let asked = context.request(question.clone(), payload);
    match context.answered(&question, asked).await? {
        Ok(Response::Ok(answer)) => Ok(answer),
        Ok(Response::Err { error }) => Err(error.into()),
        Err(error) if error.kind() == context::RequestErrorKind::NoResponders => Err(no_responders(context)),
        Err(error) => Err(ApiError::Away(error.to_string())),
    }
}

/// Nobody listens to the API: this server has no JetStream, or none of the cluster's has a leader yet.
fn no_responders(context: &Context) -> ApiError {
    let info = context.client().server_info();
    if info.jetstream {
        return ApiError::Away(
            "JetStream does not answer: it starts, this account has none, or NATS_JETSTREAM_DOMAIN names none".to_owned(),
        );
    }
    ApiError::NoJetStream(format!(
        "the server {} of NATS_URL has no JetStream: start it with --jetstream, or with jetstream {{}} in its configuration",
        info.server_name
    ))
}

/// A refusal of the API, with its remedy where it is one of a deployment's own limits.
pub(super) fn told(error: &Error) -> String {
    let remedy = match error.error_code() {
        ErrorCode::JETSTREAM_NOT_ENABLED => "start nats-server with --jetstream",
        ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
            "enable JetStream for this account in the configuration of nats-server, or in the account's JWT"
        }
        ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::INSUFFICIENT_RESOURCES => {
            "lower JOURNAL_MAX_BYTES (a stream reserves it, and 1 GiB for each dead-letter stream), or raise the limits of the \
             account and max_file_store of nats-server"
        }
        ErrorCode::MAXIMUM_STREAMS_LIMIT | ErrorCode::MAXIMUM_CONSUMERS_LIMIT => {
            "raise the account's limits: Weir needs 4 streams, and 2 consumers of EVENTS with some short-lived ones"
        }
        _ => return error.to_string(),
    };
    format!("{error}: {remedy}")
}

/// What a server tells of a stream, and when by its own clock.
#[derive(Debug, Deserialize)]
pub(super) struct StreamInfo {
    #[serde(flatten)]
    pub(super) info: stream::Info,
    /// A server before 2.10 does not say.
    #[serde(rename = "ts")]
    pub(super) told_at: Option<DateTime<Utc>>,
}

pub(super) async fn stream_info(context: &Context, stream: &str) -> Result<StreamInfo, ApiError> {
    ask(context, format!("STREAM.INFO.{stream}"), &json!({})).await
}

pub(super) async fn consumer_info(
    context: &Context,
    stream: &str,
    consumer: &str,
) -> Result<consumer::Info, ApiError> {
    ask(context, format!("CONSUMER.INFO.{stream}.{consumer}"), &json!({})).await
}

/// The name of a stream that takes a subject; `None` where none does.
pub(super) async fn stream_of(context: &Context, subject: &str) -> Result<Option<String>, ApiError> {
    #[derive(Deserialize)]
    struct Found {
        streams: Option<Vec<String>>,
    }
    let found: Found = ask(context, "STREAM.NAMES".to_owned(), &json!({ "subject": subject })).await?;
    Ok(found.streams.unwrap_or_default().into_iter().next())
}

/// When the first frame of a subject at or after a sequence came in; `None` where there is none.
pub(super) async fn time_of_next(
    context: &Context,
    stream: &str,
    subject: &str,
    sequence: u64,
) -> Result<Option<DateTime<Utc>>, ApiError> {
    #[derive(Deserialize)]
    struct Found {
        message: Message,
    }
    #[derive(Deserialize)]
    struct Message {
        time: DateTime<Utc>,
    }
    let question = format!("STREAM.MSG.GET.{stream}");
    match ask::<_, Found>(context, question, &json!({ "next_by_subj": subject, "seq": sequence })).await {
        Ok(found) => Ok(Some(found.message.time)),
        Err(ApiError::Refused(refusal)) if is_absence(&refusal) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes the frames of a subject up to and including a sequence; says how many there were.
pub(super) async fn purge(
    context: &Context,
    stream: &str,
    subject: &str,
    up_to: u64,
) -> Result<u64, ApiError> {
    let question = format!("STREAM.PURGE.{stream}");
    // The API's bound is the first sequence that stays.
    let purged: stream::PurgeResponse =
        ask(context, question, &json!({ "filter": subject, "seq": up_to + 1 })).await?;
    Ok(purged.purged)
}

/// Removes a message; one that is not there is removed already.
pub(super) async fn delete(context: &Context, stream: &str, sequence: u64) -> Result<(), ApiError> {
    let deleted: Result<stream::DeleteStatus, ApiError> =
        ask(context, format!("STREAM.MSG.DELETE.{stream}"), &json!({ "seq": sequence })).await;
    match deleted {
        Err(ApiError::Refused(refusal)) if is_absence(&refusal) => Ok(()),
        other => other.map(drop),
    }
}

fn is_absence(refusal: &Error) -> bool {
    match refusal.error_code() {
        ErrorCode::NO_MESSAGE_FOUND | ErrorCode::SEQUENCE_NOT_FOUND => true,
        // The server wraps what its store says, and that is all that tells these cases; EOF is past the last message.
        ErrorCode::STREAM_MESSAGE_DELETE_FAILED => {
            let told = refusal.to_string();
            told.contains("no message found") || told.contains("stream store EOF")
        }
        _ => false,
    }
}

/// Creates a consumer of a stream, or changes it to what is wanted.
pub(super) async fn put_consumer(
    context: &Context,
    stream: &str,
    wanted: pull::Config,
) -> Result<consumer::Consumer<pull::Config>, ApiError> {
    let put = context.create_consumer_on_stream(wanted, stream);
    match context.answered(&format!("CONSUMER.CREATE.{stream}"), put).await? {
        Ok(consumer) => Ok(consumer),
        Err(error) => match error.kind() {
            ConsumerErrorKind::JetStream(refusal) => Err(refusal.into()),
            _ => Err(ApiError::Away(error.to_string())),
        },
    }
}

/// The first sequence whose frame came in at `since` or later, or the next one to come.
pub(super) async fn first_since(
    context: &Context,
    stream: &str,
    since: DateTime<Utc>,
) -> Result<u64, ApiError> {
    let probe = pull::Config { deliver_policy: DeliverPolicy::ByStartTime { start_time: since }, ..probe() };
    let info = probed(context, stream, probe).await?;
    // A consumer that has delivered nothing stands just before the first message that it would deliver.
    Ok(info.delivered.stream_sequence + 1)
}

/// How many frames of these subjects lie behind a sequence.
pub(super) async fn frames_behind(
    context: &Context,
    stream: &str,
    subjects: Vec<String>,
    sequence: u64,
) -> Result<u64, ApiError> {
    let deliver_policy = DeliverPolicy::ByStartSequence { start_sequence: sequence + 1 };
    let probe = pull::Config { deliver_policy, filter_subjects: subjects, ..probe() };
    Ok(probed(context, stream, probe).await?.num_pending)
}

/// A consumer that answers one question by where it would begin.
fn probe() -> pull::Config {
    pull::Config {
        name: Some(uuid::Uuid::now_v7().to_string()),
        ack_policy: AckPolicy::None,
        inactive_threshold: PATIENCE,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    }
}

async fn probed(context: &Context, stream: &str, probe: pull::Config) -> Result<consumer::Info, ApiError> {
    let made = put_consumer(context, stream, probe).await?;
    let info = made.cached_info().clone();
    // One that is left behind ends by its age.
    context.delete_consumer_from_stream(&info.name, stream).await.ok();
    Ok(info)
}
