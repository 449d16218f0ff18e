//! The store: each event and each frame is stored once, and a repeat changes no row.

mod erased;
mod removed;
pub(crate) mod rollups;
mod segments;
mod stalled_copy;

use std::collections::BTreeSet;

use futures::future::join_all;
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use serde_json::{Value, json};
use weir_collectors::store::{FrameOutcome, Store, StoreError, Submission};
use weir_database::entity::events;
use weir_event::{
    Amount, Browser, ClickPosition, EventType, FacebookDevice, FunnelStage, Gender, Referrer, Source,
    TiktokDevice,
};
use weir_journal::Frame;
use weir_testkit::{
    database::{Database, accounts, accounts_of_all, duplicates, on_both_databases, refuse, stored_events},
    events::{frame, valid_events, with_id},
};

on_both_databases!(
    every_column_of_every_kind_of_event_is_stored_as_sent,
    a_redelivered_frame_changes_nothing_and_returns_its_first_accounts,
    a_frame_that_comes_twice_in_one_batch_is_recorded_once,
    the_first_of_several_events_with_one_identity_stays,
    repeats_within_an_array_are_counted_and_not_stored,
    duplicates_are_counted_by_identity_and_a_redelivered_frame_adds_none,
    duplicates_are_counted_in_every_round_whichever_store_has_the_row,
    the_same_id_from_two_sources_is_two_events,
    stores_that_race_over_the_same_events_neither_deadlock_nor_double,
    stores_that_race_over_the_same_frames_record_each_once,
    an_event_that_the_database_refuses_is_found_and_its_neighbours_are_stored,
    a_database_without_its_tables_is_a_transient_error,
    a_schema_that_is_created_again_is_stored_into_again,
);

async fn every_column_of_every_kind_of_event_is_stored_as_sent(database: Database) {
    let database = database.migrated().await;
    let store = Store::new(&database);
    let of = |source: &str| -> Vec<Value> {
        valid_events().into_iter().filter(|event| event["source"] == source).collect()
    };
    let frames = [frame(&of("facebook")), frame(&of("tiktok"))];
    let before = chrono::Utc::now().timestamp_micros();
    store_all(&store, &frames).await;

    let rows = stored_events(&database).await;
    assert_eq!(rows.len(), valid_events().len());
    for event in valid_events() {
        let id = event["eventId"].as_str().unwrap();
        let row = rows.iter().find(|row| row.event_id == id).unwrap();
        let frame = frames.iter().find(|frame| frame.source.number() == i32::from(row.source)).unwrap();
        assert_eq!(*row, expected(&event, frame, row.stored_at), "{event}");
        assert!(row.stored_at >= before);
    }
}

async fn a_redelivered_frame_changes_nothing_and_returns_its_first_accounts(database: Database) {
    let database = database.migrated().await;
    let store = Store::new(&database);
    let frame = numbered(Source::Facebook, 0..3);
    let first = store_one(&store, &frame).await;
    let rows = stored_events(&database).await;
    let again = store_one(&store, &frame).await;

    assert_eq!(first, outcome(3, 0));
    assert_eq!(again, FrameOutcome { recorded_before: true, ..first });
    assert_eq!(stored_events(&database).await, rows);
}

async fn a_frame_that_comes_twice_in_one_batch_is_recorded_once(database: Database) {
    let database = database.migrated().await;
    let frame = numbered(Source::Tiktok, 0..3);
    let outcomes = store_all(&Store::new(&database), &[frame.clone(), frame]).await;
    assert_eq!(outcomes, [outcome(3, 0), FrameOutcome { recorded_before: true, ..outcome(3, 0) }]);
    assert_eq!(stored_events(&database).await.len(), 3);
}

