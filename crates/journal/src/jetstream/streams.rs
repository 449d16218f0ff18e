//! Streams and durable consumers on the server. Their owner, ingest, creates, adopts and changes them; every other role
//! checks them.

use async_nats::jetstream::{
    consumer, kv,
    stream::{Config, Info},
};
use weir_event::Source;

use super::{
    API_TIMEOUT,
    api::{self, ApiError, Context},
    consumers, desired,
    setting::{JournalSetting, SettingState, Shrinking},
    settings_diff,
};
use crate::{
    dead_letter_stream::DeadLetterStream,
    error::JournalError,
    settings::{Ownership, Settings},
};

/// Creates missing streams and consumers, adopts those of an earlier build, and changes settings as far as `shrinking`
/// allows. Returns every setting as it was before.
///
/// # Errors
/// A stream or consumer is another application's, or the server can't do it now. Earlier changes stay.
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
        differences.extend(consumers::put(context, *source, settings, shrinking).await?);
    }
    differences.extend(put_bucket(context, settings, shrinking).await?);
    for found in differences.iter().filter(|found| found.state == SettingState::Changes) {
        tracing::warn!(difference = %found, "a setting of the journal differed and is changed");
    }
    Ok(differences)
}

/// Reads every setting and changes nothing. A missing stream, and one of another application, is a differing setting.
///
/// # Errors
/// The server is unreachable.
pub(super) async fn status(
    context: &Context,
    settings: &Settings,
) -> Result<Vec<JournalSetting>, JournalError> {
    let mut found = delivery_status(context, settings).await?;
    let wanted = desired::bucket(settings);
    found.extend(match api::stream_info(context, &wanted.name).await {
        Ok(bucket) => or_foreign(
            settings_diff::stream_place(&wanted.name),
            settings_diff::compare_bucket(&bucket.info.config, &wanted, Shrinking::Refused),
        ),
        Err(ApiError::NotFound(_)) => {
            vec![JournalSetting::missing(settings_diff::stream_place(&wanted.name))]
        }
        Err(error) => return Err(error.into()),
    });
    Ok(found)
}

/// [`status`] without the bucket of checkpoints, which only ingest needs.
async fn delivery_status(
    context: &Context,
    settings: &Settings,
) -> Result<Vec<JournalSetting>, JournalError> {
    let mut found = Vec::new();
    for wanted in streams(settings) {
        let place = settings_diff::stream_place(&wanted.name);
        found.extend(match api::stream_info(context, &wanted.name).await {
            Ok(stream) => or_foreign(place, compare(&stream.info, &wanted, settings)),
            Err(ApiError::NotFound(_)) => vec![JournalSetting::missing(place)],
            Err(error) => return Err(error.into()),
        });
    }
    let events = settings.names.events_stream();
    for source in Source::ALL {
        let wanted = desired::consumer(*source, settings);
        let name = settings.names.consumer(*source);
        let place = settings_diff::consumer_place(&name);
        found.extend(match api::consumer_info(context, &events, &name).await {
            Ok(consumer) => or_foreign(
                place,
                settings_diff::compare_consumer(&consumer.config, &wanted, Shrinking::Refused),
            ),
            Err(ApiError::NotFound(_)) => vec![JournalSetting::missing(place)],
            Err(error) => return Err(error.into()),
        });
    }
    Ok(found)
}

/// The compared settings, or one setting that reports another application's stream or consumer.
fn or_foreign<T>(place: String, compared: Result<(T, Vec<JournalSetting>), String>) -> Vec<JournalSetting> {
    match compared {
        Ok((_, found)) => found,
        Err(found) => vec![JournalSetting::foreign(place, found)],
    }
}

/// Finds a setting beside `EVENTS` that the owner must correct while it runs.
///
/// # Errors
/// [`ApiError::NotFound`] names a missing stream.
pub(super) async fn find_wrong_others(
    context: &Context,
    settings: &Settings,
) -> Result<Option<String>, ApiError> {
    let [_, dead_letter_streams @ ..] = streams(settings);
    for wanted in dead_letter_streams {
        let found = api::stream_info(context, &wanted.name).await?.info;
        let place = settings_diff::stream_place(&wanted.name);
        let compared = or_foreign(place, compare(&found, &wanted, settings));
        if let Some(setting) = compared.into_iter().find(must_be_changed) {
            return Ok(Some(setting.to_string()));
        }
    }
    let wanted = desired::bucket(settings);
    let found = api::stream_info(context, &wanted.name).await?.info.config;
    let compared = settings_diff::compare_bucket(&found, &wanted, Shrinking::Refused);
    let compared = or_foreign(settings_diff::stream_place(&wanted.name), compared);
    Ok(compared.into_iter().find(must_be_changed).map(|setting| setting.to_string()))
}

/// Whether the owner corrects the setting while it runs. A setting with a variable changes only at the start, so that an
/// operator may lower it meanwhile.
fn must_be_changed(found: &JournalSetting) -> bool {
    match found.state {
        SettingState::Changes => found.variable.is_none(),
        SettingState::Foreign => true,
        SettingState::Same | SettingState::Shrinks | SettingState::Paused => false,
    }
}

