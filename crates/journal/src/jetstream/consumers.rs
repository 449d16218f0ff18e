//! The durable consumers on the server: made, adopted and changed by their owner.

use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use weir_event::Source;

use super::{
    api::{self, ApiError, Context},
    desired,
    setting::{JournalSetting, SettingState, Shrinking},
    settings_diff,
};
use crate::{error::JournalError, settings::Settings};

/// How often a consumer is made until it begins at the first frame.
const ATTEMPTS: u32 = 5;
/// The pause after a consumer that did not begin there. A server under load has removed the files of the consumer before
/// it by then.
const PAUSE: Duration = Duration::from_millis(500);

/// Creates the consumer of a source, adopts one of an earlier build, and changes its settings as far as `shrinking`
/// allows. Returns every setting of a consumer that was there, as it was before.
///
/// # Errors
/// The consumer is another application's, or the server can't do it now.
pub(super) async fn put(
    context: &Context,
    source: Source,
    settings: &Settings,
    shrinking: Shrinking,
) -> Result<Vec<JournalSetting>, JournalError> {
    let (events, name) = (settings.names.events_stream(), settings.names.consumer(source));
    let wanted = desired::consumer(source, settings);
    let (config, differences) = match api::consumer_info(context, &events, &name).await {
        Ok(found) => settings_diff::compare_consumer(&found.config, &wanted, shrinking)
            .map_err(JournalError::Unusable)?,
        Err(ApiError::NotFound(_)) => {
            create(context, &events, wanted, &name).await?;
            return Ok(Vec::new());
        }
        Err(error) => return Err(error.into()),
    };
    let changes = |found: &JournalSetting| match found.state {
        SettingState::Same | SettingState::Paused | SettingState::Foreign => false,
        SettingState::Changes => true,
        SettingState::Shrinks => shrinking == Shrinking::Allowed,
    };
    if differences.iter().any(changes) {
        write(context, &events, config, &name).await?;
    }
    Ok(differences)
}

/// Creates a consumer that begins at the first frame of its stream.
///
/// nats-server (2.15.1) may give it the position of a consumer of this name that was removed a moment ago, while that
/// one's files are still on its disk. The frames before that position would never be delivered. So such a consumer is
/// removed, and made again. The same happens to one that another ingest made in this moment, if a frame of it was already
/// acknowledged. Such a frame is delivered twice, which collectors allow for.
async fn create(
    context: &Context,
    stream: &str,
    wanted: pull::Config,
    name: &str,
) -> Result<(), JournalError> {
    for _ in 0..ATTEMPTS {
        let floor = write(context, stream, wanted.clone(), name).await?;
        if floor == 0 {
            return Ok(());
        }
        tracing::warn!(consumer = name, floor, "the server began a new consumer where a removed one stood");
        api::delete_consumer(context, stream, name).await?;
        tokio::time::sleep(PAUSE).await;
    }
    Err(JournalError::Unreachable(format!(
        "the server begins the new consumer {name} where a removed one stood"
    )))
}

/// Creates or changes a consumer. Returns how many of its deliveries are acknowledged from the first one on.
async fn write(
    context: &Context,
    stream: &str,
    wanted: pull::Config,
    name: &str,
) -> Result<u64, JournalError> {
    let subjects = wanted.filter_subjects.clone();
    let written = api::put_consumer(context, stream, wanted).await.map_err(|error| {
        api::refusal_error(&settings_diff::consumer_place(name), "can't be made or changed", error)
    })?;
    let info = written.cached_info();
    // A server before 2.10 ignores several filters without an error, and would deliver every source to each collector.
    if settings_diff::filters(&info.config.filter_subject, &info.config.filter_subjects) != subjects {
        return Err(JournalError::Unusable(format!(
            "the server ignores the filter subjects of the consumer {name}: it must be nats-server 2.10 or later"
        )));
    }
    Ok(info.ack_floor.consumer_sequence)
}
