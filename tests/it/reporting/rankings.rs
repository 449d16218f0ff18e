//! Rankings give the lists of campaigns that a scan of the rows gives: whatever is ranked, with more campaigns than a
//! ranking holds, and where rankings miss sales.

use std::collections::HashSet;

use chrono::{DateTime, SecondsFormat};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rust_decimal::Decimal;
use sea_orm::ConnectionTrait as _;
use serde_json::Value;
use weir::contract::reporting::v1::{GetRevenueRequest, GetRevenueResponse};
use weir_collectors::{rankings::Rankings, store::Store};
use weir_database::{
    entity::events::Model,
    time_bucket::{DAY, HOUR, SECOND},
};
use weir_reporting::ExactLimits;
use weir_testkit::{
    database::{Database, on_both_databases, stored_events},
    events::{Sender, frame},
};

use super::{expected, moments, running::Running};
use crate::store::store_all;

on_both_databases!(
    rankings_answer_as_the_rows_do_at_each_stage,
    sales_without_a_delta_are_listed_at_once_and_ranked_later,
    a_day_of_more_campaigns_than_its_ranking_holds_is_listed_exactly,
    days_of_very_many_campaigns_tell_what_their_list_may_miss,
    two_jobs_at_once_rank_each_sale_once,
    rankings_and_deltas_that_cannot_be_read_are_left_out,
);

const EVENTS_PER_FRAME: usize = 500;
/// More than a ranking holds.
const MANY: usize = 6_000;
/// The start of a day.
const FIRST_DAY: i64 = 20_089 * DAY;

/// Sales of Facebook's campaigns: each with an id, a time in µs, a campaign and an amount in hundredths.
fn sales(sales: impl Iterator<Item = (i64, String, u32)>) -> Vec<Value> {
    let mut events = Sender::new("sales", 11).events(500).into_iter();
    let sale =
        events.find(|event| event["eventType"] == "checkout.complete" && event["source"] == "facebook");
    let sale = sale.expect("one event in twelve is one");
    let event = |(number, (time, campaign, hundredths)): (usize, (i64, String, u32))| {
        let mut event = sale.clone();
        event["eventId"] = format!("sale-{number}").into();
        event["timestamp"] = written(time);
        event["data"]["engagement"]["campaignId"] = campaign.into();
        let amount = format!("{}.{:02}", hundredths / 100, hundredths % 100);
        event["data"]["engagement"]["purchaseAmount"] = amount.into();
        event
    };
    sales.enumerate().map(event).collect()
}

fn written(microseconds: i64) -> Value {
    DateTime::from_timestamp_micros(microseconds).unwrap().to_rfc3339_opts(SecondsFormat::Micros, true).into()
}

async fn store_events(store: &Store, events: &[Value]) {
    for source in ["facebook", "tiktok"] {
        let of_source: Vec<Value> =
            events.iter().filter(|event| event["source"] == source).cloned().collect();
        for events in of_source.chunks(EVENTS_PER_FRAME) {
            store_all(store, &[frame(events)]).await;
        }
    }
}

async fn rank_all(rankings: &Rankings) {
    while rankings.add_sales().await.unwrap() > 0 {}
}

fn request(random: &mut StdRng) -> GetRevenueRequest {
    let (from, to) = moments::range(random);
    let limit = [None, Some(1), Some(3), Some(1_000)][random.random_range(0..4)];
    GetRevenueRequest { from, to, source: random.random_range(0..=2), limit, ..Default::default() }
}

async fn ask(reporting: &Running, request: &GetRevenueRequest) -> GetRevenueResponse {
    reporting.client().get_revenue(request.clone()).await.unwrap().into_inner()
}

async fn compare(reporting: &Running, database: &Database, random: &mut StdRng) {
    let rows: Vec<Model> = stored_events(&database.migrated().await).await;
    let everything = GetRevenueRequest::default();
    for request in [everything].into_iter().chain((0..40).map(|_| request(random))) {
        assert_eq!(ask(reporting, &request).await, expected::revenue(&rows, &request), "{request:?}");
    }
}

fn made_from(reporting: &Running) -> [bool; 2] {
    let metrics = reporting.metrics();
    ["rankings", "rollups"]
        .map(|from| metrics.contains(&format!("weir_campaign_lists_total{{from=\"{from}\"}}")))
}

fn scattered(random: &mut StdRng) -> Vec<Value> {
    let mut events = Sender::new("ranked", 3).events(1_200);
    events.iter_mut().for_each(|event| event["timestamp"] = written(moments::moment(random)));
    events
}

