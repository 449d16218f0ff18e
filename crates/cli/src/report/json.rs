//! The answers as JSON, in the form that they have over HTTP.

use std::collections::BTreeMap;

use prost_types::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use weir::contract::{
    Mean,
    reporting::v1::{
        DateRange, FacebookDemographics, GetDemographicsResponse, GetEventStatisticsResponse,
        GetRevenueResponse, GroupUsers, TiktokDemographics,
    },
};

use super::names;

/// A JSON object with means, whose digits a `Value` would lose.
type Object = BTreeMap<String, Member>;

/// A member of an [`Object`].
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Member {
    Value(Value),
    Mean(Mean),
    Object(Object),
}

fn date_range(range: Option<DateRange>) -> Value {
    let range = range.unwrap_or_default();
    json!({ "from": names::time(range.from), "to": names::time(range.to) })
}

/// Each of `rows` as `to_json` writes it.
fn array<Row>(rows: &[Row], to_json: impl Fn(&Row) -> Value) -> Value {
    rows.iter().map(to_json).collect()
}

/// Adds `roundedRange` where an end was rounded, and `series` unless there is none.
fn with_range_and_series(mut report: Value, rounded: Option<DateRange>, series: Value) -> Value {
    if rounded.is_some() {
        report["roundedRange"] = date_range(rounded);
    }

    if series.as_array().is_some_and(|series| !series.is_empty()) {
        report["series"] = series;
    }
    report
}

pub(super) fn events(answer: &GetEventStatisticsResponse) -> Value {
    let report = json!({
        "dateRange": date_range(answer.date_range),
        "totalEvents": answer.total_events,
        "events": array(&answer.events, |row| json!({
            "source": names::source(row.source),
            "funnelStage": names::funnel_stage(row.funnel_stage),
            "eventType": names::event_type(row.event_type),
            "count": row.count,
        })),
    });
    let bucket = |count: u64, start| json!({ "bucket": names::time(start), "count": count });
    with_range_and_series(
        report,
        answer.rounded_range,
        array(&answer.series, |row| bucket(row.count, row.bucket)),
    )
}

pub(super) fn revenue(answer: &GetRevenueResponse) -> Value {
    let report = json!({
        "dateRange": date_range(answer.date_range),
        "currency": answer.currency,
        "totalRevenue": answer.total_revenue,
        "totalTransactions": answer.total_transactions,
        "averageTransactionValue": answer.average_transaction_value,
        "revenue": array(&answer.revenue, |row| json!({
            "source": names::source(row.source),
            "totalRevenue": row.total_revenue,
            "transactionCount": row.transaction_count,
            "averageTransactionValue": row.average_transaction_value,
        })),
        "campaigns": array(&answer.campaigns, |row| json!({
            "campaignId": row.campaign_id,
            "totalRevenue": row.total_revenue,
            "transactionCount": row.transaction_count,
        })),
    });
    with_range_and_series(
        report,
        answer.rounded_range,
        array(&answer.series, |row| {
            json!({
                "bucket": names::time(row.bucket),
                "totalRevenue": row.total_revenue,
                "transactionCount": row.transaction_count,
            })
        }),
    )
}

pub(super) fn demographics(answer: &GetDemographicsResponse) -> Object {
    let date_range = Member::Value(date_range(answer.date_range));
    let sections = [
        ("facebook", answer.facebook.as_ref().map(facebook)),
        ("tiktok", answer.tiktok.as_ref().map(tiktok)),
    ];
    let sections =
        sections.into_iter().filter_map(|(name, section)| Some((name.to_owned(), Member::Object(section?))));
    sections.chain([("dateRange".to_owned(), date_range)]).collect()
}

/// The members of a section and its mean.
fn with_mean(section: Value, name: &str, mean: Mean) -> Object {
    let Value::Object(members) = section else { unreachable!("a section is an object") };
    let members = members.into_iter().map(|(name, value)| (name, Member::Value(value)));
    members.chain([(name.to_owned(), Member::Mean(mean))]).collect()
}

fn facebook(section: &FacebookDemographics) -> Object {
    let report = json!({
        "users": section.users,
        "ageGroups": groups(&section.age_groups),
        "genders": array(&section.genders, |row| json!({
            "gender": names::gender(row.gender),
            "users": row.users,
        })),
        "countries": array(&section.countries, |row| json!({ "country": row.country, "users": row.users })),
        "cities": array(&section.cities, |row| json!({
            "country": row.country,
            "city": row.city,
            "users": row.users,
        })),
    });
    let report = with_estimate(report, section.estimate, section.relative_error);
    with_mean(with_start(report, section.complete_from), "averageAge", section.mean_age())
}

fn tiktok(section: &TiktokDemographics) -> Object {
    let report = json!({
        "users": section.users,
        "followerGroups": groups(&section.follower_groups),
        "countries": array(&section.countries, |row| json!({ "country": row.country, "users": row.users })),
        "devices": array(&section.devices, |row| json!({
            "device": names::device(row.device),
            "users": row.users,
        })),
    });
    let report = with_estimate(report, section.estimate, section.relative_error);
    with_mean(with_start(report, section.complete_from), "averageFollowers", section.mean_followers())
}

fn groups(groups: &[GroupUsers]) -> Value {
    array(groups, |row| json!({ "group": row.group, "users": row.users }))
}

/// Says since when the section's events are, where the range begins earlier.
fn with_start(mut report: Value, complete_from: Option<Timestamp>) -> Value {
    if let Some(start) = names::time(complete_from) {
        report["completeFrom"] = Value::String(start);
    }
    report
}

/// Says that users were estimated, where they were.
fn with_estimate(mut report: Value, estimate: bool, relative_error: Option<f64>) -> Value {
    if estimate {
        report["estimate"] = Value::Bool(true);
        report["relativeError"] = json!(relative_error);
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Option<Timestamp> = Some(Timestamp { seconds: 1_757_833_200, nanos: 0 });

    #[test]
    fn what_differs_from_the_question_is_told_and_else_absent() {
        let rounded_range = Some(DateRange { from: HOUR, to: None });
        let report = events(&GetEventStatisticsResponse { rounded_range, ..Default::default() });
        assert_eq!(report["roundedRange"], json!({"from": "2025-09-14T07:00:00Z", "to": null}));
        let report = revenue(&GetRevenueResponse { rounded_range, ..Default::default() });
        assert_eq!(report["roundedRange"], json!({"from": "2025-09-14T07:00:00Z", "to": null}));
        assert!(revenue(&GetRevenueResponse::default()).get("roundedRange").is_none());

        let facebook = Some(FacebookDemographics { complete_from: HOUR, ..Default::default() });
        let tiktok = Some(TiktokDemographics::default());
        let report = demographics(&GetDemographicsResponse { facebook, tiktok, ..Default::default() });
        let report = json!(report);
        assert_eq!(report["facebook"]["completeFrom"], "2025-09-14T07:00:00Z");
        assert!(report["tiktok"].get("completeFrom").is_none());
    }

    #[test]
    fn a_mean_that_no_float_holds_keeps_its_digits() {
        let tiktok = Some(TiktokDemographics {
            average_followers: 9_007_199_254_740_990.0,
            average_followers_decimal: "9007199254740990.50".into(),
            ..Default::default()
        });
        let report = demographics(&GetDemographicsResponse { tiktok, ..Default::default() });
        let written = serde_json::to_string_pretty(&report).unwrap();
        assert!(written.contains(r#""averageFollowers": 9007199254740990.5,"#), "{written}");
    }
}
