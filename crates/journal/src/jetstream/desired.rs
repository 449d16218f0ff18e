//! The desired configuration of streams and consumers, as the owner creates them.

use std::{collections::HashMap, time::Duration};

use async_nats::jetstream::{
    consumer::{AckPolicy, DeliverPolicy, ReplayPolicy, pull},
    stream::{Config, DiscardPolicy, RetentionPolicy, StorageType},
};
use weir_event::Source;

use crate::{dead_letter_stream::DeadLetterStream, limits, names::Names, settings::Settings};

/// The metadata key that marks a stream or consumer as Weir's. Its value is the format of the mark.
pub(super) const MARK: &str = "weir.journal";
const MARK_FORMAT: &str = "1";

/// The window absorbs the repetitions of one append, which ends within seconds.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// The most delivered frames without an acknowledgement, over all instances of a collector. Each instance holds few. But
/// frames of a newer version that wait for a newer collector count too, and at the limit all other frames would wait.
pub(super) const MAX_ACK_PENDING: i64 = 100_000;

/// The stream `EVENTS`.
pub(super) fn events(settings: &Settings) -> Config {
    let names = &settings.names;
    let subjects =
        |of: fn(&Names, Source) -> String| Source::ALL.iter().map(move |source| of(names, *source));
    Config {
        name: names.events_stream(),
        subjects: subjects(Names::events).chain(subjects(Names::erasures)).collect(),
        // A maximum age would remove unacknowledged frames too. Ingest purges old acknowledged frames instead.
        max_age: Duration::ZERO,
        max_bytes: signed(settings.max_bytes),
        discard: DiscardPolicy::New,
        ..common(settings)
    }
}

/// A dead-letter stream.
pub(super) fn dead_letters(stream: DeadLetterStream, settings: &Settings) -> Config {
    let discard = match stream {
        DeadLetterStream::Rejected => DiscardPolicy::Old,
        DeadLetterStream::Parked => DiscardPolicy::New,
    };
    Config {
        name: settings.names.dead_letter_stream(stream),
        subjects: vec![settings.names.all_dead_letters(stream)],
        max_age: limits::DEAD_LETTER_AGE,
        max_bytes: signed(limits::DEAD_LETTER_STREAM_BYTES),
        discard,
        ..common(settings)
    }
}

/// The stream of the bucket of checkpoints, with the settings that are compared.
pub(super) fn bucket(settings: &Settings) -> Config {
    let bucket = settings.names.state_bucket();
    Config {
        name: format!("KV_{bucket}"),
        subjects: vec![format!("$KV.{bucket}.>")],
        num_replicas: settings.replicas,
        ..Config::default()
    }
}

/// The settings that all streams share.
fn common(settings: &Settings) -> Config {
    Config {
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        num_replicas: settings.replicas,
        duplicate_window: DUPLICATE_WINDOW,
        metadata: mark(),
        ..Config::default()
    }
}

fn mark() -> HashMap<String, String> {
    [(MARK.to_owned(), MARK_FORMAT.to_owned())].into()
}

/// The durable consumer of a source. It delivers a frame without a limit of attempts: only the collector gives a frame up.
/// An outage of the database would use up any limit.
pub(super) fn consumer(source: Source, settings: &Settings) -> pull::Config {
    let names = &settings.names;
    pull::Config {
        durable_name: Some(names.consumer(source)),
        filter_subjects: vec![names.events(source), names.erasures(source)],
        deliver_policy: DeliverPolicy::All,
        replay_policy: ReplayPolicy::Instant,
        ack_policy: AckPolicy::Explicit,
        ack_wait: settings.ack_wait,
        max_deliver: -1,
        max_ack_pending: MAX_ACK_PENDING,
        metadata: mark(),
        ..pull::Config::default()
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