async fn rankings_answer_as_the_rows_do_at_each_stage(database: Database) {
    let mut random = StdRng::seed_from_u64(41);
    let store = Store::new(&database.migrated().await);
    let (rankings, reporting) = (Rankings::new(&store), Running::on(&database, "30000").await);
    let events = scattered(&mut random);
    for part in events.chunks(300) {
        // The first half is stored twice.
        store_events(&store, &part[..part.len() / 2]).await;
        store_events(&store, part).await;
        compare(&reporting, &database, &mut random).await;
        assert!(rankings.add_sales().await.unwrap() > 0);
        compare(&reporting, &database, &mut random).await;
    }
    assert_eq!(rankings.add_sales().await.unwrap(), 0, "every delta was ranked");
    assert_eq!(rankings.rebuild().await.unwrap(), 0, "every ranking is right");
    assert_eq!(made_from(&reporting), [true, false]);
}

/// Sales of the previous build, and sales that are older than the rankings.
async fn sales_without_a_delta_are_listed_at_once_and_ranked_later(database: Database) {
    let mut random = StdRng::seed_from_u64(42);
    let migrated = database.migrated().await;
    let store = Store::new(&migrated);
    let (rankings, reporting) = (Rankings::new(&store), Running::on(&database, "30000").await);
    let events = scattered(&mut random);
    store_events(&store, &events[..500]).await;
    rankings.add_sales().await.unwrap();
    store_events(&store, &events[500..800]).await;
    migrated.execute_unprepared("DELETE FROM campaign_deltas").await.unwrap();
    compare(&reporting, &database, &mut random).await;
    assert_eq!(made_from(&reporting), [true, true]);
    store_events(&store, &events[800..]).await;
    let mut rebuilt = 0;
    loop {
        let step = rankings.rebuild().await.unwrap();
        rebuilt += step;
        compare(&reporting, &database, &mut random).await;
        if step == 0 {
            break;
        }
    }
    assert!(rebuilt > 10, "{rebuilt} rankings were made anew");
    rank_all(&rankings).await;
    assert_eq!(rankings.rebuild().await.unwrap(), 0);
    let reporting = Running::on(&database, "30000").await;
    compare(&reporting, &database, &mut random).await;
    assert_eq!(made_from(&reporting), [true, false]);
}

/// Few different amounts make many equal places.
async fn a_day_of_more_campaigns_than_its_ranking_holds_is_listed_exactly(database: Database) {
    let mut random = StdRng::seed_from_u64(43);
    let store = Store::new(&database.migrated().await);
    let (rankings, reporting) = (Rankings::new(&store), Running::on(&database, "30000").await);
    let time = |number: usize| FIRST_DAY + number as i64 * 3 * SECOND;
    let new = (0..MANY).map(|number| (time(number), format!("camp-{number}"), random.random_range(1..40)));
    let mut events = new.collect::<Vec<_>>();
    // Some sell again: campaigns of the ranking, and campaigns that it left out.
    events.extend(
        (0..600).map(|number| (time(number), format!("camp-{}", number * 10), random.random_range(0..30))),
    );
    let events = sales(events.into_iter());
    for part in events.chunks(MANY / 3) {
        store_events(&store, part).await;
        compare_day(&reporting, &database, &mut random).await;
        rankings.add_sales().await.unwrap();
        compare_day(&reporting, &database, &mut random).await;
    }
    rank_all(&rankings).await;
    compare_day(&reporting, &database, &mut random).await;
    assert_eq!(rankings.rebuild().await.unwrap(), 0);
    let metrics = reporting.metrics();
    assert!(metrics.contains("weir_campaign_lists_total{from=\"rankings\"}"), "{metrics}");
}

/// Ranges of whole days, hours and minutes, and ragged ones, of one day.
async fn compare_day(reporting: &Running, database: &Database, random: &mut StdRng) {
    let rows: Vec<Model> = stored_events(&database.migrated().await).await;
    for limit in [Some(1), None, Some(100), Some(1_000)] {
        for width in [DAY, HOUR, 60 * SECOND, SECOND] {
            let from = FIRST_DAY + random.random_range(0..DAY / 4) / width * width;
            let at = |time: i64| prost_types::Timestamp { seconds: time / SECOND, nanos: 0 };
            let to = from + (DAY / 3).max(width);
            let request =
                GetRevenueRequest { from: Some(at(from)), to: Some(at(to)), limit, ..Default::default() };
            assert_eq!(ask(reporting, &request).await, expected::revenue(&rows, &request), "{request:?}");
        }
        let request = GetRevenueRequest { limit, ..Default::default() };
        assert_eq!(ask(reporting, &request).await, expected::revenue(&rows, &request), "{request:?}");
    }
}

