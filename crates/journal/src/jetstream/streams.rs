//! The streams and durable consumers: made, adopted and changed by their owner, ingest, and checked
//! by every other role.

use std::time::Duration;

use async_nats::jetstream::{
    ErrorCode,
    consumer::{self, pull},
    kv,
    stream::{Config, Info},
};
use weir_event::Source;

use super::{
    api::{self, ApiError, Context},
    desired,
    setting::{JournalSetting, SettingState, Shrinking},
    settings_diff,
};
use crate::{DeadLetterStream, JournalError, Ownership, Settings};

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
    differences.extend(put_bucket(context, settings, shrinking).await?);
    for found in differences.iter().filter(|found| found.state == SettingState::Changes) {
        tracing::warn!(difference = %found, "a setting of the journal was otherwise and is changed");
    }
    Ok(differences)
}

/// Every setting, without a change to anything; what is missing or another application's is told as a difference.
///
/// # Errors
/// The server is away.
pub(super) async fn status(
    context: &Context,
    settings: &Settings,
) -> Result<Vec<JournalSetting>, JournalError> {
    let mut found = delivery_status(context, settings).await?;
    let wanted = desired::bucket(settings);
    found.extend(match api::stream_info(context, &wanted.name).await {
        Ok(bucket) => told(
            settings_diff::stream_place(&wanted.name),
            settings_diff::compare_bucket(&bucket.info.config, &wanted, Shrinking::Refused),
        ),
        Err(ApiError::NotFound(_)) => vec![missing(settings_diff::stream_place(&wanted.name))],
        Err(error) => return Err(error.into()),
    });
    Ok(found)
}

/// [`status`] of what frames and letters travel through; the bucket of notes is ingest's alone.
async fn delivery_status(
    context: &Context,
    settings: &Settings,
) -> Result<Vec<JournalSetting>, JournalError> {
    let mut found = Vec::new();
    for wanted in streams(settings) {
        let place = settings_diff::stream_place(&wanted.name);
        found.extend(match api::stream_info(context, &wanted.name).await {
            Ok(stream) => told(place, compare(&stream.info, &wanted, settings)),
            Err(ApiError::NotFound(_)) => vec![missing(place)],
            Err(error) => return Err(error.into()),
        });
    }
    let events = settings.names.events_stream();
    for source in Source::ALL {
        let wanted = desired::consumer(*source, settings);
        let name = settings.names.consumer(*source);
        let place = settings_diff::consumer_place(&name);
        found.extend(match api::consumer_info(context, &events, &name).await {
            Ok(consumer) => {
                told(place, settings_diff::compare_consumer(&consumer.config, &wanted, Shrinking::Refused))
            }
            Err(ApiError::NotFound(_)) => vec![missing(place)],
            Err(error) => return Err(error.into()),
        });
    }
    Ok(found)
}

/// What was compared, or why it could not be.
fn told<T>(place: String, compared: Result<(T, Vec<JournalSetting>), String>) -> Vec<JournalSetting> {
    match compared {
        Ok((_, found)) => found,
        Err(found) => vec![JournalSetting {
            place,
            setting: "owner",
            variable: Some("JOURNAL_PREFIX"),
            wanted: "Weir".to_owned(),
            found,
            state: SettingState::Foreign,
        }],
    }
}

/// What an owner has to set right, while it runs, of everything beside `EVENTS`.
///
/// # Errors
/// [`ApiError::NotFound`] names what is missing.
pub(super) async fn find_others(context: &Context, settings: &Settings) -> Result<Option<String>, ApiError> {
    let [_, graveyards @ ..] = streams(settings);
    for wanted in graveyards {
        let found = api::stream_info(context, &wanted.name).await?.info;
        let compared = told(settings_diff::stream_place(&wanted.name), compare(&found, &wanted, settings));
        if let Some(setting) = compared.into_iter().find(must_be_changed) {
            return Ok(Some(setting.to_string()));
        }
    }
    let wanted = desired::bucket(settings);
    let found = api::stream_info(context, &wanted.name).await?.info.config;
    let compared = settings_diff::compare_bucket(&found, &wanted, Shrinking::Refused);
    let compared = told(settings_diff::stream_place(&wanted.name), compared);
    Ok(compared.into_iter().find(must_be_changed).map(|setting| setting.to_string()))
}

