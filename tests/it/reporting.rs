//! Reporting alone: rows in the store, requests over gRPC, responses compared with an independent computation over the
//! same rows.

mod expected;
mod moments;
mod people;
mod rankings;
mod refusals;
mod removed;
mod rolled_up;
mod rows;
mod running;

use weir::contract::{
    event::v1::Source,
    reporting::v1::{GetDemographicsRequest, GetEventStatisticsRequest, GetRevenueRequest, GroupBy},
};
use weir_database::entity::events::Model;

use running::Running;
use weir_testkit::database::{Database, on_both_databases};

on_both_databases!(
    an_empty_store_is_answered_with_zeros,
    event_statistics_equal_the_rows_for_every_filter,
    revenue_equals_the_rows_for_every_filter,
    demographics_equal_the_rows_for_every_filter,
    sums_beyond_sixty_four_bits_are_exact,
    a_user_with_a_birthday_counts_in_both_age_groups,
);

const GROUPINGS: [GroupBy; 3] = [GroupBy::Unspecified, GroupBy::Hour, GroupBy::Day];
const SOURCES: [Source; 3] = [Source::Unspecified, Source::Facebook, Source::Tiktok];

async fn an_empty_store_is_answered_with_zeros(database: Database) {
    compare(&database, &[]).await;
}

async fn event_statistics_equal_the_rows_for_every_filter(database: Database) {
    let (rows, reporting) = given(&database, rows::many()).await;
    let mut groupings = GROUPINGS.into_iter().cycle();
    for (from, to) in rows::ranges() {
        for (source, funnel_stage, event_type) in rows::filters() {
            let request = GetEventStatisticsRequest {
                from,
                to,
                source,
                funnel_stage,
                event_type,
                group_by: groupings.next().unwrap().into(),
            };
            let response = reporting.client().get_event_statistics(request).await.unwrap().into_inner();
            assert_eq!(response, expected::event_statistics(&rows, &request), "{request:?}");
        }
    }
}

async fn revenue_equals_the_rows_for_every_filter(database: Database) {
    let (rows, reporting) = given(&database, rows::many()).await;
    let campaigns = [None, Some("campaign a"), Some("Campaign a"), Some("never seen"), Some("' OR 1=1 --")];
    let limits = [None, Some(1), Some(3), Some(1_000)];
    for (from, to) in rows::ranges() {
        for source in SOURCES {
            for (campaign, limit) in campaigns.iter().zip(limits.iter().cycle()) {
                for group_by in GROUPINGS {
                    let request = GetRevenueRequest {
                        from,
                        to,
                        source: source.into(),
                        campaign_id: campaign.map(str::to_owned),
                        group_by: group_by.into(),
                        limit: *limit,
                    };
                    let response =
                        reporting.client().get_revenue(request.clone()).await.unwrap().into_inner();
                    assert_eq!(response, expected::revenue(&rows, &request), "{request:?}");
                }
            }
        }
    }
}

async fn demographics_equal_the_rows_for_every_filter(database: Database) {
    let (rows, reporting) = given(&database, rows::many()).await;
    for (from, to) in rows::ranges() {
        for source in SOURCES {
            for limit in [None, Some(1), Some(2), Some(1_000)] {
                let request = GetDemographicsRequest { from, to, source: source.into(), limit };
                let response = reporting.client().get_demographics(request).await.unwrap().into_inner();
                assert_eq!(response, expected::demographics(&rows, &request), "{request:?}");
            }
        }
    }
}

async fn sums_beyond_sixty_four_bits_are_exact(database: Database) {
    let largest_count = (1 << 53) - 1;
    let rows: Vec<Model> = (0..2_100)
        .map(|number| match number % 3 {
            0 => Model { followers: Some(largest_count), ..rows::tiktok_purchase(number, i64::MAX) },
            1 => rows::checkout(number, "large", i64::MAX),
            _ => rows::checkout(number, "larger by one ten-thousandth", i64::MAX),
        })
        .chain([rows::checkout(3_000, "larger by one ten-thousandth", 1)])
        .chain((3_001..3_003).map(|number| rows::checkout(number, "two halves that carry", (1 << 26) - 1)))
        .chain((3_003..3_006).map(|number| rows::checkout(number, "three thirds that carry", (1 << 26) - 1)))
        .chain([rows::checkout(3_006, "whole", (1 << 27) - 1)])
        .collect();
    compare(&database, &rows).await;
}

async fn a_user_with_a_birthday_counts_in_both_age_groups(database: Database) {
    let aged =
        |number, age| Model { user_id: "same".into(), age: Some(age), ..rows::checkout(number, "c", 1) };
    let reporting = given(&database, vec![aged(1, 24), aged(2, 25), aged(3, 25)]).await.1;
    let response = reporting.client().get_demographics(GetDemographicsRequest::default()).await.unwrap();
    let facebook = response.into_inner().facebook.unwrap();
    let users: Vec<u64> = facebook.age_groups.iter().map(|group| group.users).collect();
    assert_eq!((facebook.users, users), (1, vec![0, 1, 1, 0, 0, 0]));
    assert_eq!(facebook.average_age, 24.67);
}

/// Compares each report over all rows, with and without a series.
async fn compare(database: &Database, rows: &[Model]) {
    let (rows, reporting) = given(database, rows.to_vec()).await;
    for group_by in GROUPINGS.map(i32::from) {
        let request = GetEventStatisticsRequest { group_by, ..Default::default() };
        let response = reporting.client().get_event_statistics(request).await.unwrap().into_inner();
        assert_eq!(response, expected::event_statistics(&rows, &request));

        let request = GetRevenueRequest { group_by, ..Default::default() };
        let response = reporting.client().get_revenue(request.clone()).await.unwrap().into_inner();
        assert_eq!(response, expected::revenue(&rows, &request));
    }
    let request = GetDemographicsRequest::default();
    let response = reporting.client().get_demographics(request).await.unwrap().into_inner();
    assert_eq!(response, expected::demographics(&rows, &request));
}

async fn given(database: &Database, rows: Vec<Model>) -> (Vec<Model>, Running) {
    rows::store(database, &rows).await;
    (rows, Running::on(database, "30000").await)
}