async fn days_of_very_many_campaigns_tell_what_their_list_may_miss(database: Database) {
    let mut random = StdRng::seed_from_u64(44);
    let store = Store::new(&database.migrated().await);
    let rankings = Rankings::new(&store);
    let events = (0..2 * MANY).map(|number| {
        let time = FIRST_DAY + (number % 2) as i64 * DAY + number as i64 * SECOND;
        (time, format!("camp-{number}"), random.random_range(0..100_000))
    });
    let events = sales(events);
    store_events(&store, &events[..MANY]).await;
    rank_all(&rankings).await;
    store_events(&store, &events[MANY..]).await;
    let limits = ExactLimits { campaigns: 10_000, ..ExactLimits::default() };
    let everything = GetRevenueRequest { limit: Some(20), ..Default::default() };
    let answer = ask(&Running::with_limits(limits, &database, "30000").await, &everything).await;
    // The same question about the same data has the same answer, whatever is ranked.
    rank_all(&rankings).await;
    let rows: Vec<Model> = stored_events(&database.migrated().await).await;
    let right = expected::revenue(&rows, &everything);
    // Two days that leave campaigns out prove nothing together, so all campaigns are ranked.
    let exact = Running::on(&database, "30000").await;
    assert_eq!(ask(&exact, &everything).await, right);
    assert_eq!(made_from(&exact), [false, true]);

    let bounded = Running::with_limits(limits, &database, "30000").await;
    assert_eq!(ask(&bounded, &everything).await, answer);
    assert_eq!(made_from(&bounded), [true, false]);
    let missed: Decimal = answer.missed_at_most.as_deref().unwrap().parse().unwrap();
    let all = expected::revenue(&rows, &GetRevenueRequest { limit: Some(100_000), ..everything.clone() });
    let listed: HashSet<&str> = answer.campaigns.iter().map(|row| row.campaign_id.as_str()).collect();
    assert_eq!(listed.len(), 20);
    for row in &all.campaigns {
        if listed.contains(row.campaign_id.as_str()) {
            assert!(answer.campaigns.contains(row), "{row:?}");
        } else {
            assert!(row.total_revenue.parse::<Decimal>().unwrap() <= missed, "{row:?}, {missed} at most");
        }
    }
    assert_eq!(
        (answer.total_revenue, answer.total_transactions),
        (right.total_revenue, right.total_transactions)
    );
    // A range of fewer campaigns is exact.
    let at = |time: i64| prost_types::Timestamp { seconds: time / SECOND, nanos: 0 };
    let day = GetRevenueRequest { to: Some(at(FIRST_DAY + DAY)), ..everything };
    assert_eq!(ask(&bounded, &day).await, expected::revenue(&rows, &day));
}

async fn two_jobs_at_once_rank_each_sale_once(database: Database) {
    let mut random = StdRng::seed_from_u64(45);
    let store = Store::new(&database.migrated().await);
    let reporting = Running::on(&database, "30000").await;
    let events = scattered(&mut random);
    let work = async || {
        let rankings = Rankings::new(&store);
        for _ in 0..20 {
            rankings.add_sales().await.unwrap_or(0);
            tokio::task::yield_now().await;
        }
    };
    let storing = async {
        for part in events.chunks(100) {
            store_events(&store, part).await;
        }
    };
    tokio::join!(storing, work(), work());
    rank_all(&Rankings::new(&store)).await;
    compare(&reporting, &database, &mut random).await;
    assert_eq!(made_from(&reporting), [true, false]);
    assert_eq!(Rankings::new(&store).rebuild().await.unwrap(), 0);
}

async fn rankings_and_deltas_that_cannot_be_read_are_left_out(database: Database) {
    let mut random = StdRng::seed_from_u64(46);
    let migrated = database.migrated().await;
    let store = Store::new(&migrated);
    let (rankings, reporting) = (Rankings::new(&store), Running::on(&database, "30000").await);
    let damage = async |table: &str| {
        let bytes = if database.url.has_one_writer() { "x'00ff'" } else { r"'\x00ff'" };
        let damage = format!("UPDATE {table} SET data = {bytes}");
        assert!(migrated.execute_unprepared(&damage).await.unwrap().rows_affected() > 0);
    };
    let events = scattered(&mut random);
    store_events(&store, &events[..600]).await;
    rank_all(&rankings).await;
    damage("campaign_rankings").await;
    compare(&reporting, &database, &mut random).await;
    store_events(&store, &events[600..900]).await;
    damage("campaign_deltas").await;
    compare(&reporting, &database, &mut random).await;
    store_events(&store, &events[900..]).await;
    compare(&reporting, &database, &mut random).await;
    assert!(rankings.add_sales().await.unwrap() > 0);
    while rankings.rebuild().await.unwrap() > 0 {}
    compare(&reporting, &database, &mut random).await;
}