async fn the_first_of_several_events_with_one_identity_stays(database: Database) {
    let database = database.migrated().await;
    let store = Store::new(&database);
    let named = |id: &str, name: &str| {
        let mut event = with_id(Source::Facebook, id);
        event["data"]["user"]["name"] = name.into();
        event
    };
    store_one(&store, &frame(&[named("a", "first")])).await;
    let batch = [
        frame(&[named("b", "first"), named("a", "second")]),
        frame(&[named("a", "third"), named("b", "second")]),
    ];
    let outcomes = store_all(&store, &batch).await;

    assert_eq!(outcomes, [outcome(1, 1), outcome(0, 2)]);
    let names: Vec<String> = stored_events(&database).await.into_iter().map(|row| row.user_name).collect();
    assert_eq!(names, ["first", "first"]);
}

async fn repeats_within_an_array_are_counted_and_not_stored(database: Database) {
    let database = database.migrated().await;
    let mut frame = numbered(Source::Tiktok, 0..2);
    frame.events[1].repeats = 5;
    assert_eq!(store_one(&Store::new(&database), &frame).await, outcome(2, 5));
    assert_eq!(stored_events(&database).await.len(), 2);
    let accounts = accounts(&database, &frame.id).await.unwrap();
    assert_eq!((accounts.stored, accounts.duplicate, accounts.parked), (2, 5, 0));
    assert_eq!(i32::from(accounts.source), Source::Tiktok.number());
}

async fn duplicates_are_counted_by_identity_and_a_redelivered_frame_adds_none(database: Database) {
    let database = database.migrated().await;
    let store = Store::new(&database);
    let first = numbered(Source::Facebook, 0..100);
    store_one(&store, &first).await;
    assert!(duplicates(&database).await.is_empty(), "an event that occurred once has no row");

    let mut overlapping = numbered(Source::Facebook, 98..102);
    overlapping.events[1].repeats = 3;
    overlapping.events[3].repeats = 1;
    let twice_in_one_frame = frame(&[with_id(Source::Tiktok, "t"), with_id(Source::Tiktok, "t")]);
    let batch = [overlapping.clone(), numbered(Source::Facebook, 98..99), twice_in_one_frame, first];
    store_all(&store, &batch).await;
    store_one(&store, &overlapping).await;

    let facebook = |id: &str, times| (1, id.to_owned(), times);
    let expected = [facebook("00098", 2), facebook("00099", 4), facebook("00101", 1), (2, "t".to_owned(), 1)];
    assert_eq!(duplicates(&database).await, expected);
    let (.., accounted, _) = accounts_of_all(&database).await;
    assert_eq!(accounted, 8);
}

/// More transactions than a store looks up all events after a missed duplicate. Later ones look up recent events
/// alone.
async fn duplicates_are_counted_in_every_round_whichever_store_has_the_row(database: Database) {
    let database = database.migrated().await;
    let [store, other] = [Store::new(&database), Store::new(&database)];
    let of_round = |round: usize| (0..5).map(move |number| format!("{round:02}-{number}"));
    for round in 1..60 {
        let mut ids: Vec<String> = of_round(round).chain(of_round(round - 1).take(1)).collect();
        let foreign = round % 20 == 0;
        if foreign {
            store_one(&other, &frame(&[with_id(Source::Facebook, &ids[2])])).await;
        }
        ids.rotate_left(round % 6);
        let events: Vec<Value> = ids.iter().map(|id| with_id(Source::Facebook, id)).collect();
        // Only in the first round, the last event is new as well.
        let again = u64::from(round > 1) + u64::from(foreign);
        assert_eq!(store_one(&store, &frame(&events)).await, outcome(6 - again, again), "round {round}");
    }
    let expected = (1..59).map(|round| format!("{round:02}-0"));
    let mut expected: Vec<String> = expected.chain([20, 40].map(|round| format!("{round}-2"))).collect();
    expected.sort();
    let counted = duplicates(&database).await;
    assert!(counted.iter().all(|(.., times)| *times == 1), "{counted:?}");
    assert_eq!(counted.into_iter().map(|(_, id, _)| id).collect::<Vec<_>>(), expected);
    assert_eq!(stored_events(&database).await.len(), 59 * 5 + 1);
}