/// What variables choose is changed at a start alone, so that an operator may lower it meanwhile.
fn must_be_changed(found: &JournalSetting) -> bool {
    match found.state {
        SettingState::Changes => found.variable.is_none(),
        SettingState::Foreign => true,
        SettingState::Same | SettingState::Shrinks | SettingState::Paused => false,
    }
}

/// What of `EVENTS` and its consumers an owner has to set right while it runs: somebody gave it an age, took a subject
/// away, or put another stream in its place.
pub(super) fn must_change(found: &Info, consumers: &[consumer::Info], settings: &Settings) -> Option<String> {
    let wanted = desired::events(settings);
    let mut all = told(settings_diff::stream_place(&wanted.name), compare(found, &wanted, settings));
    for (found, source) in consumers.iter().zip(Source::ALL) {
        let compared = settings_diff::compare_consumer(
            &found.config,
            &desired::consumer(*source, settings),
            Shrinking::Refused,
        );
        all.extend(told(settings_diff::consumer_place(&settings.names.consumer(*source)), compared));
    }
    all.into_iter().find(must_be_changed).map(|setting| setting.to_string())
}

/// What an instance that does not own the journal needs of it: `EVENTS` and the consumers are there and are Weir's.
/// Tells which settings differ from its own variables.
///
/// # Errors
/// [`JournalError::Unreachable`] as long as ingest has not made them, [`JournalError::Unusable`] where they are another
/// application's.
pub(super) async fn check(
    context: &Context,
    settings: &Settings,
) -> Result<Vec<JournalSetting>, JournalError> {
    let found = delivery_status(context, settings).await?;
    if let Some(foreign) = found.iter().find(|found| found.state == SettingState::Foreign) {
        return Err(JournalError::Unusable(foreign.to_string()));
    }
    if let Some(missing) = found.iter().find(|found| found.setting == EXISTENCE) {
        return Err(JournalError::Unreachable(format!(
            "the {} is not there: ingest makes it. Does an ingest run with this NATS_URL and JOURNAL_PREFIX?",
            missing.place
        )));
    }
    Ok(found.into_iter().filter(differs_by_choice).collect())
}

/// Whether a variable, set or forgotten, asks for something else than there is, or an operator stopped something.
pub(super) fn differs_by_choice(found: &JournalSetting) -> bool {
    match found.state {
        SettingState::Same => false,
        SettingState::Paused => true,
        SettingState::Changes | SettingState::Shrinks | SettingState::Foreign => found.variable.is_some(),
    }
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
        desired::events(settings),
        desired::graveyard(DeadLetterStream::Parked, settings),
        desired::graveyard(DeadLetterStream::Rejected, settings),
    ]
}

fn compare(
    found: &Info,
    wanted: &Config,
    settings: &Settings,
) -> Result<(Config, Vec<JournalSetting>), String> {
    settings_diff::compare_stream(&found.config, wanted, &settings.names, Shrinking::Refused)
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
                Err(error) => return Err(not_made(context, wanted, "made", error).await),
            }
        }
        Err(error) => return Err(error.into()),
    };
    let compared = settings_diff::compare_stream(&info.config, wanted, &settings.names, shrinking);
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
    update(context, &config).await?;
    Ok(differences)
}

async fn update(context: &Context, config: &Config) -> Result<(), JournalError> {
    let name = &config.name;
    let updated: Result<Info, ApiError> = api::ask(context, format!("STREAM.UPDATE.{name}"), config).await;
    match updated {
        Ok(_) => Ok(()),
        Err(error) => Err(not_made(context, config, "changed", error).await),
    }
}

