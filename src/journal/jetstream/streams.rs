//! The streams and durable consumers of wire.md section 5: made, adopted and changed by their owner, ingest, and checked
//! by every other role.

use std::time::Duration;

use async_nats::jetstream::{
    Context, ErrorCode,
    consumer::{self, pull},
    kv,
    stream::{Config, Info},
};

use super::{
    api::{self, ApiError},
    settings::{self, JournalSetting, SettingState, Shrinking},
    wanted,
};
use crate::{
    event::Source,
    journal::{Graveyard, JournalError, Ownership, Settings},
};

/// Makes what is missing, adopts what an earlier build left, changes what differs as far as `shrinking` allows; tells
/// every setting as it was.
///
/// # Errors
/// A stream or consumer is another application's, or a server can't do it now. What is done stays done.
pub(super) async fn set_up(
    context: &Context,
    settings: &Settings,
    shrinking: Shrinking,
) -> Result<Vec<JournalSetting>, JournalError> {
    let mut differences = Vec::new();
    for wanted in streams(settings) {
        differences.extend(put_stream(context, &wanted, settings, shrinking).await?);
    }
    for source in Source::ALL {
        differences.extend(put_consumer(context, *source, settings, shrinking).await?);
    }
    put_bucket(context, settings).await?;
    for found in differences.iter().filter(|found| found.state == SettingState::Changes) {
        tracing::warn!(difference = %found, "a setting of the journal was otherwise and is changed");
    }
    Ok(differences)
}

/// Every setting, without a change to anything; what is missing is told as a difference.
///
/// # Errors
/// A stream or consumer is another application's, or the server is away.
pub(super) async fn status(
    context: &Context,
    settings: &Settings,
) -> Result<Vec<JournalSetting>, JournalError> {
    let mut differences = Vec::new();
    for wanted in streams(settings) {
        differences.extend(match api::stream_info(context, &wanted.name).await {
            Ok(found) => compare(&found.info, &wanted, settings)?,
            Err(ApiError::NotFound(_)) => vec![missing(settings::stream_place(&wanted.name))],
            Err(error) => return Err(error.into()),
        });
    }
    let events = settings.names.events_stream();
    for source in Source::ALL {
        let wanted = wanted::consumer(*source, settings);
        let name = settings.names.consumer(*source);
        differences.extend(match api::consumer_info(context, &events, &name).await {
            Ok(found) => {
                let compared = settings::compare_consumer(&found.config, &wanted, Shrinking::Refused);
                compared.map_err(JournalError::Unusable)?.1
            }
            Err(ApiError::NotFound(_)) => vec![missing(settings::consumer_place(&name))],
            Err(error) => return Err(error.into()),
        });
    }
    Ok(differences)
}

/// Whether everything beside `EVENTS` is there.
///
/// # Errors
/// [`ApiError::NotFound`] names what is missing.
pub(super) async fn find_others(context: &Context, settings: &Settings) -> Result<(), ApiError> {
    let names = &settings.names;
    let graveyards = Graveyard::ALL.map(|graveyard| names.graveyard_stream(graveyard));
    for stream in graveyards.into_iter().chain([bucket_stream(&names.state_bucket())]) {
        api::stream_info(context, &stream).await?;
    }
    Ok(())
}

/// As NATS names the stream of a key-value bucket.
fn bucket_stream(bucket: &str) -> String {
    format!("KV_{bucket}")
}