/// Finds a setting of `EVENTS` or its consumers that the owner must correct while it runs: a maximum age, a missing
/// subject, or another application's stream in its place.
pub(super) fn find_wrong_events(
    found: &Info,
    consumers: &[consumer::Info],
    settings: &Settings,
) -> Option<String> {
    let wanted = desired::events(settings);
    let mut all = or_foreign(settings_diff::stream_place(&wanted.name), compare(found, &wanted, settings));
    for (found, source) in consumers.iter().zip(Source::ALL) {
        let compared = settings_diff::compare_consumer(
            &found.config,
            &desired::consumer(*source, settings),
            Shrinking::Refused,
        );
        all.extend(or_foreign(settings_diff::consumer_place(&settings.names.consumer(*source)), compared));
    }
    all.into_iter().find(must_be_changed).map(|setting| setting.to_string())
}

/// Checks for a guest that the streams and consumers exist and are Weir's. Returns the settings that differ from its own
/// variables.
///
/// # Errors
/// [`JournalError::Unreachable`] until ingest has created them, [`JournalError::Unusable`] if one is another
/// application's.
pub(super) async fn check(
    context: &Context,
    settings: &Settings,
) -> Result<Vec<JournalSetting>, JournalError> {
    let found = delivery_status(context, settings).await?;
    if let Some(foreign) = found.iter().find(|found| found.state == SettingState::Foreign) {
        return Err(JournalError::Unusable(foreign.to_string()));
    }
    if let Some(missing) = found.iter().find(|found| found.is_missing()) {
        return Err(JournalError::Unreachable(format!(
            "the {} is not there: ingest makes it. Does an ingest run with this NATS_URL and JOURNAL_PREFIX?",
            missing.place
        )));
    }
    Ok(found.into_iter().filter(differs_by_choice).collect())
}

/// Whether a variable asks for another value than the server has, or an operator has paused a consumer.
pub(super) fn differs_by_choice(found: &JournalSetting) -> bool {
    match found.state {
        SettingState::Same => false,
        SettingState::Paused => true,
        SettingState::Changes | SettingState::Shrinks | SettingState::Foreign => found.variable.is_some(),
    }
}

/// The desired streams, `EVENTS` first.
fn streams(settings: &Settings) -> [Config; 3] {
    [
        desired::events(settings),
        desired::dead_letters(DeadLetterStream::Parked, settings),
        desired::dead_letters(DeadLetterStream::Rejected, settings),
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
                api::request(context, format!("STREAM.CREATE.{name}"), wanted).await;
            match created {
                Ok(created) => created,
                Err(error) => return Err(change_error(context, wanted, "made", error).await),
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
        // The server would drop messages to get below the limit.
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
    let updated: Result<Info, ApiError> =
        api::request(context, format!("STREAM.UPDATE.{name}"), config).await;
    match updated {
        Ok(_) => Ok(()),
        Err(error) => Err(change_error(context, config, "changed", error).await),
    }
}

/// Creates or changes the bucket of checkpoints.
async fn put_bucket(
    context: &Context,
    settings: &Settings,
    shrinking: Shrinking,
) -> Result<Vec<JournalSetting>, JournalError> {
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
    match tokio::time::timeout(API_TIMEOUT, context.create_key_value(wanted)).await {
        Ok(Ok(_)) => Ok(Vec::new()),
        Ok(Err(error)) => {
            Err(JournalError::Unreachable(format!("the bucket {bucket} can't be made: {error:?}")))
        }
        Err(_elapsed) => Err(JournalError::Unreachable("the server does not answer".to_owned())),
    }
}

/// The error of a stream that can't be `made` or `changed`, as `verb` says. It names another stream that has one of the
/// subjects.
async fn change_error(context: &Context, wanted: &Config, verb: &str, error: ApiError) -> JournalError {
    for subject in &wanted.subjects {
        if let Ok(Some(other)) = api::stream_of(context, subject).await
            && other != wanted.name
        {
            return JournalError::Unusable(format!(
                "the stream {} can't be {verb}: the stream {other} takes the subject {subject}. Weir leaves it untouched. \
                 Set JOURNAL_PREFIX, so that Weir's subjects have other names, or change that stream",
                wanted.name
            ));
        }
    }
    api::refusal_error(&settings_diff::stream_place(&wanted.name), &format!("can't be {verb}"), error)
}

/// Sets the journal up as its owner, or checks it as a guest, when this process connects.
///
/// # Errors
/// See [`set_up`] and [`check`].
pub(super) async fn prepare(
    context: &Context,
    settings: &Settings,
) -> Result<Vec<JournalSetting>, JournalError> {
    match settings.ownership {
        Ownership::Owner => set_up(context, settings, Shrinking::Refused).await,
        Ownership::Guest => check(context, settings).await,
    }
}