async fn the_same_id_from_two_sources_is_two_events(database: Database) {
    let database = database.migrated().await;
    let frames = [Source::Facebook, Source::Tiktok].map(|source| frame(&[with_id(source, "same")]));
    assert_eq!(store_all(&Store::new(&database), &frames).await, [outcome(1, 0), outcome(1, 0)]);
    assert_eq!(stored_events(&database).await.len(), 2);
}

async fn stores_that_race_over_the_same_events_neither_deadlock_nor_double(database: Database) {
    let migrated = database.migrated().await;
    let stores = join_all((0..4).map(|_| async { Store::new(&database.connect().await) })).await;
    let rounds = stores.iter().enumerate().map(async |(index, store)| {
        let mut stored = 0;
        for round in 0..5 {
            let mut frames: Vec<Frame> = (0..4)
                .map(|part| numbered(Source::Facebook, round * 200 + part * 50..round * 200 + part * 50 + 80))
                .collect();
            frames.rotate_left(index);
            frames.iter_mut().for_each(|frame| frame.events.rotate_left(index * 17));
            stored += store_all(store, &frames).await.iter().map(|outcome| outcome.stored).sum::<u64>();
        }
        stored
    });
    let stored: u64 = join_all(rounds).await.into_iter().sum();
    let rows = stored_events(&migrated).await.len();
    assert_eq!((stored, rows), (1_030, 1_030));
    let counted: i64 = duplicates(&migrated).await.iter().map(|(.., times)| times).sum();
    assert_eq!(counted, 4 * 5 * 4 * 80 - 1_030);
}

async fn stores_that_race_over_the_same_frames_record_each_once(database: Database) {
    let migrated = database.migrated().await;
    let frames: Vec<Frame> = (0..6).map(|part| numbered(Source::Tiktok, part * 50..part * 50 + 50)).collect();
    let stores = join_all((0..4).map(|_| async { Store::new(&database.connect().await) })).await;
    let outcomes = join_all(stores.iter().enumerate().map(async |(index, store)| {
        let mut frames = frames.clone();
        frames.rotate_left(index);
        store_all(store, &frames).await
    }))
    .await;
    let first: Vec<&FrameOutcome> =
        outcomes.iter().flatten().filter(|outcome| !outcome.recorded_before).collect();
    assert_eq!(first.len(), frames.len());
    assert!(outcomes.iter().flatten().all(|outcome| (outcome.stored, outcome.duplicate) == (50, 0)));
    assert_eq!(stored_events(&migrated).await.len(), 300);
}

async fn an_event_that_the_database_refuses_is_found_and_its_neighbours_are_stored(database: Database) {
    let database = database.migrated().await;
    let store = Store::new(&database);
    let mut frame = numbered(Source::Facebook, 0..100);
    frame.events[37].repeats = 2;
    refuse(&database, &[frame.events[37].event.id(), frame.events[99].event.id()]).await;

    let refused_whole = store.store(&[Submission::whole(&frame)]).await;
    assert!(matches!(refused_whole, Err(StoreError::Permanent { .. })), "{refused_whole:?}");
    assert!(stored_events(&database).await.is_empty());

    let refused = store.refused_events(&frame).await.unwrap();
    let parked: BTreeSet<usize> = refused.iter().map(|event| event.index).collect();
    assert_eq!(parked, BTreeSet::from([37, 99]));
    assert!(refused.iter().all(|event| event.reason.contains("not_this_one")), "{refused:?}");
    assert!(accounts(&database, &frame.id).await.is_none(), "a trial leaves no accounts");

    let outcomes = store.store(&[Submission::without(&frame, &parked)]).await.unwrap();
    assert_eq!(outcomes, [FrameOutcome { stored: 98, duplicate: 2, parked: 2, recorded_before: false }]);
    assert_eq!(frame.accepted(), 102);
    assert_eq!(duplicates(&database).await, [(1, "00037".to_owned(), 2)], "the repeats of the parked event");
    assert_eq!(stored_events(&database).await.len(), 98);
}

