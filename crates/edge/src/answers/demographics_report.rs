//! The report of demographics: distinct users by group, and means over their events.

use serde::Serialize;
use utoipa::ToSchema;
use weir::contract::{Mean, reporting::v1};
use weir_event::{Gender, TiktokDevice};

use super::values::{DateRange, rfc3339};

/// Distinct users by group. A user counts once in every group that an event of the user in the range names; erased
/// users don't count.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DemographicsReport {
    date_range: DateRange,
    #[serde(skip_serializing_if = "Option::is_none")]
    facebook: Option<FacebookDemographics>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tiktok: Option<TiktokDemographics>,
}

/// Users of Facebook.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FacebookDemographics {
    users: u64,
    /// Mean over the events, rounded half-even to two decimals; 0 without events.
    #[schema(value_type = f64, example = 41.5)]
    average_age: Mean,
    /// All groups, in ascending order.
    age_groups: Vec<GroupUsers>,
    genders: Vec<GenderUsers>,
    countries: Vec<CountryUsers>,
    cities: Vec<CityUsers>,
    #[serde(flatten)]
    precision: Precision,
    /// Present where the range begins before the oldest rows of the source, because rows are removed after their
    /// time. The section covers events from this time on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2025-06-16T07:21:00Z")]
    complete_from: Option<String>,
}

/// Users of TikTok.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TiktokDemographics {
    users: u64,
    /// Mean over the events, rounded half-even to two decimals; 0 without events. The digits are exact. Above 2^46
    /// read them as a decimal, because a float drops decimals there.
    #[schema(value_type = f64, example = 1208.25)]
    average_followers: Mean,
    /// All groups, in ascending order.
    follower_groups: Vec<GroupUsers>,
    /// Of top events.
    countries: Vec<CountryUsers>,
    /// Of top events.
    devices: Vec<DeviceUsers>,
    #[serde(flatten)]
    precision: Precision,
    /// Present where the range begins before the oldest rows of the source, because rows are removed after their
    /// time. The section covers events from this time on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2025-06-16T07:21:00Z")]
    complete_from: Option<String>,
}

/// The precision of the numbers of distinct users; absent where they are exact.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Precision {
    /// True where distinct users are estimated, which happens only above 2,000,000 users.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    estimate: bool,
    /// The estimate's relative standard error.
    #[serde(skip_serializing_if = "Option::is_none")]
    relative_error: Option<f64>,
}

/// The precision of one row; absent where the section is exact.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RowError {
    /// The relative standard error of the row's users.
    #[serde(skip_serializing_if = "Option::is_none")]
    relative_error: Option<f64>,
}

/// Users of one age or follower group.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupUsers {
    #[schema(example = "18-24")]
    group: String,
    users: u64,
    #[serde(flatten)]
    error: RowError,
}

/// Users of one gender.
#[derive(Debug, Serialize, ToSchema)]
pub struct GenderUsers {
    #[schema(example = "non-binary")]
    gender: &'static str,
    users: u64,
    #[serde(flatten)]
    error: RowError,
}

/// Users of one country.
#[derive(Debug, Serialize, ToSchema)]
pub struct CountryUsers {
    country: String,
    users: u64,
    #[serde(flatten)]
    error: RowError,
}

/// Users of one city.
#[derive(Debug, Serialize, ToSchema)]
pub struct CityUsers {
    country: String,
    city: String,
    users: u64,
    #[serde(flatten)]
    error: RowError,
}

/// Users of one device.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeviceUsers {
    #[schema(example = "iOS")]
    device: &'static str,
    users: u64,
    #[serde(flatten)]
    error: RowError,
}

impl From<v1::GetDemographicsResponse> for DemographicsReport {
    fn from(response: v1::GetDemographicsResponse) -> Self {
        Self {
            date_range: response.date_range.unwrap_or_default().into(),
            facebook: response.facebook.map(Into::into),
            tiktok: response.tiktok.map(Into::into),
        }
    }
}

impl From<v1::FacebookDemographics> for FacebookDemographics {
    fn from(section: v1::FacebookDemographics) -> Self {
        let gender = |row: v1::GenderUsers| GenderUsers {
            gender: Gender::name_of(row.gender),
            users: row.users,
            error: RowError::of(row.relative_error),
        };
        let city = |row: v1::CityUsers| CityUsers {
            country: row.country,
            city: row.city,
            users: row.users,
            error: RowError::of(row.relative_error),
        };
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
        let device = |row: v1::DeviceUsers| DeviceUsers {
            device: TiktokDevice::name_of(row.device),
            users: row.users,
            error: RowError::of(row.relative_error),
        };
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

impl RowError {
    fn of(relative_error: Option<f64>) -> Self {
        Self { relative_error }
    }
}

impl From<v1::GroupUsers> for GroupUsers {
    fn from(row: v1::GroupUsers) -> Self {
        Self { group: row.group, users: row.users, error: RowError::of(row.relative_error) }
    }
}

impl From<v1::CountryUsers> for CountryUsers {
    fn from(row: v1::CountryUsers) -> Self {
        Self { country: row.country, users: row.users, error: RowError::of(row.relative_error) }
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
            age_groups: vec![v1::GroupUsers { group: "<18".into(), ..Default::default() }],
            genders: vec![v1::GenderUsers { gender: 3, users: 2, relative_error: estimate.then_some(0.25) }],
            countries: vec![v1::CountryUsers { country: "Chad".into(), users: 2, ..Default::default() }],
            cities: vec![v1::CityUsers {
                country: "Chad".into(),
                city: "Abéché".into(),
                users: 2,
                ..Default::default()
            }],
            estimate,
            relative_error: Some(0.01),
            complete_from,
        };
        let response = v1::GetDemographicsResponse { facebook: Some(facebook), ..Default::default() };
        serde_json::to_value(DemographicsReport::from(response)).unwrap()
    }

    #[test]
    fn a_section_has_the_names_of_the_api_and_the_other_one_is_absent() {
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
        let response = v1::GetDemographicsResponse { tiktok: Some(tiktok), ..Default::default() };
        let written = serde_json::to_string(&DemographicsReport::from(response)).unwrap();
        assert!(written.contains(r#""averageFollowers":9007199254740990.5,"#), "{written}");
    }

    #[test]
    fn an_estimate_is_marked() {
        let section = section(true, None);
        assert_eq!(section["facebook"]["estimate"], json!(true));
        assert_eq!(section["facebook"]["relativeError"], json!(0.01));
        assert_eq!(section["facebook"]["genders"][0]["relativeError"], json!(0.25));
    }

    #[test]
    fn a_section_that_begins_after_the_range_names_its_beginning() {
        let section = section(false, Some(prost_types::Timestamp { seconds: 1_757_833_200, nanos: 0 }));
        assert_eq!(section["facebook"]["completeFrom"], json!("2025-09-14T07:00:00Z"));
    }
}
