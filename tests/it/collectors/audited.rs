//! The audit of a collector: acknowledged frames are settled in the store, or counted as unaccounted.

use sea_orm::{ConnectionTrait as _, DatabaseConnection, EntityTrait as _};
use weir_collectors::store::{Store, Submission};
use weir_database::entity::{audits, settled_frames, unaccounted_frames};
use weir_event::Source;
use weir_journal::{Content, Delivery, Journal};
use weir_testkit::{
    database::{Database, on_both_databases, refuse},
    eventually::eventually,
};

use super::running_collector::{RunningCollector, append, journal, settled};

on_both_databases!(
    stored_and_parked_frames_are_accounted_for_and_their_records_are_folded,
    a_frame_that_is_acknowledged_and_not_stored_is_unaccounted_for_every_collector,
    a_frame_that_a_build_without_positions_stored_is_accounted_for,
    an_audit_begins_after_the_frames_that_were_acknowledged_before,
);

async fn stored_and_parked_frames_are_accounted_for_and_their_records_are_folded(database: Database) {
    let (journal, _folder) = journal().await;
    let store = database.migrated().await;
    refuse(&store, &["00007"]).await;
    let running = begun(&journal, &store).await;
    for part in 0..5 {
        append(&journal, Source::Facebook, part * 10..part * 10 + 10).await;
        append(&journal, Source::Tiktok, part * 10..part * 10 + 10).await;
    }
    settled(&journal).await;
    audited(&journal, &store).await;
    assert_eq!(settled_frames::Entity::find().all(&store).await.unwrap(), []);
    assert_eq!(unaccounted_frames::Entity::find().all(&store).await.unwrap(), []);
    assert!(running.metrics().contains("\nweir_frames_unaccounted 0\n"), "{}", running.metrics());
    running.stop().await;
}

async fn a_frame_that_is_acknowledged_and_not_stored_is_unaccounted_for_every_collector(database: Database) {
    let (journal, _folder) = journal().await;
    let store = database.migrated().await;
    begun(&journal, &store).await.stop().await;
    append(&journal, Source::Tiktok, 0..10).await;
    taken(&journal, Source::Tiktok).await.ack().await.unwrap();
    append(&journal, Source::Tiktok, 10..20).await;

    for sources in [Source::ALL, &[Source::Facebook]] {
        let running = RunningCollector::start(&journal, &store, sources);
        eventually(async || match running.count("weir_frames_unaccounted", " ") {
            1 => Ok(()),
            unaccounted => Err(unaccounted),
        })
        .await;
        running.stop().await;
    }
    let missing = unaccounted_frames::Model { journal: journal.identity(), sequence: 1 };
    assert_eq!(unaccounted_frames::Entity::find().all(&store).await.unwrap(), [missing]);
}

async fn a_frame_that_a_build_without_positions_stored_is_accounted_for(database: Database) {
    let (journal, _folder) = journal().await;
    let store = database.migrated().await;
    begun(&journal, &store).await.stop().await;
    append(&journal, Source::Facebook, 0..10).await;
    let delivery = taken(&journal, Source::Facebook).await;
    let Ok(Content::Events(frame)) = delivery.content() else { panic!("no frame of events: {delivery:?}") };
    Store::new(&store).store(&[Submission::whole(frame)]).await.unwrap();
    delivery.ack().await.unwrap();

    let running = begun(&journal, &store).await;
    audited(&journal, &store).await;
    assert_eq!(unaccounted_frames::Entity::find().all(&store).await.unwrap(), []);
    running.stop().await;
}

async fn an_audit_begins_after_the_frames_that_were_acknowledged_before(database: Database) {
    let (journal, _folder) = journal().await;
    let store = database.migrated().await;
    append(&journal, Source::Facebook, 0..10).await;
    taken(&journal, Source::Facebook).await.ack().await.unwrap();
    let running = begun(&journal, &store).await;
    append(&journal, Source::Facebook, 10..20).await;
    settled(&journal).await;
    audited(&journal, &store).await;
    assert_eq!(unaccounted_frames::Entity::find().all(&store).await.unwrap(), []);
    // A frame that is redelivered after the audit has passed it, as after a kill of the journal, changes nothing.
    store.execute_unprepared("INSERT INTO settled_frames SELECT journal, 2 FROM audits").await.unwrap();
    eventually(async || match settled_frames::Entity::find().all(&store).await.unwrap() {
        none if none.is_empty() => Ok(()),
        some => Err(some),
    })
    .await;
    assert_eq!(unaccounted_frames::Entity::find().all(&store).await.unwrap(), []);
    running.stop().await;
}

/// A collector that has begun an audit.
async fn begun(journal: &Journal, store: &DatabaseConnection) -> RunningCollector {
    let running = RunningCollector::start(journal, store, Source::ALL);
    eventually(async || match audits::Entity::find().one(store).await.unwrap() {
        Some(_) => Ok(()),
        None => Err("there is no audit yet"),
    })
    .await;
    running
}

/// Returns when the audit has reached the acknowledged frames.
async fn audited(journal: &Journal, store: &DatabaseConnection) {
    let acknowledged = journal.ack_floor().await.unwrap();
    eventually(async || {
        let audit = audits::Entity::find_by_id(acknowledged.journal).one(store).await.unwrap();
        let through = audit.map(|audit| audit.through.cast_unsigned());
        if through == Some(acknowledged.through) { Ok(()) } else { Err((through, acknowledged)) }
    })
    .await;
}

async fn taken(journal: &Journal, source: Source) -> Delivery {
    let mut consumer = journal.consumer(source).await.unwrap();
    let mut deliveries = consumer.next(1, std::time::Duration::from_secs(10)).await.unwrap();
    deliveries.pop().expect("a frame is offered")
}