async fn a_database_without_its_tables_is_a_transient_error(database: Database) {
    let store = Store::new(&database.connect().await);
    let frame = numbered(Source::Facebook, 0..1);
    let result = store.store(&[Submission::whole(&frame)]).await;
    assert!(matches!(result, Err(StoreError::Transient(_))), "{result:?}");
    assert!(matches!(store.refused_events(&frame).await, Err(StoreError::Transient(_))));
}

/// The statements that a connection has prepared belong to the previous schema.
async fn a_schema_that_is_created_again_is_stored_into_again(database: Database) {
    let operator = database.migrated().await;
    let store = Store::new(&database.connect().await);
    let (first, second) = (numbered(Source::Facebook, 0..3), numbered(Source::Facebook, 3..5));
    assert_eq!(store_one(&store, &first).await, outcome(3, 0));
    let applied = weir_database::status(&operator).await.unwrap().len();
    weir_database::down(&operator, applied as u32).await.unwrap();
    let refused = store.store(&[Submission::whole(&second)]).await;
    assert!(matches!(refused, Err(StoreError::Transient(_))), "{refused:?}");
    weir_database::up(&operator, None).await.unwrap();
    // Each connection notices the new schema by a failed attempt. After as many attempts as there are connections,
    // all have.
    for _ in 0..8 {
        match store.store(&[Submission::whole(&second)]).await {
            Ok(outcomes) => return assert_eq!(outcomes, [outcome(2, 0)]),
            Err(error) => assert!(matches!(error, StoreError::Transient(_)), "{error:?}"),
        }
    }
    panic!("no event is stored into the new schema");
}

fn outcome(stored: u64, duplicate: u64) -> FrameOutcome {
    FrameOutcome { stored, duplicate, parked: 0, recorded_before: false }
}

/// A frame of events whose ids are numbers.
fn numbered(source: Source, ids: std::ops::Range<usize>) -> Frame {
    frame(&ids.map(|id| with_id(source, &format!("{id:05}"))).collect::<Vec<_>>())
}

pub(crate) async fn store_all(store: &Store, frames: &[Frame]) -> Vec<FrameOutcome> {
    let submissions: Vec<Submission<'_>> = frames.iter().map(Submission::whole).collect();
    store.store(&submissions).await.unwrap()
}

async fn store_one(store: &Store, frame: &Frame) -> FrameOutcome {
    store_all(store, std::slice::from_ref(frame)).await[0]
}

