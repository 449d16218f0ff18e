//! Rollups give the figures of a scan of the rows, for random events, ranges, filters and groupings.

use chrono::{DateTime, SecondsFormat};
use futures::future::join_all;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::Value;
use tonic::{Code, Response, Status};
use weir::contract::reporting::v1::{GetEventStatisticsRequest, GetRevenueRequest, GroupBy};
use weir_collectors::store::{Store, Submission};
use weir_database::entity::events::Model;
use weir_event::Source;
use weir_journal::Frame;
use weir_testkit::{
    database::{Database, on_both_databases, stored_events},
    events::{Sender, frame},
};

use super::{expected, moments, rows, running::Running};

on_both_databases!(
    rollups_that_the_migration_fills_answer_as_the_rows_do,
    rollups_that_collectors_fill_answer_as_the_rows_do,
    repeated_reports_follow_the_stored_events,
);

const EVENTS: usize = 1_200;
const EVENTS_PER_FRAME: usize = 40;
/// Frames that are stored at the same time.
const AT_ONCE: usize = 4;
const REQUESTS: usize = 400;
const MAX_BUCKETS: usize = 10_000;

async fn rollups_that_the_migration_fills_answer_as_the_rows_do(database: Database) {
    let mut random = StdRng::seed_from_u64(1);
    let scattered =
        rows::many().into_iter().map(|row| Model { occurred_at: moments::moment(&mut random), ..row });
    let scattered: Vec<Model> = scattered.collect();
    rows::store(&database, &scattered).await;
    compare(&Running::on(&database, "30000").await, &scattered, &mut random).await;
}

/// Late events, repeated identities with another amount, and redelivered frames.
async fn rollups_that_collectors_fill_answer_as_the_rows_do(database: Database) {
    let mut random = StdRng::seed_from_u64(2);
    let store = database.migrated().await;
    let mut events = Sender::new("rolled-up", 3).events(EVENTS);
    events.iter_mut().for_each(|event| event["timestamp"] = timestamp(moments::moment(&mut random)));
    let mut repeats: Vec<Value> = events.iter().step_by(5).cloned().collect();
    repeats.iter_mut().for_each(|event| event["data"]["engagement"]["purchaseAmount"] = "0.07".into());
    let mut frames: Vec<Frame> = frames(&events).chain(frames(&repeats)).collect();
    let again: Vec<Frame> = frames.iter().step_by(3).cloned().collect();
    frames.extend(again);

    let collectors = Store::new(&store);
    for frames in frames.chunks(AT_ONCE) {
        let stored = frames.iter().map(async |frame| collectors.store(&[Submission::whole(frame)]).await);
        for outcome in join_all(stored).await {
            outcome.unwrap();
        }
    }
    let rows = stored_events(&store).await;
    assert_eq!(rows.len(), EVENTS);
    compare(&Running::on(&database, "30000").await, &rows, &mut random).await;
}

/// Late events of days that were reported before, and redelivered frames, which change nothing.
async fn repeated_reports_follow_the_stored_events(database: Database) {
    let mut random = StdRng::seed_from_u64(5);
    let store = database.migrated().await;
    let mut events = Sender::new("again", 7).events(EVENTS / 2);
    events.iter_mut().for_each(|event| event["timestamp"] = timestamp(moments::moment(&mut random)));
    let (collectors, reporting) = (Store::new(&store), Running::on(&database, "30000").await);
    let requests: Vec<GetRevenueRequest> = (0..12).map(|_| revenue_request(&mut random)).collect();
    for frame in frames(&events).flat_map(|frame| [frame.clone(), frame]) {
        collectors.store(&[Submission::whole(&frame)]).await.unwrap();
        let rows = stored_events(&store).await;
        for request in [GetRevenueRequest::default()].iter().chain(&requests) {
            let answer = reporting.client().get_revenue(request.clone()).await;
            let expected = expected::revenue(&rows, request);
            let buckets = expected.series.len();
            assert_answer(answer, expected, buckets, request);
        }
    }
}

/// Frames of each source.
fn frames(events: &[Value]) -> impl Iterator<Item = Frame> {
    Source::ALL.iter().flat_map(|source| {
        let events = events.iter().filter(|event| event["source"] == source.name());
        let events: Vec<Value> = events.cloned().collect();
        events.chunks(EVENTS_PER_FRAME).map(frame).collect::<Vec<_>>()
    })
}

fn timestamp(microseconds: i64) -> Value {
    DateTime::from_timestamp_micros(microseconds).unwrap().to_rfc3339_opts(SecondsFormat::Micros, true).into()
}

async fn compare(reporting: &Running, rows: &[Model], random: &mut StdRng) {
    let mut found = 0;
    for _ in 0..REQUESTS {
        let request = events_request(random);
        let answer = reporting.client().get_event_statistics(request).await;
        let expected = expected::event_statistics(rows, &request);
        found += usize::from(expected.total_events > 0);
        let buckets = expected.series.len();
        assert_answer(answer, expected, buckets, &request);

        let request = revenue_request(random);
        let answer = reporting.client().get_revenue(request.clone()).await;
        let expected = expected::revenue(rows, &request);
        let buckets = expected.series.len();
        assert_answer(answer, expected, buckets, &request);
    }
    assert!(found > REQUESTS / 4, "only {found} reports had events to compare");
}

/// Expects the response, or a refusal where it has too many buckets.
fn assert_answer<Answer: PartialEq + std::fmt::Debug>(
    answer: Result<Response<Answer>, Status>,
    expected: Answer,
    buckets: usize,
    request: &impl std::fmt::Debug,
) {
    if buckets > MAX_BUCKETS {
        assert_eq!(answer.unwrap_err().code(), Code::InvalidArgument, "{request:?}");
    } else {
        assert_eq!(answer.unwrap().into_inner(), expected, "{request:?}");
    }
}

fn events_request(random: &mut StdRng) -> GetEventStatisticsRequest {
    let (from, to) = moments::range(random);
    let any_or =
        |random: &mut StdRng, last| if random.random_bool(0.6) { 0 } else { random.random_range(1..=last) };
    GetEventStatisticsRequest {
        from,
        to,
        source: any_or(random, 2),
        funnel_stage: any_or(random, 2),
        event_type: any_or(random, 12),
        group_by: grouping(random),
    }
}

fn revenue_request(random: &mut StdRng) -> GetRevenueRequest {
    let (from, to) = moments::range(random);
    let campaign =
        *[None, None, Some("campaign a"), Some("campaign-3"), Some("unknown")].choose(random).unwrap();
    GetRevenueRequest {
        from,
        to,
        source: random.random_range(0..=2),
        campaign_id: campaign.map(str::to_owned),
        group_by: grouping(random),
        limit: *[None, Some(1), Some(3), Some(1_000)].choose(random).unwrap(),
    }
}

fn grouping(random: &mut StdRng) -> i32 {
    (*[GroupBy::Unspecified, GroupBy::Hour, GroupBy::Day].choose(random).unwrap()).into()
}
