//! Refusals of reporting: invalid requests, missing tables and timeouts; and its readiness afterwards.

use prost_types::Timestamp;
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use tonic::{Code, Request, Status};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt as _;
use weir::contract::reporting::v1::{
    GetDemographicsRequest, GetEventStatisticsRequest, GetRevenueRequest, GroupBy,
};
use weir_database::entity::events::Model;
use weir_process::Reason;
use weir_testkit::database::{Database, on_both_databases};

use super::{given, rows, running::Running};

on_both_databases!(
    a_refusal_names_every_invalid_field,
    a_series_of_ten_thousand_buckets_is_answered_and_a_longer_one_refused,
    reporting_is_unready_and_unavailable_while_a_table_is_missing,
    only_valid_requests_are_measured,
);

async fn a_refusal_names_every_invalid_field(database: Database) {
    let reporting = given(&database, Vec::new()).await.1;
    let (early, late) = (Some(Timestamp::default()), Some(Timestamp { seconds: 1, nanos: 0 }));
    let events = GetEventStatisticsRequest {
        from: late,
        to: early,
        source: 9,
        funnel_stage: 9,
        event_type: 99,
        group_by: 9,
    };
    let refused = reporting.client().get_event_statistics(events).await.unwrap_err();
    assert_invalid(&refused, &["from", "source", "funnel_stage", "event_type", "group_by"]);

    let impossible = Some(Timestamp { seconds: i64::MAX, nanos: -1 });
    let revenue = GetRevenueRequest {
        from: impossible,
        to: impossible,
        campaign_id: Some("\0".into()),
        limit: Some(1_001),
        ..Default::default()
    };
    let refused = reporting.client().get_revenue(revenue).await.unwrap_err();
    assert_invalid(&refused, &["from", "to", "campaign_id", "limit"]);

    let demographics = GetDemographicsRequest { limit: Some(0), ..Default::default() };
    let refused = reporting.client().get_demographics(demographics).await.unwrap_err();
    assert_invalid(&refused, &["limit"]);
}

async fn a_series_of_ten_thousand_buckets_is_answered_and_a_longer_one_refused(database: Database) {
    let hour = 3_600_000_000;
    let at = |number, hours: i64| Model { occurred_at: hours * hour, ..rows::checkout(number, "c", 1) };
    let reporting = given(&database, vec![at(1, 0), at(2, 9_999), at(3, 10_000), at(4, 10_000 * 24)]).await.1;
    let to = |hours: i64| Some(Timestamp { seconds: hours * 3_600, nanos: 0 });
    let events = |to, group_by: GroupBy| {
        let request = GetEventStatisticsRequest { to, group_by: group_by.into(), ..Default::default() };
        let mut client = reporting.client();
        async move { client.get_event_statistics(request).await.map(|answer| answer.into_inner().series.len()) }
    };
    assert_eq!(events(to(10_000), GroupBy::Hour).await.unwrap(), 10_000);
    assert_eq!(events(to(10_000 * 24), GroupBy::Day).await.unwrap(), 417);

    let too_fine = events(to(10_001), GroupBy::Hour).await.unwrap_err();
    assert_invalid(&too_fine, &["group_by"]);
    let advice = too_fine.get_details_bad_request().unwrap().field_violations.remove(0).description;
    assert!(advice.contains("day"), "{advice}");
    assert_invalid(&events(None, GroupBy::Day).await.unwrap_err(), &["group_by"]);

    let revenue = GetRevenueRequest { group_by: GroupBy::Hour.into(), ..Default::default() };
    assert_invalid(&reporting.client().get_revenue(revenue).await.unwrap_err(), &["group_by"]);
}

async fn reporting_is_unready_and_unavailable_while_a_table_is_missing(database: Database) {
    let store = database.migrated().await;
    let reporting = Running::on(&database, "30000").await;
    reporting.readiness.changed_from(false).await;
    assert_health(&reporting, ServingStatus::Serving).await;

    // Reporting reads the horizons only for such a range.
    let between_minutes = Some(Timestamp { seconds: 1, nanos: 0 });
    store.execute_unprepared("ALTER TABLE horizons RENAME TO elsewhere").await.unwrap();
    assert_unavailable(&request_from(&reporting, between_minutes).await.unwrap_err());
    reporting.readiness.changed_from(true).await;
    assert_health(&reporting, ServingStatus::NotServing).await;

    store.execute_unprepared("ALTER TABLE elsewhere RENAME TO horizons").await.unwrap();
    reporting.readiness.changed_from(false).await;
    assert_health(&reporting, ServingStatus::Serving).await;
    request_from(&reporting, between_minutes).await.unwrap();
}

async fn only_valid_requests_are_measured(database: Database) {
    let reporting = given(&database, Vec::new()).await.1;
    request(&reporting).await.unwrap();
    let bad = GetRevenueRequest { limit: Some(0), ..Default::default() };
    reporting.client().get_revenue(bad).await.unwrap_err();
    let metrics = reporting.metrics();
    assert!(metrics.contains(r#"report_duration_seconds_count{report_type="events"} 1"#), "{metrics}");
    assert!(!metrics.contains("revenue"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_waits_for_a_locked_table_times_out() {
    let database = Database::postgres().await;
    let store = database.migrated().await;
    let reporting = Running::on(&database, "300").await;
    let lock = store.begin().await.unwrap();
    lock.execute_unprepared("LOCK TABLE rollups IN ACCESS EXCLUSIVE MODE").await.unwrap();

    assert_unavailable(&request(&reporting).await.unwrap_err());
    lock.rollback().await.unwrap();
    request(&reporting).await.unwrap();
}

async fn request(reporting: &Running) -> Result<(), Status> {
    request_from(reporting, None).await
}

async fn request_from(reporting: &Running, from: Option<Timestamp>) -> Result<(), Status> {
    let call = Request::new(GetEventStatisticsRequest { from, ..Default::default() });
    reporting.client().get_event_statistics(call).await.map(drop)
}

/// Waits for a health status: a task of its own changes it after the readiness.
async fn assert_health(reporting: &Running, expected: ServingStatus) {
    let service = "weir.reporting.v1.ReportingService".to_owned();
    let mut health = HealthClient::new(reporting.channel.clone());
    let mut changes = health.watch(HealthCheckRequest { service }).await.unwrap().into_inner();
    while changes.message().await.unwrap().expect("health is watched for ever").status() != expected {}
}

fn assert_unavailable(status: &Status) {
    assert_eq!((status.code(), Reason::of(status)), (Code::Unavailable, Some(Reason::StoreUnavailable)));
    assert!(status.get_details_retry_info().is_some());
}

fn assert_invalid(status: &Status, fields: &[&str]) {
    assert_eq!((status.code(), Reason::of(status)), (Code::InvalidArgument, Some(Reason::InvalidRequest)));
    let violations = status.get_details_bad_request().unwrap().field_violations;
    let named: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(named, fields);
}
