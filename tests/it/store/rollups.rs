//! Rollups equal a scan of the rows, after random, repeated and concurrent frames.

use std::collections::BTreeSet;

use futures::future::join_all;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use serde_json::Value;
use weir_collectors::store::{Store, StoreError, Submission};
use weir_event::Source;
use weir_journal::Frame;
use weir_testkit::{
    database::{Database, duplicates, on_both_databases, refuse, stored_events},
    events::{frame, valid_events},
    eventually::eventually,
};

use super::{numbered, removed::remember, store_all};

on_both_databases!(
    rollups_equal_a_scan_after_frames_at_random,
    stores_that_race_over_the_same_events_count_each_once,
    refused_events_and_trials_are_not_counted,
);

/// Number and width in microseconds.
const GRAINS: [(i16, i64); 3] = [(1, 60_000_000), (2, 3_600_000_000), (3, 86_400_000_000)];
const REFUSED: [&str; 2] = ["event 3", "event 11"];
const REMOVED: &str = "event 5";

async fn rollups_equal_a_scan_after_frames_at_random(database: Database) {
    let database = database.migrated().await;
    let store = Store::new(&database);
    refuse(&database, &REFUSED).await;
    remember(&database, Source::Facebook, REMOVED).await;
    let mut random = StdRng::seed_from_u64(3);
    let mut earlier: Vec<Frame> = Vec::new();
    for _ in 0..25 {
        let mut batch: Vec<Frame> =
            (0..random.random_range(1..5)).map(|_| random_frame(&mut random)).collect();
        if random.random_bool(0.5) {
            batch.extend(earlier.choose(&mut random).cloned());
        }
        store_parking(&store, &batch).await;
        earlier.extend(batch);
    }
    assert_rollups_equal_a_scan(&database).await;

    let rows = stored_events(&database).await;
    assert!(rows.len() > 100, "{} rows", rows.len());
    assert!(rows.iter().all(|row| row.event_id != REMOVED || row.source == 2));
    assert!(!duplicates(&database).await.is_empty());
}

async fn stores_that_race_over_the_same_events_count_each_once(database: Database) {
    let migrated = database.migrated().await;
    let mut random = StdRng::seed_from_u64(4);
    let rounds: Vec<Vec<Frame>> =
        (0..6).map(|_| (0..5).map(|_| random_frame(&mut random)).collect()).collect();
    // More stores than shards, so that some connections share one.
    let stores = join_all((0..8).map(|_| async { Store::new(&database.connect().await) })).await;
    let racing = stores.into_iter().enumerate().map(|(index, store)| {
        let rounds = rounds.clone();
        tokio::spawn(async move {
            for mut frames in rounds {
                let shared = frames.pop().unwrap();
                for frame in &mut frames {
                    frame.id = format!("{} of {index}", frame.id);
                    let middle = index % frame.events.len();
                    frame.events.rotate_left(middle);
                }
                frames.rotate_left(index % 4);
                frames.push(shared);
                store_all(&store, &frames).await;
            }
        })
    });
    for raced in join_all(racing).await {
        raced.unwrap();
    }
    assert_rollups_equal_a_scan(&migrated).await;
    assert!(!stored_events(&migrated).await.is_empty());
}

async fn refused_events_and_trials_are_not_counted(database: Database) {
    let database = database.migrated().await;
    let store = Store::new(&database);
    let frame = numbered(Source::Facebook, 0..20);
    refuse(&database, &[frame.events[7].event.id()]).await;
    let refused = store.store(&[Submission::whole(&frame)]).await;
    assert!(matches!(refused, Err(StoreError::Permanent { .. })), "{refused:?}");
    assert_eq!(store.refused_events(&frame).await.unwrap().len(), 1);
    for table in ["rollups", "campaign_rollups"] {
        let counted = numbers(&database, &format!("SELECT CAST(COUNT(*) AS BIGINT) FROM {table}"), 1).await;
        assert_eq!(counted[0].0, [0], "{table}");
    }
    store_parking(&store, &[frame]).await;
    let events = "SELECT CAST(SUM(events) AS BIGINT) FROM rollups GROUP BY grain";
    let counted = numbers(&database, events, 1).await;
    assert!(counted.len() == 3 && counted.iter().all(|(events, _)| events == &[19]), "{counted:?}");
}

