//! Requests to the JetStream API, and the meaning of its refusals.

use std::{fmt, ops::Deref};

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

use super::{
    API_TIMEOUT,
    server_errors::{LastServerError, RefusedPermission},
};
use crate::error::JournalError;

/// The context of async-nats, with the errors that the server reports against this client. A server that refuses a request
/// for lack of a permission sends no answer to it, so that the request would wait until its timeout.
#[derive(Clone, Debug)]
pub(super) struct Context {
    context: jetstream::Context,
    server_errors: watch::Receiver<LastServerError>,
    refused_permission: RefusedPermission,
}

impl Context {
    pub(super) fn new(
        context: jetstream::Context,
        server_errors: watch::Receiver<LastServerError>,
        refused_permission: RefusedPermission,
    ) -> Self {
        Self { context, server_errors, refused_permission }
    }

    /// Checks that the server has refused no permission to this client's user within the last minute.
    ///
    /// # Errors
    /// It has refused one.
    pub(super) fn check_permissions(&self) -> Result<(), JournalError> {
        self.refused_permission.recent().map_or(Ok(()), |text| Err(JournalError::Unusable(text)))
    }

    /// The text of an error while the connection is down, with the reason if it is known.
    pub(super) fn unreachable_text(&self) -> String {
        let error = self.server_errors.borrow().clone();
        error.map_or("the server is away".to_owned(), |error| format!("the server is away: {error}"))
    }

    /// Returns the refusal when the server refuses this request, or every answer, for lack of a permission.
    async fn denial(&self, subject: &str) -> String {
        let mut errors = self.server_errors.clone();
        errors.mark_unchanged();
        while errors.changed().await.is_ok() {
            let error = errors.borrow_and_update().clone().unwrap_or_default();
            let is_denial = error.to_lowercase().contains("permissions violation");
            if is_denial && (error.contains(subject) || error.contains("_INBOX")) {
                return error;
            }
        }
        // The connection has ended, and so has the request.
        std::future::pending().await
    }

    /// Waits for an answer of the API, until the timeout or a denial.
    async fn wait_for<T>(&self, subject: &str, answer: impl Future<Output = T>) -> Result<T, ApiError> {
        tokio::select! {
            answer = timeout(API_TIMEOUT, answer) => {
                answer.map_err(|_elapsed| ApiError::Unreachable("the server does not answer".to_owned()))
            }
            denial = self.denial(subject) => Err(ApiError::Denied(denial)),
        }
    }
}

impl Deref for Context {
    type Target = jetstream::Context;

    fn deref(&self) -> &jetstream::Context {
        &self.context
    }
}

/// The reason that a request to the API failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// The stream or consumer does not exist.
    #[error("{0}")]
    NotFound(Error),
    /// The server refuses the request, and would refuse it again.
    #[error("{0}")]
    Refused(Error),
    /// The user lacks the permission for the request.
    #[error("{0}")]
    Denied(String),
    /// The server has no JetStream.
    #[error("{0}")]
    NoJetStream(String),
    /// No final answer: the servers are unreachable, starting, or electing a leader.
    #[error("{0}")]
    Unreachable(String),
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        /// Codes from here on report a fault of the server, which may pass: it has no leader yet, shuts down, lost a race for
        /// a consumer, or has no room.
        const SERVER_ERRORS: usize = 500;
        match error.error_code() {
            ErrorCode::STREAM_NOT_FOUND | ErrorCode::CONSUMER_NOT_FOUND => Self::NotFound(error),
            // A starting cluster lacks peers. A consumer that is created and removed at the same time does not exist for a
            // moment.
            ErrorCode::CLUSTER_NO_PEERS
            | ErrorCode::INSUFFICIENT_RESOURCES
            | ErrorCode::CONSUMER_DOES_NOT_EXIST => Self::Unreachable(describe(&error)),
            // Final answers, although some servers report them as faults of their own: one server keeps one copy only.
            ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED
            | ErrorCode::JETSTREAM_NOT_ENABLED
            | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => Self::Refused(error),
            _ if is_absence(&error) => Self::Refused(error),
            _ if error.code() >= SERVER_ERRORS => Self::Unreachable(describe(&error)),
            _ => Self::Refused(error),
        }
    }
}