/// The expected row of an event, read from the sender's JSON.
fn expected(event: &Value, frame: &Frame, stored_at: i64) -> events::Model {
    let (user, engagement) = (&event["data"]["user"], &event["data"]["engagement"]);
    let on_facebook = event["source"] == "facebook";
    let place = if on_facebook { &user["location"] } else { engagement };
    let is_top = event["funnelStage"] == "top";
    // Keys that this kind of event does not have are ignored, with any value.
    let only = |has: bool, value: &Value| if has { value.clone() } else { json!(null) };
    let device = |name: &str| match on_facebook {
        true => FacebookDevice::from_name(name).map(FacebookDevice::number),
        false => TiktokDevice::from_name(name).map(TiktokDevice::number),
    };
    let (facebook_top, facebook_bottom) = (on_facebook && is_top, on_facebook && !is_top);
    let (tiktok_top, tiktok_bottom) = (!on_facebook && is_top, !on_facebook && !is_top);
    events::Model {
        source: number(&event["source"], |name| Source::from_name(name).map(Source::number)).unwrap(),
        event_id: text(&event["eventId"]).unwrap(),
        occurred_at: micros(&event["timestamp"]).unwrap(),
        funnel_stage: number(&event["funnelStage"], |name| {
            FunnelStage::from_name(name).map(FunnelStage::number)
        })
        .unwrap(),
        event_type: number(&event["eventType"], |name| EventType::from_name(name).map(EventType::number))
            .unwrap(),
        frame_id: frame.id.clone(),
        correlation_id: frame.origins[0].correlation_id.to_string(),
        traceparent: Some(frame.origins[0].traceparent.clone()),
        arrived_at: 1_757_834_505_318_001,
        stored_at,
        user_id: text(&user["userId"]).unwrap(),
        user_name: text(&user[if on_facebook { "name" } else { "username" }]).unwrap(),
        age: only(on_facebook, &user["age"]).as_i64().map(|age| age.try_into().unwrap()),
        gender: number(&only(on_facebook, &user["gender"]), |name| {
            Gender::from_name(name).map(Gender::number)
        }),
        followers: only(!on_facebook, &user["followers"]).as_i64(),
        country: text(&only(on_facebook || is_top, &place["country"])),
        city: text(&only(on_facebook, &place["city"])),
        action_time: micros(&only(facebook_top || tiktok_bottom, &engagement["actionTime"])),
        referrer: number(&only(facebook_top, &engagement["referrer"]), |name| {
            Referrer::from_name(name).map(Referrer::number)
        }),
        video_id: text(&only(is_top, &engagement["videoId"])),
        ad_id: text(&only(facebook_bottom, &engagement["adId"])),
        campaign_id: text(&only(facebook_bottom, &engagement["campaignId"])),
        click_position: number(&only(facebook_bottom, &engagement["clickPosition"]), |name| {
            ClickPosition::from_name(name).map(ClickPosition::number)
        }),
        device: number(&only(facebook_bottom || tiktok_top, &engagement["device"]), device),
        browser: number(&only(facebook_bottom, &engagement["browser"]), |name| {
            Browser::from_name(name).map(Browser::number)
        }),
        watch_time: only(tiktok_top, &engagement["watchTime"]).as_f64(),
        percentage_watched: only(tiktok_top, &engagement["percentageWatched"]).as_f64(),
        profile_id: text(&only(tiktok_bottom, &engagement["profileId"])),
        purchased_item: text(&only(tiktok_bottom, &engagement["purchasedItem"])),
        purchase_amount: text(&only(!is_top, &engagement["purchaseAmount"]))
            .map(|amount| Amount::parse(&amount).unwrap().ten_thousandths()),
        frame_number: None,
        origin: None,
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn number(value: &Value, of_name: impl Fn(&str) -> Option<i32>) -> Option<i16> {
    value.as_str().map(|name| of_name(name).unwrap().try_into().unwrap())
}

fn micros(value: &Value) -> Option<i64> {
    value.as_str().map(|time| chrono::DateTime::parse_from_rfc3339(time).unwrap().timestamp_micros())
}

/// Compiling a statement takes longer than to run it.
#[tokio::test(flavor = "multi_thread")]
async fn a_storing_transaction_compiles_no_statement_however_large_the_tables_seem() {
    let database = Database::postgres().await.migrated().await;
    let note_jit = "CREATE TABLE noted (jit text); \
        CREATE FUNCTION note_jit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
            INSERT INTO noted VALUES (current_setting('jit')); RETURN NULL; END $$; \
        CREATE TRIGGER note_jit AFTER INSERT ON frame_origins FOR EACH STATEMENT EXECUTE FUNCTION note_jit()";
    database.execute_unprepared(note_jit).await.unwrap();
    store_one(&Store::new(&database), &numbered(Source::Facebook, 0..3)).await;
    let query = Statement::from_string(DbBackend::Postgres, "SELECT DISTINCT jit FROM noted");
    let noted = database.query_all_raw(query).await.unwrap();
    let noted: Vec<String> = noted.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
    assert_eq!(noted, ["off"]);
}