/// An update that moves its row makes new entries in every index of the table.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_updates_the_sums_of_campaigns_on_their_pages() {
    const UPDATES: &str = "SELECT CAST(n_tup_upd AS BIGINT), CAST(n_tup_hot_upd AS BIGINT) \
        FROM pg_stat_user_tables WHERE relname = 'campaign_rollups'";
    let database = Database::postgres().await.migrated().await;
    let store = Store::new(&database);
    let is_sale = |event: &Value| {
        event["eventType"] == "checkout.complete" && event["data"]["engagement"]["purchaseAmount"].is_string()
    };
    let mut sale = valid_events().into_iter().find(is_sale).unwrap();
    for number in 0..50 {
        sale["eventId"] = format!("sale {number}").into();
        store_all(&store, &[frame(std::slice::from_ref(&sale))]).await;
    }
    // The first sale of each grain and shard is inserted. PostgreSQL reports the work of a connection some seconds later.
    let counted = eventually(async || match numbers(&database, UPDATES, 2).await.remove(0).0[..] {
        [all, on_page] if all >= 100 => Ok((all, on_page)),
        [all, ..] => Err(all),
        [] => Err(0),
    });
    let (all, on_page) = counted.await;
    assert!(on_page * 2 > all, "{on_page} of {all}");
}

/// Stores frames as a worker does: refused events are parked.
async fn store_parking(store: &Store, frames: &[Frame]) {
    for frame in frames {
        let refused = store.refused_events(frame).await.unwrap();
        let parked: BTreeSet<usize> = refused.iter().map(|event| event.index).collect();
        store.store(&[Submission::without(frame, &parked)]).await.unwrap();
    }
    // Together, all frames are redelivered ones.
    let whole: Vec<Submission<'_>> = frames.iter().map(Submission::whole).collect();
    assert!(store.store(&whole).await.unwrap().iter().all(|outcome| outcome.recorded_before));
}

/// A frame of events with ids from a small set, so that ids repeat with other contents. One event in four is years
/// late.
pub(crate) fn random_frame(random: &mut StdRng) -> Frame {
    let source = *Source::ALL.choose(random).unwrap();
    let templates: Vec<Value> =
        valid_events().into_iter().filter(|event| event["source"] == source.name()).collect();
    let events: Vec<Value> = (0..random.random_range(1..80))
        .map(|_| altered(templates.choose(random).unwrap().clone(), random))
        .collect();
    let mut frame = frame(&events);
    frame.events.iter_mut().for_each(|framed| framed.repeats = u32::from(random.random_bool(0.1)));
    frame
}

fn altered(mut event: Value, random: &mut StdRng) -> Value {
    event["eventId"] = format!("event {}", random.random_range(0..300)).into();
    let year = if random.random_bool(0.25) { random.random_range(2001..2025) } else { 2025 };
    let [day, hour, minute] = [1..=4, 0..=23, 0..=59].map(|range| random.random_range(range));
    let second = *["00", "59.999999", "17.25"].choose(random).unwrap();
    event["timestamp"] = format!("{year}-03-{day:02}T{hour:02}:{minute:02}:{second}Z").into();
    let data = &mut event["data"];
    match data["user"].get("followers") {
        Some(_) => data["user"]["followers"] = random.random_range(0..1_i64 << 53).into(),
        None => data["user"]["age"] = random.random_range(0..=150).into(),
    }
    if data["engagement"].get("purchaseAmount").is_some() {
        data["engagement"]["purchaseAmount"] = if random.random_bool(0.2) {
            Value::Null
        } else {
            format!("{}.{:04}", random.random_range(0..1_000_000_000), random.random_range(0..10_000)).into()
        };
    }
    if data["engagement"].get("campaignId").is_some() {
        data["engagement"]["campaignId"] = (*["a", "A", "Ünited", "c"].choose(random).unwrap()).into();
    }
    event
}