async fn put_consumer(
    context: &Context,
    source: Source,
    settings: &Settings,
    shrinking: Shrinking,
) -> Result<Vec<JournalSetting>, JournalError> {
    let (events, name) = (settings.names.events_stream(), settings.names.consumer(source));
    let wanted = desired::consumer(source, settings);
    let (config, differences) = match api::consumer_info(context, &events, &name).await {
        Ok(found) => {
            let compared = settings_diff::compare_consumer(&found.config, &wanted, shrinking);
            compared.map_err(JournalError::Unusable)?
        }
        Err(ApiError::NotFound(_)) => (wanted, vec![missing(settings_diff::consumer_place(&name))]),
        Err(error) => return Err(error.into()),
    };
    let changes = |found: &JournalSetting| match found.state {
        SettingState::Same | SettingState::Paused | SettingState::Foreign => false,
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
    let made = put
        .map_err(|error| refused(&settings_diff::consumer_place(name), "can't be made or changed", error))?;
    let config = &made.cached_info().config;
    // A server before 2.10 ignores several filters in silence, and would deliver every source to each collector.
    if settings_diff::filters(&config.filter_subject, &config.filter_subjects) != subjects {
        return Err(JournalError::Unusable(format!(
            "the server ignores the filter subjects of the consumer {name}: it must be nats-server 2.10 or later"
        )));
    }
    Ok(())
}

/// The bucket in which is noted what `EVENTS` holds.
async fn put_bucket(
    context: &Context,
    settings: &Settings,
    shrinking: Shrinking,
) -> Result<Vec<JournalSetting>, JournalError> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let bucket = settings.names.state_bucket();
    let wanted = desired::bucket(settings);
    match api::stream_info(context, &wanted.name).await {
        Ok(found) => {
            let found = found.info.config;
            let compared = settings_diff::compare_bucket(&found, &wanted, shrinking);
            let (config, differences) = compared.map_err(JournalError::Unusable)?;
            if config != found {
                update(context, &config).await?;
            }
            return Ok(differences);
        }
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
        Ok(Ok(_)) => Ok(Vec::new()),
        Ok(Err(error)) => {
            Err(JournalError::Unreachable(format!("the bucket {bucket} can't be made: {error:?}")))
        }
        Err(_elapsed) => Err(JournalError::Unreachable("the server does not answer".to_owned())),
    }
}

/// Another stream may take some of the subjects: then the error names it. `what` is `made` or `changed`.
async fn not_made(context: &Context, wanted: &Config, what: &str, error: ApiError) -> JournalError {
    for subject in &wanted.subjects {
        if let Ok(Some(other)) = api::stream_of(context, subject).await
            && other != wanted.name
        {
            return JournalError::Unusable(format!(
                "the stream {} can't be {what}: the stream {other} takes the subject {subject}. Weir leaves it untouched. \
                 Set JOURNAL_PREFIX, so that Weir's subjects have other names, or change that stream",
                wanted.name
            ));
        }
    }
    refused(&settings_diff::stream_place(&wanted.name), &format!("can't be {what}"), error)
}

fn refused(place: &str, what: &str, error: ApiError) -> JournalError {
    match error {
        ApiError::Refused(refusal) if refusal.error_code() == ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED => {
            JournalError::Unusable(format!(
                "the {place} {what}: {refusal}. JOURNAL_REPLICAS over 1 needs a cluster of at least as many servers"
            ))
        }
        ApiError::Refused(refusal) => {
            JournalError::Unusable(format!("the {place} {what}: {}", api::told(&refusal)))
        }
        error @ (ApiError::Denied(_) | ApiError::NoJetStream(_)) => {
            JournalError::Unusable(format!("the {place} {what}: {error}"))
        }
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
