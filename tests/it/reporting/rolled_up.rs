//! Rollups answer as a scan of the rows does: for random events, ranges, filters and groupings.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use tonic::{Code, Response, Status};
use weir::contract::reporting::v1::{GetEventStatisticsRequest, GetRevenueRequest, GroupBy};
use weir_migration::entity::events::Model;

use super::{expected, moments, rows, running::Running};
use crate::harness::database::{Database, on_both_databases};

on_both_databases!(rollups_that_the_migration_fills_answer_as_the_rows_do);

const QUESTIONS: usize = 400;
const MAX_BUCKETS: usize = 10_000;

async fn rollups_that_the_migration_fills_answer_as_the_rows_do(database: Database) {
    let mut random = StdRng::seed_from_u64(1);
    let scattered =
        rows::many().into_iter().map(|row| Model { occurred_at: moments::moment(&mut random), ..row });
    let scattered: Vec<Model> = scattered.collect();
    rows::store(&database, &scattered).await;
    compare(&Running::on(&database, "30000").await, &scattered, &mut random).await;
}

async fn compare(reporting: &Running, rows: &[Model], random: &mut StdRng) {
    let mut found = 0;
    for _ in 0..QUESTIONS {
        let request = about_events(random);
        let answer = reporting.client().get_event_statistics(request).await;
        let expected = expected::event_statistics(rows, &request);
        found += usize::from(expected.total_events > 0);
        let buckets = expected.series.len();
        assert_answer(answer, expected, buckets, &request);

        let request = about_revenue(random);
        let answer = reporting.client().get_revenue(request.clone()).await;
        let expected = expected::revenue(rows, &request);
        let buckets = expected.series.len();
        assert_answer(answer, expected, buckets, &request);
    }
    assert!(found > QUESTIONS / 4, "only {found} questions had an answer to compare");
}

/// The answer, or a refusal where it has too many buckets.
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

fn about_events(random: &mut StdRng) -> GetEventStatisticsRequest {
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

fn about_revenue(random: &mut StdRng) -> GetRevenueRequest {
    let (from, to) = moments::range(random);
    let campaign =
        *[None, None, Some("campaign a"), Some("campaign-3"), Some("nobody's")].choose(random).unwrap();
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
