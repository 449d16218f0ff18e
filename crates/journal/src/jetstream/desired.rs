//! Streams and consumers as their owner makes them anew.

use std::{collections::HashMap, time::Duration};

use async_nats::jetstream::{
    consumer::{AckPolicy, DeliverPolicy, ReplayPolicy, pull},
    stream::{Config, DiscardPolicy, RetentionPolicy, StorageType},
};
use weir_event::Source;

use crate::{DeadLetterStream, Names, Settings, limits};

/// The key in the metadata of a stream or consumer that says that it is Weir's; its value is the format of the mark.
pub(super) const MARK: &str = "weir.journal";
const MARK_FORMAT: &str = "1";

/// It only absorbs the repetitions of one append, which ends within seconds.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// Frames without a verdict over all instances of a collector. Each holds few; but frames of a newer version that wait
/// for a newer collector count too, and at the bound everything else would wait behind them.
pub(super) const MAX_ACK_PENDING: i64 = 100_000;

/// `EVENTS` as it is made anew.
pub(super) fn events(settings: &Settings) -> Config {
    let names = &settings.names;
    let subjects =
        |of: fn(&Names, Source) -> String| Source::ALL.iter().map(move |source| of(names, *source));
    Config {
        name: names.events_stream(),
        subjects: subjects(Names::events).chain(subjects(Names::erasures)).collect(),
        // Age never removes what waits: what is acknowledged and old is purged by ingest.
        max_age: Duration::ZERO,
        max_bytes: signed(settings.max_bytes),
        discard: DiscardPolicy::New,
        ..stream(settings)
    }
}

/// A graveyard's stream as it is made anew.
pub(super) fn graveyard(graveyard: DeadLetterStream, settings: &Settings) -> Config {
    let discard = match graveyard {
        DeadLetterStream::Rejected => DiscardPolicy::Old,
        DeadLetterStream::Parked => DiscardPolicy::New,
    };
    Config {
        name: settings.names.graveyard_stream(graveyard),
        subjects: vec![settings.names.all_letters(graveyard)],
        max_age: limits::LETTER_AGE,
        max_bytes: signed(limits::GRAVEYARD_BYTES),
        discard,
        ..stream(settings)
    }
}

/// The stream of the bucket in which is noted what `EVENTS` holds, as far as it is compared.
pub(super) fn bucket(settings: &Settings) -> Config {
    let bucket = settings.names.state_bucket();
    Config {
        name: format!("KV_{bucket}"),
        subjects: vec![format!("$KV.{bucket}.>")],
        num_replicas: settings.replicas,
        ..Config::default()
    }
}

/// What every stream has in common.
fn stream(settings: &Settings) -> Config {
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

/// The durable consumer of a source as it is made anew. It delivers for ever: only storage decides what is given up, and
/// a bound here would be burnt by an outage of the database.
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