impl From<ApiError> for JournalError {
    fn from(error: ApiError) -> Self {
        match error {
            // The owner creates it anew as soon as it observes the loss, so that a later request succeeds.
            ApiError::NotFound(error) => Self::Unreachable(error.to_string()),
            ApiError::Unreachable(reason) => Self::Unreachable(reason),
            ApiError::Refused(error) => Self::Unusable(describe(&error)),
            ApiError::Denied(_) | ApiError::NoJetStream(_) => Self::Unusable(error.to_string()),
        }
    }
}

/// An error of a connection that is down, or of an answer that did not come.
pub(super) fn unreachable(error: impl fmt::Display) -> JournalError {
    JournalError::Unreachable(error.to_string())
}

/// Sends a request to the API and waits for the answer. `subject` comes without the prefix `$JS.API`.
pub(super) async fn request<T: Serialize + Sync, V: DeserializeOwned>(
    context: &Context,
    subject: String,
    payload: &T,
) -> Result<V, ApiError> {
    if context.client().connection_state() != State::Connected {
        return Err(ApiError::Unreachable(context.unreachable_text()));
    }
    let answer = context.request(subject.clone(), payload);
    match context.wait_for(&subject, answer).await? {
        Ok(Response::Ok(answer)) => Ok(answer),
        Ok(Response::Err { error }) => Err(error.into()),
        Err(error) if error.kind() == context::RequestErrorKind::NoResponders => Err(no_responders(context)),
        Err(error) => Err(ApiError::Unreachable(error.to_string())),
    }
}

/// The error of an API without responders: this server has no JetStream, or the cluster has no leader yet.
fn no_responders(context: &Context) -> ApiError {
    let info = context.client().server_info();
    if info.jetstream {
        return ApiError::Unreachable(
            "JetStream does not answer: it starts, this account has none, or NATS_JETSTREAM_DOMAIN names none".to_owned(),
        );
    }
    ApiError::NoJetStream(format!(
        "the server {} of NATS_URL has no JetStream: start it with --jetstream, or with jetstream {{}} in its configuration",
        info.server_name
    ))
}