/// What of `EVENTS` and its consumers an owner has to set right while it runs: somebody gave it an age, took a subject
/// away, or put another stream in its place. What variables choose is changed at a start alone, so that an operator may
/// lower it meanwhile.
pub(super) fn must_change(found: &Info, consumers: &[consumer::Info], settings: &Settings) -> Option<String> {
    let changed = || -> Result<Option<JournalSetting>, JournalError> {
        let mut all = compare(found, &wanted::events(settings), settings)?;
        for (found, source) in consumers.iter().zip(Source::ALL) {
            let wanted = wanted::consumer(*source, settings);
            let compared = settings::compare_consumer(&found.config, &wanted, Shrinking::Refused);
            all.extend(compared.map_err(JournalError::Unusable)?.1);
        }
        Ok(all.into_iter().find(|found| found.state == SettingState::Changes && found.variable.is_none()))
    };
    match changed() {
        Ok(changed) => changed.map(|setting| setting.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

/// What an instance that does not own the journal needs of it: `EVENTS` and the consumers are there and are Weir's.
/// Tells which settings differ from its own variables.
///
/// # Errors
/// [`JournalError::Unreachable`] as long as ingest has not made them.
pub(super) async fn check(
    context: &Context,
    settings: &Settings,
) -> Result<Vec<JournalSetting>, JournalError> {
    let found = status(context, settings).await?;
    if let Some(missing) = found.iter().find(|found| found.setting == EXISTENCE) {
        return Err(JournalError::Unreachable(format!(
            "the {} is not there: ingest makes it. Does an ingest run with this NATS_URL and JOURNAL_PREFIX?",
            missing.place
        )));
    }
    Ok(found.into_iter().filter(differs_by_choice).collect())
}

/// Whether a variable, set or forgotten, asks for something else than there is.
pub(super) fn differs_by_choice(found: &JournalSetting) -> bool {
    found.state != SettingState::Same && found.variable.is_some()
}

/// The setting of which [`missing`] tells.
const EXISTENCE: &str = "existence";

fn missing(place: String) -> JournalSetting {
    JournalSetting {
        place,
        setting: EXISTENCE,
        variable: None,
        wanted: "there".to_owned(),
        found: "missing".to_owned(),
        state: SettingState::Changes,
    }
}

fn streams(settings: &Settings) -> [Config; 3] {
    [
        wanted::events(settings),
        wanted::graveyard(Graveyard::Parked, settings),
        wanted::graveyard(Graveyard::Rejected, settings),
    ]
}

fn compare(found: &Info, wanted: &Config, settings: &Settings) -> Result<Vec<JournalSetting>, JournalError> {
    let compared = settings::compare_stream(&found.config, wanted, &settings.names, Shrinking::Refused);
    compared.map(|(_, differences)| differences).map_err(JournalError::Unusable)
}

async fn put_stream(
    context: &Context,
    wanted: &Config,
    settings: &Settings,
    shrinking: Shrinking,
) -> Result<Vec<JournalSetting>, JournalError> {
    let name = &wanted.name;
    let info = match api::stream_info(context, name).await {
        Ok(found) => found.info,
        Err(ApiError::NotFound(_)) => {
            let created: Result<Info, ApiError> =
                api::ask(context, format!("STREAM.CREATE.{name}"), wanted).await;
            match created {
                Ok(created) => created,
                Err(error) => return Err(not_made(context, wanted, error).await),
            }
        }
        Err(error) => return Err(error.into()),
    };
    let compared = settings::compare_stream(&info.config, wanted, &settings.names, shrinking);
    let (config, differences) = compared.map_err(JournalError::Unusable)?;
    if config == info.config {
        return Ok(differences);
    }
    if config.max_bytes > 0 && info.state.bytes > config.max_bytes.cast_unsigned() {
        // The server would make room by forgetting.
        return Err(JournalError::Unusable(format!(
            "the stream {name} holds {} bytes, more than the {} that it shall hold at most (JOURNAL_MAX_BYTES)",
            info.state.bytes, config.max_bytes
        )));
    }
    let updated: Result<Info, ApiError> = api::ask(context, format!("STREAM.UPDATE.{name}"), &config).await;
    updated.map_err(|error| refused(&settings::stream_place(name), "can't be changed", error))?;
    Ok(differences)
}

async fn put_consumer(
    context: &Context,
    source: Source,
    settings: &Settings,
    shrinking: Shrinking,
) -> Result<Vec<JournalSetting>, JournalError> {
    let (events, name) = (settings.names.events_stream(), settings.names.consumer(source));
    let wanted = wanted::consumer(source, settings);
    let (config, differences) = match api::consumer_info(context, &events, &name).await {
        Ok(found) => {
            let compared = settings::compare_consumer(&found.config, &wanted, shrinking);
            compared.map_err(JournalError::Unusable)?
        }
        Err(ApiError::NotFound(_)) => (wanted, vec![missing(settings::consumer_place(&name))]),
        Err(error) => return Err(error.into()),
    };
    let changes = |found: &JournalSetting| match found.state {
        SettingState::Same => false,
        SettingState::Changes => true,
        SettingState::Shrinks => shrinking == Shrinking::Allowed,
    };
    if differences.iter().any(changes) {
        put(context, &events, config, &name).await?;
    }
    Ok(differences.into_iter().filter(|found| found.setting != EXISTENCE).collect())
}

async fn put(context: &Context, stream: &str, wanted: pull::Config, name: &str) -> Result<(), JournalError> {
    let subjects = wanted.filter_subjects.clone();
    let put = api::put_consumer(context, stream, wanted).await;
    let made =
        put.map_err(|error| refused(&settings::consumer_place(name), "can't be made or changed", error))?;
    let config = &made.cached_info().config;
    // A server before 2.10 ignores several filters in silence, and would deliver every source to each collector.
    if settings::filters(&config.filter_subject, &config.filter_subjects) != subjects {
        return Err(JournalError::Unusable(format!(
            "the server ignores the filter subjects of the consumer {name}: it must be nats-server 2.10 or later"
        )));
    }
    Ok(())
}

/// The bucket in which is noted what `EVENTS` holds.
async fn put_bucket(context: &Context, settings: &Settings) -> Result<(), JournalError> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let bucket = settings.names.state_bucket();
    match api::stream_info(context, &bucket_stream(&bucket)).await {
        Ok(_) => return Ok(()),
        Err(ApiError::NotFound(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let wanted = kv::Config {
        bucket: bucket.clone(),
        description: "What Weir notes of EVENTS beside it".to_owned(),
        history: 1,
        num_replicas: settings.replicas,
        ..kv::Config::default()
    };
    match tokio::time::timeout(PATIENCE, context.create_key_value(wanted)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => {
            Err(JournalError::Unreachable(format!("the bucket {bucket} can't be made: {error:?}")))
        }
        Err(_elapsed) => Err(JournalError::Unreachable("the server does not answer".to_owned())),
    }
}

/// Another stream may take some of the subjects: then the error names it.
async fn not_made(context: &Context, wanted: &Config, error: ApiError) -> JournalError {
    for subject in &wanted.subjects {
        if let Ok(Some(other)) = api::stream_of(context, subject).await {
            return JournalError::Unusable(format!(
                "the stream {} can't be made: the stream {other} takes the subject {subject}. Weir leaves it untouched. Set \
                 JOURNAL_PREFIX, so that Weir's subjects have other names, or change that stream",
                wanted.name
            ));
        }
    }
    refused(&settings::stream_place(&wanted.name), "can't be made", error)
}

fn refused(place: &str, what: &str, error: ApiError) -> JournalError {
    match error {
        ApiError::Refused(refusal) if refusal.error_code() == ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED => {
            JournalError::Unusable(format!(
                "the {place} {what}: {refusal}. JOURNAL_REPLICAS over 1 needs a cluster of at least as many servers"
            ))
        }
        ApiError::Refused(refusal) => JournalError::Unusable(format!("the {place} {what}: {refusal}")),
        ApiError::Away(reason) => JournalError::Unreachable(format!("the {place} {what}: {reason}")),
        ApiError::NotFound(error) => JournalError::Unreachable(format!("the {place} {what}: {error}")),
    }
}

/// What this process does with the journal's settings when it connects.
///
/// # Errors
/// As [`set_up`] or [`check`].
pub(super) async fn prepare(
    context: &Context,
    settings: &Settings,
) -> Result<Vec<JournalSetting>, JournalError> {
    match settings.ownership {
        Ownership::Owner => set_up(context, settings, Shrinking::Refused).await,
        Ownership::Guest => check(context, settings).await,
    }
}
