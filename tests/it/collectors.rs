//! Collectors between the journal and the store: no frame is lost or stored twice in an outage of either.

mod audited;
mod running_collector;

use std::time::Duration;

use sea_orm::ConnectionTrait;
use weir_event::Source;
use weir_journal::{DeadLetterStream, Journal, Settings};

use running_collector::{RunningCollector, append, journal, settled};
use weir_testkit::{
    database::{Database, accounts_of_all, on_both_databases, refuse, stored_events},
    events::origin,
    eventually::eventually,
    nats::Nats,
};

on_both_databases!(
    frames_from_before_and_after_the_start_are_stored,
    two_collectors_of_one_source_share_its_frames,
    an_outage_of_the_store_is_waited_out_and_makes_no_dead_letter,
    the_one_event_that_the_store_refuses_is_parked,
    a_collector_that_stops_in_an_outage_leaves_its_frames_to_the_next,
);

async fn frames_from_before_and_after_the_start_are_stored(database: Database) {
    let (journal, _folder) = journal().await;
    append(&journal, Source::Facebook, 0..600).await;
    let store = database.migrated().await;
    let running = RunningCollector::start(&journal, &store, Source::ALL);
    append(&journal, Source::Tiktok, 0..700).await;

    settled(&journal).await;
    assert_eq!(stored_events(&store).await.len(), 1_300);
    eventually(
        async || {
            if running.readiness.is_ready() { Ok(()) } else { Err(running.readiness.dependencies()) }
        },
    )
    .await;
    let metrics = running.metrics();
    for line in [
        r#"events_processed_total{service="facebook-collector",source="facebook"} 600"#,
        r#"events_processed_total{service="tiktok-collector",source="tiktok"} 700"#,
        r#"events_duplicate_total{service="tiktok-collector",source="tiktok"} 0"#,
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
    running.stop().await;
}

async fn two_collectors_of_one_source_share_its_frames(database: Database) {
    let (journal, _folder) = journal().await;
    let store = database.migrated().await;
    let both = [
        RunningCollector::start(&journal, &store, &[Source::Facebook]),
        RunningCollector::start(&journal, &database.connect().await, &[Source::Facebook]),
    ];
    for part in 0..20 {
        append(&journal, Source::Facebook, part * 50..part * 50 + 100).await;
    }
    settled(&journal).await;
    assert_eq!(stored_events(&store).await.len(), 1_050);
    let (stored, duplicate, parked) = accounts_of_all(&store).await;
    assert_eq!((stored, duplicate, parked), (1_050, 950, 0));
    for running in both {
        running.stop().await;
    }
}

async fn an_outage_of_the_store_is_waited_out_and_makes_no_dead_letter(database: Database) {
    let (journal, _folder) = journal().await;
    let store = database.migrated().await;
    store.execute_unprepared("ALTER TABLE events RENAME TO away").await.unwrap();
    let running = RunningCollector::start(&journal, &store, &[Source::Tiktok]);
    append(&journal, Source::Tiktok, 0..300).await;
    // Longer than the acknowledgement deadline, which heartbeats extend.
    eventually(async || {
        let failed = running.count("events_failed_total", r#"error_type="transient""#);
        if failed >= 4 * 300 { Ok(()) } else { Err(failed) }
    })
    .await;
    store.execute_unprepared("ALTER TABLE away RENAME TO events").await.unwrap();

    settled(&journal).await;
    assert_eq!(stored_events(&store).await.len(), 300);
    assert_eq!(accounts_of_all(&store).await, (300, 0, 0));
    assert!(journal.dead_letters(DeadLetterStream::Parked, 0, 10).await.unwrap().is_empty());
    running.stop().await;
}

async fn the_one_event_that_the_store_refuses_is_parked(database: Database) {
    let (journal, _folder) = journal().await;
    let store = database.migrated().await;
    refuse(&store, &["00321"]).await;
    let running = RunningCollector::start(&journal, &store, &[Source::Facebook]);
    append(&journal, Source::Facebook, 0..1_000).await;

    settled(&journal).await;
    assert_eq!(stored_events(&store).await.len(), 999);
    assert_eq!(accounts_of_all(&store).await, (999, 0, 1));
    let parked = journal.dead_letters(DeadLetterStream::Parked, 0, 10).await.unwrap();
    assert_eq!(parked.len(), 1);
    let letter = &parked[0].letter;
    assert_eq!((letter.source, letter.event_id.as_deref()), (Some(Source::Facebook), Some("00321")));
    assert!(letter.violations[0].message.contains("not_this_one"), "{:?}", letter.violations);
    assert_eq!(letter.origin.traceparent, origin().traceparent);
    assert_eq!(running.count("events_failed_total", r#"error_type="parked""#), 1);
    assert_eq!(running.count("events_processed_total", "facebook"), 999);
    running.stop().await;
}

async fn a_collector_that_stops_in_an_outage_leaves_its_frames_to_the_next(database: Database) {
    let folder = tempfile::tempdir().unwrap();
    // No frame is redelivered by its deadline: only frames that the first collector hands back are redelivered in
    // time.
    let settings = Settings { ack_wait: Duration::from_secs(600), ..Settings::default() };
    let journal = Journal::open(folder.path(), settings).await.unwrap();
    let store = database.migrated().await;
    store.execute_unprepared("ALTER TABLE events RENAME TO away").await.unwrap();
    let first = RunningCollector::start(&journal, &store, &[Source::Facebook]);
    append(&journal, Source::Facebook, 0..10).await;
    eventually(async || {
        if first.count("events_failed_total", "transient") > 0 { Ok(()) } else { Err("not tried yet") }
    })
    .await;
    first.stop().await;
    store.execute_unprepared("ALTER TABLE away RENAME TO events").await.unwrap();

    let second = RunningCollector::start(&journal, &store, &[Source::Facebook]);
    settled(&journal).await;
    assert_eq!(stored_events(&store).await.len(), 10);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_no_frame_becomes_a_dead_letter_and_the_frames_behind_it_are_stored() {
    let nats = Nats::start().await;
    let journal =
        Journal::connect(&nats.servers(), Settings::default(), Duration::from_secs(10)).await.unwrap();
    let stranger = async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    stranger.publish("events.facebook", "no frame".into()).await.unwrap().await.unwrap();
    append(&journal, Source::Facebook, 0..5).await;

    let store = Database::sqlite().migrated().await;
    let running = RunningCollector::start(&journal, &store, &[Source::Facebook]);
    settled(&journal).await;
    assert_eq!(stored_events(&store).await.len(), 5);
    let parked = journal.dead_letters(DeadLetterStream::Parked, 0, 10).await.unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!(
        (&parked[0].letter.raw[..], parked[0].letter.source),
        (&b"no frame"[..], Some(Source::Facebook))
    );
    running.stop().await;
}