/// The text of a refusal, with the remedy if a limit of the deployment is the reason.
pub(super) fn describe(error: &Error) -> String {
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

/// The error of something of the journal that could not be made or changed: what `place` names, with the `problem`.
pub(super) fn refusal_error(place: &str, problem: &str, error: ApiError) -> JournalError {
    match error {
        ApiError::Refused(refusal) if refusal.error_code() == ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED => {
            JournalError::Unusable(format!(
                "the {place} {problem}: {refusal}. JOURNAL_REPLICAS over 1 needs a cluster of at least as many servers"
            ))
        }
        ApiError::Refused(refusal) => {
            JournalError::Unusable(format!("the {place} {problem}: {}", describe(&refusal)))
        }
        error @ (ApiError::Denied(_) | ApiError::NoJetStream(_)) => {
            JournalError::Unusable(format!("the {place} {problem}: {error}"))
        }
        ApiError::Unreachable(reason) => {
            JournalError::Unreachable(format!("the {place} {problem}: {reason}"))
        }
        ApiError::NotFound(error) => JournalError::Unreachable(format!("the {place} {problem}: {error}")),
    }
}

/// The information on a stream, with the time of the server's clock.
#[derive(Debug, Deserialize)]
pub(super) struct StreamInfo {
    #[serde(flatten)]
    pub(super) info: stream::Info,
    /// `None` from a server before 2.10.
    #[serde(rename = "ts")]
    pub(super) server_time: Option<DateTime<Utc>>,
}

pub(super) async fn stream_info(context: &Context, stream: &str) -> Result<StreamInfo, ApiError> {
    request(context, format!("STREAM.INFO.{stream}"), &json!({})).await
}

pub(super) async fn consumer_info(
    context: &Context,
    stream: &str,
    consumer: &str,
) -> Result<consumer::Info, ApiError> {
    request(context, format!("CONSUMER.INFO.{stream}.{consumer}"), &json!({})).await
}

/// The name of a stream that has a subject; `None` if none has it.
pub(super) async fn stream_of(context: &Context, subject: &str) -> Result<Option<String>, ApiError> {
    #[derive(Deserialize)]
    struct Found {
        streams: Option<Vec<String>>,
    }
    let found: Found = request(context, "STREAM.NAMES".to_owned(), &json!({ "subject": subject })).await?;
    Ok(found.streams.unwrap_or_default().into_iter().next())
}

/// When the stream stored the first frame of a subject at or after a sequence; `None` if there is none.
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
    let next = json!({ "next_by_subj": subject, "seq": sequence });
    match request::<_, Found>(context, format!("STREAM.MSG.GET.{stream}"), &next).await {
        Ok(found) => Ok(Some(found.message.time)),
        Err(ApiError::Refused(refusal)) if is_absence(&refusal) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes the frames of a subject up to and including a sequence. Returns their number.
pub(super) async fn purge(
    context: &Context,
    stream: &str,
    subject: &str,
    up_to: u64,
) -> Result<u64, ApiError> {
    // `seq` is the first sequence that stays.
    let range = json!({ "filter": subject, "seq": up_to + 1 });
    let purged: stream::PurgeResponse = request(context, format!("STREAM.PURGE.{stream}"), &range).await?;
    Ok(purged.purged)
}

/// Removes a message. A missing message counts as removed.
pub(super) async fn delete(context: &Context, stream: &str, sequence: u64) -> Result<(), ApiError> {
    let deleted: Result<stream::DeleteStatus, ApiError> =
        request(context, format!("STREAM.MSG.DELETE.{stream}"), &json!({ "seq": sequence })).await;
    match deleted {
        Err(ApiError::Refused(refusal)) if is_absence(&refusal) => Ok(()),
        other => other.map(drop),
    }
}

/// Whether the refusal means that the message does not exist.
fn is_absence(refusal: &Error) -> bool {
    match refusal.error_code() {
        ErrorCode::NO_MESSAGE_FOUND | ErrorCode::SEQUENCE_NOT_FOUND => true,
        // The server wraps the error of its store, and only the text identifies it. EOF means: past the last message.
        ErrorCode::STREAM_MESSAGE_DELETE_FAILED => {
            let text = refusal.to_string();
            text.contains("no message found") || text.contains("stream store EOF")
        }
        _ => false,
    }
}

/// Creates a consumer of a stream, or changes it to the wanted configuration.
pub(super) async fn put_consumer(
    context: &Context,
    stream: &str,
    wanted: pull::Config,
) -> Result<consumer::Consumer<pull::Config>, ApiError> {
    let put = context.create_consumer_on_stream(wanted, stream);
    match context.wait_for(&format!("CONSUMER.CREATE.{stream}"), put).await? {
        Ok(consumer) => Ok(consumer),
        Err(error) => match error.kind() {
            ConsumerErrorKind::JetStream(refusal) => Err(refusal.into()),
            _ => Err(ApiError::Unreachable(error.to_string())),
        },
    }
}

/// Removes a consumer. A missing one counts as removed.
pub(super) async fn delete_consumer(context: &Context, stream: &str, consumer: &str) -> Result<(), ApiError> {
    let deleted: Result<stream::DeleteStatus, ApiError> =
        request(context, format!("CONSUMER.DELETE.{stream}.{consumer}"), &json!({})).await;
    match deleted {
        Err(ApiError::NotFound(_)) => Ok(()),
        other => other.map(drop),
    }
}

/// The sequence of the first frame that the stream stored at `since` or later; the next sequence if there is none.
pub(super) async fn first_since(
    context: &Context,
    stream: &str,
    since: DateTime<Utc>,
) -> Result<u64, ApiError> {
    let probe = pull::Config { deliver_policy: DeliverPolicy::ByStartTime { start_time: since }, ..probe() };
    let info = create_probe(context, stream, probe).await?;
    // A new consumer stands just before the first message that it would deliver.
    Ok(info.delivered.stream_sequence + 1)
}

/// The number of frames of these subjects after a sequence.
pub(super) async fn count_after(
    context: &Context,
    stream: &str,
    subjects: Vec<String>,
    sequence: u64,
) -> Result<u64, ApiError> {
    let deliver_policy = DeliverPolicy::ByStartSequence { start_sequence: sequence + 1 };
    let probe = pull::Config { deliver_policy, filter_subjects: subjects, ..probe() };
    Ok(create_probe(context, stream, probe).await?.num_pending)
}

/// A short-lived consumer. Its start position is the answer; it delivers nothing.
fn probe() -> pull::Config {
    pull::Config {
        name: Some(uuid::Uuid::now_v7().to_string()),
        ack_policy: AckPolicy::None,
        inactive_threshold: API_TIMEOUT,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    }
}

async fn create_probe(
    context: &Context,
    stream: &str,
    probe: pull::Config,
) -> Result<consumer::Info, ApiError> {
    let created = put_consumer(context, stream, probe).await?;
    let info = created.cached_info().clone();
    // If the removal fails, the server removes the consumer after its inactive threshold.
    delete_consumer(context, stream, &info.name).await.ok();
    Ok(info)
}
