//! `GET /reports/demographics`: distinct users by group, and the means over their events.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{RawQuery, State},
};
use serde::Serialize;
use utoipa::ToSchema;
use weir::contract::{Mean, reporting::v1};
use weir_event::Source;
use weir_process::CallContext;

use super::{Client, DateRange, device_name, gender_name, query::Query, rfc3339, timestamp};
use crate::{
    problem::{Problem, ProblemBody},
    router::EdgeState,
};

/// Who: distinct users by group. A user counts once in every group that an event of the user in the range names;
/// erased users don't count.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DemographicsReport {
    date_range: DateRange,
    #[serde(skip_serializing_if = "Option::is_none")]
    facebook: Option<FacebookDemographics>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tiktok: Option<TiktokDemographics>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FacebookDemographics {
    users: u64,
    /// Mean over the events, rounded half-even to two decimals; 0 without events.
    #[schema(value_type = f64, example = 41.5)]
    average_age: Mean,
    /// All of them, in their order.
    age_groups: Vec<GroupUsers>,
    genders: Vec<GenderUsers>,
    countries: Vec<CountryUsers>,
    cities: Vec<CityUsers>,
    #[serde(flatten)]
    precision: Precision,
    /// Where the range begins earlier than the source's rows, which are removed after their time: the section is about
    /// events of this time and later.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2025-06-16T07:21:00Z")]
    complete_from: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TiktokDemographics {
    users: u64,
    /// Mean over the events, rounded half-even to two decimals; 0 without events. It is exact as written: above 2^46 read
    /// it as a decimal, because a float drops decimals there.
    #[schema(value_type = f64, example = 1208.25)]
    average_followers: Mean,
    /// All of them, in their order.
    follower_groups: Vec<GroupUsers>,
    /// Of top events.
    countries: Vec<CountryUsers>,
    /// Of top events.
    devices: Vec<DeviceUsers>,
    #[serde(flatten)]
    precision: Precision,
    /// Where the range begins earlier than the source's rows, which are removed after their time: the section is about
    /// events of this time and later.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2025-06-16T07:21:00Z")]
    complete_from: Option<String>,
}

/// How exact distinct users are; absent where they are exact.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Precision {
    /// True where distinct users were estimated, which happens only above 2,000,000 users.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    estimate: bool,
    /// The estimate's relative standard error.
    #[serde(skip_serializing_if = "Option::is_none")]
    relative_error: Option<f64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupUsers {
    #[schema(example = "18-24")]
    group: String,
    users: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GenderUsers {
    #[schema(example = "non-binary")]
    gender: &'static str,
    users: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CountryUsers {
    country: String,
    users: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CityUsers {
    country: String,
    city: String,
    users: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeviceUsers {
    #[schema(example = "iOS")]
    device: &'static str,
    users: u64,
}

/// Who
///
/// Distinct users by group. With source the other source's section is absent.
#[utoipa::path(get, path = "/reports/demographics", tag = "reports", operation_id = "getDemographicsReport",
    params(
        ("from" = Option<String>, Query, description = "RFC 3339 or a date, inclusive; absent is unbounded", example = "2025-09-14"),
        ("to" = Option<String>, Query, description = "RFC 3339 or a date, exclusive; absent is unbounded", example = "2025-09-15T00:00:00Z"),
        ("source" = Option<String>, Query, description = "facebook or tiktok"),
        ("limit" = Option<u32>, Query, description = "How many countries, cities and devices: 1 to 1000, 10 where absent", minimum = 1, maximum = 1000),
    ),
    responses(
        (status = 200, description = "The report", body = DemographicsReport),
        (status = 400, description = "Bad parameters, each named", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Try again after Retry-After", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_demographics_report(
    State(edge): State<Arc<EdgeState>>,
    Extension(context): Extension<CallContext>,
    RawQuery(query): RawQuery,
) -> Result<Json<DemographicsReport>, Problem> {
    let question = question(query.as_deref())?;
    let rpc = |mut client: Client, request| async move { client.get_demographics(request).await };
    let answer = edge.reports.ask(question, &context, rpc).await?;
    Ok(Json(answer.into()))
}

fn question(query: Option<&str>) -> Result<v1::GetDemographicsRequest, Problem> {
    let mut query = Query::parse(query, &["from", "to", "source", "limit"]);
    let range = query.range();
    let question = v1::GetDemographicsRequest {
        from: range.from.map(timestamp),
        to: range.to.map(timestamp),
        source: query.source().map_or(0, Source::number),
        limit: query.limit(),
    };
    query.finish().map(|()| question)
}

impl From<v1::GetDemographicsResponse> for DemographicsReport {
    fn from(answer: v1::GetDemographicsResponse) -> Self {
        Self {
            date_range: answer.date_range.unwrap_or_default().into(),
            facebook: answer.facebook.map(Into::into),
            tiktok: answer.tiktok.map(Into::into),
        }
    }
}

impl From<v1::FacebookDemographics> for FacebookDemographics {
    fn from(section: v1::FacebookDemographics) -> Self {
        let gender = |row: v1::GenderUsers| GenderUsers { gender: gender_name(row.gender), users: row.users };
        let city = |row: v1::CityUsers| CityUsers { country: row.country, city: row.city, users: row.users };
        Self {
            users: section.users,
            average_age: section.mean_age(),
            age_groups: section.age_groups.into_iter().map(Into::into).collect(),
            genders: section.genders.into_iter().map(gender).collect(),
            countries: section.countries.into_iter().map(Into::into).collect(),
            cities: section.cities.into_iter().map(city).collect(),
            precision: Precision::of(section.estimate, section.relative_error),
            complete_from: section.complete_from.map(rfc3339),
        }
    }
}

impl From<v1::TiktokDemographics> for TiktokDemographics {
    fn from(section: v1::TiktokDemographics) -> Self {
        let device = |row: v1::DeviceUsers| DeviceUsers { device: device_name(row.device), users: row.users };
        Self {
            users: section.users,
            average_followers: section.mean_followers(),
            follower_groups: section.follower_groups.into_iter().map(Into::into).collect(),
            countries: section.countries.into_iter().map(Into::into).collect(),
            devices: section.devices.into_iter().map(device).collect(),
            precision: Precision::of(section.estimate, section.relative_error),
            complete_from: section.complete_from.map(rfc3339),
        }
    }
}

impl Precision {
    fn of(estimate: bool, relative_error: Option<f64>) -> Self {
        Self { estimate, relative_error: relative_error.filter(|_| estimate) }
    }
}

impl From<v1::GroupUsers> for GroupUsers {
    fn from(row: v1::GroupUsers) -> Self {
        Self { group: row.group, users: row.users }
    }
}

impl From<v1::CountryUsers> for CountryUsers {
    fn from(row: v1::CountryUsers) -> Self {
        Self { country: row.country, users: row.users }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn section(estimate: bool, complete_from: Option<prost_types::Timestamp>) -> serde_json::Value {
        let facebook = v1::FacebookDemographics {
            users: 2,
            average_age: 24.5,
            average_age_decimal: "24.50".into(),
            age_groups: vec![v1::GroupUsers { group: "<18".into(), users: 0 }],
            genders: vec![v1::GenderUsers { gender: 3, users: 2 }],
            countries: vec![v1::CountryUsers { country: "Chad".into(), users: 2 }],
            cities: vec![v1::CityUsers { country: "Chad".into(), city: "Abéché".into(), users: 2 }],
            estimate,
            relative_error: Some(0.01),
            complete_from,
        };
        let answer = v1::GetDemographicsResponse { facebook: Some(facebook), ..Default::default() };
        serde_json::to_value(DemographicsReport::from(answer)).unwrap()
    }

    #[test]
    fn a_section_has_the_names_of_the_wire_and_the_other_is_absent() {
        assert_eq!(
            section(false, None),
            json!({"dateRange": {"from": null, "to": null}, "facebook": {
                "users": 2, "averageAge": 24.5, "ageGroups": [{"group": "<18", "users": 0}],
                "genders": [{"gender": "non-binary", "users": 2}],
                "countries": [{"country": "Chad", "users": 2}],
                "cities": [{"country": "Chad", "city": "Abéché", "users": 2}],
            }})
        );
    }

    #[test]
    fn a_mean_that_no_float_holds_keeps_its_digits() {
        let tiktok = v1::TiktokDemographics {
            average_followers: 9_007_199_254_740_990.0,
            average_followers_decimal: "9007199254740990.50".into(),
            ..Default::default()
        };
        let answer = v1::GetDemographicsResponse { tiktok: Some(tiktok), ..Default::default() };
        let written = serde_json::to_string(&DemographicsReport::from(answer)).unwrap();
        assert!(written.contains(r#""averageFollowers":9007199254740990.5,"#), "{written}");
    }

    #[test]
    fn an_estimate_says_so() {
        let section = section(true, None);
        assert_eq!(section["facebook"]["estimate"], json!(true));
        assert_eq!(section["facebook"]["relativeError"], json!(0.01));
    }

    #[test]
    fn a_section_that_begins_later_than_the_range_says_when() {
        let section = section(false, Some(prost_types::Timestamp { seconds: 1_757_833_200, nanos: 0 }));
        assert_eq!(section["facebook"]["completeFrom"], json!("2025-09-14T07:00:00Z"));
    }
}
