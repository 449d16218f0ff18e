//! The streams and durable consumers of wire.md section 5: created, or checked and brought up to date.

use std::time::Duration;

use async_nats::jetstream::{
    Context,
    consumer::{AckPolicy, DeliverPolicy, ReplayPolicy, pull},
    stream::{Config, DiscardPolicy, Info, RetentionPolicy, StorageType},
};

use super::api::{self, ApiError};
use crate::{
    event::Source,
    journal::{Graveyard, JournalError, Settings, limits, subject},
};

/// It only absorbs the repetitions of one append, which ends within seconds (design.md decision 4).
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// Frames without a verdict over all instances of a collector. Each holds few; but frames of a newer version that wait
/// for a newer collector count too, and at the bound everything else would wait behind them.
const MAX_ACK_PENDING: i64 = 100_000;

pub(super) async fn set_up(context: &Context, settings: &Settings) -> Result<(), JournalError> {
    for wanted in
        [events(settings), graveyard(Graveyard::Parked, settings), graveyard(Graveyard::Rejected, settings)]
    {
        put_stream(context, wanted).await?;
    }
    for source in Source::ALL {
        let name = subject::consumer(*source);
        api::put_consumer(context, consumer(*source, settings)).await.map_err(|error| match error {
            ApiError::Refused(refusal) => {
                JournalError::Unusable(format!("the consumer {name} is set up otherwise: {refusal}"))
            }
            other => other.into(),
        })?;
    }
    Ok(())
}

fn events(settings: &Settings) -> Config {
    Config {
        name: subject::EVENTS.to_owned(),
        subjects: Source::ALL.iter().map(|source| subject::events(*source)).collect(),
        max_age: limits::FRAME_AGE,
        max_bytes: signed(settings.max_bytes),
        discard: DiscardPolicy::New,
        ..stream(settings)
    }
}

fn graveyard(graveyard: Graveyard, settings: &Settings) -> Config {
    let discard = match graveyard {
        Graveyard::Rejected => DiscardPolicy::Old,
        Graveyard::Parked => DiscardPolicy::New,
    };
    Config {
        name: subject::stream(graveyard).to_owned(),
        subjects: vec![subject::all(graveyard).to_owned()],
        max_age: limits::LETTER_AGE,
        max_bytes: signed(limits::GRAVEYARD_BYTES),
        discard,
        ..stream(settings)
    }
}

/// What every stream has in common.
fn stream(settings: &Settings) -> Config {
    Config {
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        num_replicas: settings.replicas,
        duplicate_window: DUPLICATE_WINDOW,
        ..Config::default()
    }
}

/// The durable consumer of a source. It delivers for ever: only storage decides what is given up, and a bound here
/// would be burnt by an outage of the database.
pub(super) fn consumer(source: Source, settings: &Settings) -> pull::Config {
    pull::Config {
        durable_name: Some(subject::consumer(source)),
        filter_subject: subject::events(source),
        deliver_policy: DeliverPolicy::All,
        replay_policy: ReplayPolicy::Instant,
        ack_policy: AckPolicy::Explicit,
        ack_wait: settings.ack_wait,
        max_deliver: -1,
        max_ack_pending: MAX_ACK_PENDING,
        ..pull::Config::default()
    }
}

async fn put_stream(context: &Context, wanted: Config) -> Result<(), JournalError> {
    let name = wanted.name.clone();
    let info = match api::stream_info(context, &name).await {
        Ok(info) => info,
        Err(ApiError::NotFound(_)) => {
            let created: Result<Info, ApiError> =
                api::ask(context, format!("STREAM.CREATE.{name}"), &wanted).await;
            created.map_err(|error| unusable(&name, "can't be created", error))?
        }
        Err(error) => return Err(error.into()),
    };
    let differences = differences(&info.config, &wanted);
    if differences.is_empty() {
        return Ok(());
    }
    let differences = differences.join(", ");
    if info.state.bytes > u64::try_from(wanted.max_bytes).unwrap_or(u64::MAX) {
        // The server would make room by forgetting.
        return Err(JournalError::Unusable(format!(
            "the stream {name} holds {} bytes, more than it may ({differences})",
            info.state.bytes
        )));
    }
    let update = update(info.config, wanted);
    let updated: Result<Info, ApiError> = api::ask(context, format!("STREAM.UPDATE.{name}"), &update).await;
    updated.map_err(|error| unusable(&name, &format!("is set up otherwise ({differences})"), error))?;
    tracing::warn!(stream = name, differences, "a stream of the journal was set up otherwise and is changed");
    Ok(())
}

fn unusable(stream: &str, what: &str, error: ApiError) -> JournalError {
    match error {
        ApiError::Refused(refusal) => {
            JournalError::Unusable(format!("the stream {stream} {what}: {refusal}"))
        }
        other => other.into(),
    }
}

/// What wire.md fixes and the stream has otherwise; the rest (placement, a description) is the operator's.
fn differences(is: &Config, wanted: &Config) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |what: &str, is: String, wanted: String| {
        if is != wanted {
            differences.push(format!("{what} is {is} instead of {wanted}"));
        }
    };
    compare("subjects", format!("{:?}", is.subjects), format!("{:?}", wanted.subjects));
    compare("retention", format!("{:?}", is.retention), format!("{:?}", wanted.retention));
    compare("storage", format!("{:?}", is.storage), format!("{:?}", wanted.storage));
    compare("discard", format!("{:?}", is.discard), format!("{:?}", wanted.discard));
    compare("max_age", format!("{:?}", is.max_age), format!("{:?}", wanted.max_age));
    compare("max_bytes", is.max_bytes.to_string(), wanted.max_bytes.to_string());
    compare("replicas", is.num_replicas.to_string(), wanted.num_replicas.to_string());
    compare(
        "duplicate window",
        format!("{:?}", is.duplicate_window),
        format!("{:?}", wanted.duplicate_window),
    );
    differences
}

/// What wire.md fixes over what the operator chose.
fn update(is: Config, wanted: Config) -> Config {
    Config {
        subjects: wanted.subjects,
        retention: wanted.retention,
        storage: wanted.storage,
        discard: wanted.discard,
        max_age: wanted.max_age,
        max_bytes: wanted.max_bytes,
        num_replicas: wanted.num_replicas,
        duplicate_window: wanted.duplicate_window,
        ..is
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