pub(crate) async fn assert_rollups_equal_a_scan(database: &DatabaseConnection) {
    for (grain, width) in GRAINS {
        let (counted, scanned) = (counted(grain), scanned(width));
        assert_eq!(numbers(database, &counted, 9).await, numbers(database, &scanned, 9).await, "{grain}");
        let (counted, scanned) = (campaigns_counted(grain), campaigns_scanned(width));
        let campaigns = numbers(database, &counted, 3).await;
        assert!(!campaigns.is_empty());
        assert_eq!(campaigns, numbers(database, &scanned, 3).await, "{grain}");
    }
}

fn counted(grain: i16) -> String {
    format!(
        "SELECT bucket, CAST(source AS BIGINT), CAST(funnel_stage AS BIGINT), CAST(event_type AS BIGINT), \
            {}, '' FROM rollups WHERE grain = {grain} \
         GROUP BY bucket, source, funnel_stage, event_type ORDER BY 1, 2, 3, 4",
        sums(&[
            "events",
            "measured",
            "measure_high * 67108864 + measure_low",
            "transactions",
            "amount_high * 67108864 + amount_low",
        ])
    )
}

fn scanned(width: i64) -> String {
    format!(
        "SELECT occurred_at - occurred_at % {width}, CAST(source AS BIGINT), CAST(funnel_stage AS BIGINT), \
            CAST(event_type AS BIGINT), {}, '' FROM stored_events \
         GROUP BY occurred_at - occurred_at % {width}, source, funnel_stage, event_type ORDER BY 1, 2, 3, 4",
        sums(&[
            "1",
            "CASE WHEN COALESCE(age, followers) IS NULL THEN 0 ELSE 1 END",
            "COALESCE(age, followers, 0)",
            &format!("CASE WHEN {IS_TRANSACTION} THEN 1 ELSE 0 END"),
            &format!("CASE WHEN {IS_TRANSACTION} THEN purchase_amount ELSE 0 END"),
        ])
    )
}

fn campaigns_counted(grain: i16) -> String {
    format!(
        "SELECT bucket, {}, campaign_id FROM campaign_rollups WHERE grain = {grain} \
         GROUP BY bucket, campaign_id ORDER BY bucket, campaign_id",
        sums(&["transactions", "amount_high * 67108864 + amount_low"])
    )
}

fn campaigns_scanned(width: i64) -> String {
    format!(
        "SELECT occurred_at - occurred_at % {width}, {}, campaign_id FROM stored_events \
         WHERE campaign_id IS NOT NULL AND {IS_TRANSACTION} \
         GROUP BY occurred_at - occurred_at % {width}, campaign_id ORDER BY 1, campaign_id",
        sums(&["1", "purchase_amount"])
    )
}

/// The condition for a checkout.complete of Facebook or a purchase of TikTok.
const IS_TRANSACTION: &str =
    "purchase_amount IS NOT NULL AND ((source = 1 AND event_type = 7) OR (source = 2 AND event_type = 11))";

fn sums(expressions: &[&str]) -> String {
    let sum = |expression: &&str| format!("CAST(SUM({expression}) AS BIGINT)");
    expressions.iter().map(sum).collect::<Vec<_>>().join(", ")
}

/// Rows of `numbers` numbers, and a name where there is one more column.
async fn numbers(database: &DatabaseConnection, sql: &str, numbers: usize) -> Vec<(Vec<i64>, String)> {
    let statement = Statement::from_string(database.get_database_backend(), sql);
    let rows = database.query_all_raw(statement).await.unwrap();
    let row = |row: &sea_orm::QueryResult| {
        let figures = (0..numbers).map(|index| row.try_get_by_index(index).unwrap()).collect();
        (figures, row.try_get_by_index(numbers).unwrap_or_default())
    };
    rows.iter().map(row).collect()
}
