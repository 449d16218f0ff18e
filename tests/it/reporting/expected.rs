//! The expected responses of the reports, computed over the rows in the plainest way and by other means than reporting
//! uses: decimals, calendar dates, sets.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use chrono::{DateTime, DurationRound as _, TimeDelta};
use prost_types::Timestamp;
use rust_decimal::{Decimal, RoundingStrategy};
use weir::contract::reporting::v1::{
    CampaignRevenue, CityUsers, CountryUsers, DateRange, DeviceUsers, EventBucket, EventCount,
    FacebookDemographics, GenderUsers, GetDemographicsRequest, GetDemographicsResponse,
    GetEventStatisticsRequest, GetEventStatisticsResponse, GetRevenueRequest, GetRevenueResponse, GroupBy,
    GroupUsers, RevenueBucket, SourceRevenue, TiktokDemographics,
};
use weir_database::entity::events::Model;
use weir_event::{EventType, FunnelStage, Gender, Source, TiktokDevice};

pub(super) fn event_statistics(
    rows: &[Model],
    request: &GetEventStatisticsRequest,
) -> GetEventStatisticsResponse {
    let matching = rows.iter().filter(|row| {
        in_range(row, request.from, request.to)
            && is_any_or(request.source, row.source)
            && is_any_or(request.funnel_stage, row.funnel_stage)
            && is_any_or(request.event_type, row.event_type)
    });
    let matching: Vec<&Model> = matching.collect();
    let by_type = grouped(&matching, |row| Some((row.source, row.funnel_stage, row.event_type)));
    let mut events: Vec<EventCount> = by_type
        .into_iter()
        .map(|((source, stage, event_type), rows)| EventCount {
            source: source.into(),
            funnel_stage: stage.into(),
            event_type: event_type.into(),
            count: rows.len() as u64,
        })
        .collect();
    events.sort_by_key(|row| {
        let stage = FunnelStage::from_number(row.funnel_stage).unwrap().name();
        let event_type = EventType::from_number(row.event_type).unwrap().name();
        (Reverse(row.count), source_name(row.source), stage, event_type)
    });
    let bucket = |(bucket, rows): (_, Vec<&Model>)| EventBucket { bucket, count: rows.len() as u64 };
    GetEventStatisticsResponse {
        date_range: Some(DateRange { from: request.from, to: request.to }),
        total_events: matching.len() as u64,
        events,
        series: buckets(&matching, request.group_by).into_iter().map(bucket).collect(),
        rounded_range: None,
    }
}

pub(super) fn revenue(rows: &[Model], request: &GetRevenueRequest) -> GetRevenueResponse {
    let matching = rows.iter().filter(|row| {
        let of_campaign = request.campaign_id.is_none()
            || (row.campaign_id == request.campaign_id && i32::from(row.source) == Source::Facebook.number());
        in_range(row, request.from, request.to)
            && is_any_or(request.source, row.source)
            && is_transaction(row)
            && of_campaign
    });
    let matching: Vec<&Model> = matching.collect();
    let mut sources: Vec<_> = grouped(&matching, |row| Some(i32::from(row.source))).into_iter().collect();
    sources.sort_by_key(|(source, rows)| (Reverse(total(rows)), source_name(*source)));
    let mut campaigns: Vec<_> = grouped(&matching, |row| row.campaign_id.clone()).into_iter().collect();
    campaigns.sort_by_key(|(campaign, rows)| (Reverse(total(rows)), campaign.clone()));
    campaigns.truncate(limit(request.limit));
    GetRevenueResponse {
        date_range: Some(DateRange { from: request.from, to: request.to }),
        currency: "USD".into(),
        total_revenue: money(total(&matching)),
        total_transactions: matching.len() as u64,
        average_transaction_value: average(&matching),
        revenue: sources
            .into_iter()
            .map(|(source, rows)| SourceRevenue {
                source,
                total_revenue: money(total(&rows)),
                transaction_count: rows.len() as u64,
                average_transaction_value: average(&rows),
            })
            .collect(),
        campaigns: campaigns
            .into_iter()
            .map(|(campaign_id, rows)| CampaignRevenue {
                campaign_id,
                total_revenue: money(total(&rows)),
                transaction_count: rows.len() as u64,
            })
            .collect(),
        series: buckets(&matching, request.group_by)
            .into_iter()
            .map(|(bucket, rows)| RevenueBucket {
                bucket,
                total_revenue: money(total(&rows)),
                transaction_count: rows.len() as u64,
            })
            .collect(),
        rounded_range: None,
        missed_at_most: None,
    }
}

pub(super) fn demographics(rows: &[Model], request: &GetDemographicsRequest) -> GetDemographicsResponse {
    let of = |source: Source| -> Option<Vec<&Model>> {
        let number = i16::try_from(source.number()).unwrap();
        let rows = rows.iter().filter(|row| row.source == number && in_range(row, request.from, request.to));
        is_any_or(request.source, number).then(|| rows.collect())
    };
    GetDemographicsResponse {
        date_range: Some(DateRange { from: request.from, to: request.to }),
        facebook: of(Source::Facebook).map(|rows| facebook(&rows, limit(request.limit))),
        tiktok: of(Source::Tiktok).map(|rows| tiktok(&rows, limit(request.limit))),
    }
}

fn facebook(rows: &[&Model], limit: usize) -> FacebookDemographics {
    let age = |row: &Model| i64::from(row.age.unwrap());
    let cities = |row: &Model| Some((row.country.clone()?, row.city.clone()?));
    FacebookDemographics {
        users: users(rows),
        average_age: float(&mean(rows, age)),
        average_age_decimal: mean(rows, age),
        age_groups: in_groups(
            rows,
            age,
            &[("<18", 0), ("18-24", 18), ("25-34", 25), ("35-44", 35), ("45-54", 45), ("55+", 55)],
        ),
        genders: ranked(rows, |row| Some(Gender::from_number(row.gender?.into()).unwrap().name()), 3)
            .into_iter()
            .map(|(name, users)| GenderUsers {
                gender: Gender::from_name(name).unwrap().number(),
                users,
                relative_error: None,
            })
            .collect(),
        countries: countries(rows, limit),
        cities: ranked(rows, cities, limit)
            .into_iter()
            .map(|((country, city), users)| CityUsers { country, city, users, relative_error: None })
            .collect(),
        estimate: false,
        relative_error: None,
        complete_from: None,
    }
}

fn tiktok(rows: &[&Model], limit: usize) -> TiktokDemographics {
    let followers = |row: &Model| row.followers.unwrap();
    let device = |row: &Model| Some(TiktokDevice::from_number(row.device?.into()).unwrap().name());
    TiktokDemographics {
        users: users(rows),
        average_followers: float(&mean(rows, followers)),
        average_followers_decimal: mean(rows, followers),
        follower_groups: in_groups(
            rows,
            followers,
            &[("<100", 0), ("100-999", 100), ("1K-9.9K", 1_000), ("10K-99.9K", 10_000), ("100K+", 100_000)],
        ),
        countries: countries(rows, limit),
        devices: ranked(rows, device, limit)
            .into_iter()
            .map(|(name, users)| DeviceUsers {
                device: TiktokDevice::from_name(name).unwrap().number(),
                users,
                relative_error: None,
            })
            .collect(),
        estimate: false,
        relative_error: None,
        complete_from: None,
    }
}

fn countries(rows: &[&Model], limit: usize) -> Vec<CountryUsers> {
    let countries = ranked(rows, |row| row.country.clone(), limit);
    countries
        .into_iter()
        .map(|(country, users)| CountryUsers { country, users, relative_error: None })
        .collect()
}

/// Users by group, by users descending, then by name.
fn ranked<K: Ord + Clone>(rows: &[&Model], key: impl Fn(&Model) -> Option<K>, limit: usize) -> Vec<(K, u64)> {
    let mut groups: Vec<_> =
        grouped(rows, key).into_iter().map(|(name, rows)| (name, users(&rows))).collect();
    groups.sort_by_key(|(name, users)| (Reverse(*users), name.clone()));
    groups.truncate(limit);
    groups
}

/// Users of every group; a group is named with its first number.
fn in_groups(rows: &[&Model], number: impl Fn(&Model) -> i64, groups: &[(&str, i64)]) -> Vec<GroupUsers> {
    let name_of = |row: &Model| groups.iter().rev().find(|(_, first)| number(row) >= *first).unwrap().0;
    let of = |name: &str| rows.iter().copied().filter(|row| name_of(row) == name).collect::<Vec<_>>();
    groups
        .iter()
        .map(|(name, _)| GroupUsers { group: (*name).into(), users: users(&of(name)), relative_error: None })
        .collect()
}

fn users(rows: &[&Model]) -> u64 {
    rows.iter().map(|row| &row.user_id).collect::<BTreeSet<_>>().len() as u64
}

fn mean(rows: &[&Model], number: impl Fn(&Model) -> i64) -> String {
    let sum: Decimal = rows.iter().map(|row| Decimal::from(number(row))).sum();
    format!("{:.2}", rounded(sum, rows.len()))
}

fn float(decimal: &str) -> f64 {
    decimal.parse().unwrap()
}

fn is_transaction(row: &Model) -> bool {
    let kind = (Source::from_number(row.source.into()), EventType::from_number(row.event_type.into()));
    row.purchase_amount.is_some()
        && [
            (Some(Source::Facebook), Some(EventType::CheckoutComplete)),
            (Some(Source::Tiktok), Some(EventType::Purchase)),
        ]
        .contains(&kind)
}

fn total(rows: &[&Model]) -> Decimal {
    rows.iter().map(|row| Decimal::new(row.purchase_amount.unwrap(), 4)).sum()
}

fn average(rows: &[&Model]) -> String {
    money(rounded(total(rows), rows.len()))
}

fn rounded(sum: Decimal, count: usize) -> Decimal {
    let mean = sum.checked_div(Decimal::from(count)).unwrap_or_default();
    mean.round_dp_with_strategy(2, RoundingStrategy::MidpointNearestEven)
}

fn money(amount: Decimal) -> String {
    let mut amount = amount.normalize();
    amount.rescale(amount.scale().max(2));
    amount.to_string()
}

/// Every bucket from the first to the last with data, by its start.
fn buckets<'a>(rows: &[&'a Model], group_by: i32) -> Vec<(Option<Timestamp>, Vec<&'a Model>)> {
    let width = match GroupBy::try_from(group_by).unwrap() {
        GroupBy::Unspecified => return Vec::new(),
        GroupBy::Hour => TimeDelta::hours(1),
        GroupBy::Day => TimeDelta::days(1),
    };
    let start = |row: &Model| {
        let time = DateTime::from_timestamp_micros(row.occurred_at).unwrap();
        Some(time.duration_trunc(width).unwrap())
    };
    let mut with_data = grouped(rows, start);
    let (Some(first), Some(last)) = (with_data.keys().next().copied(), with_data.keys().last().copied())
    else {
        return Vec::new();
    };
    std::iter::successors(Some(first), |start| Some(*start + width))
        .take_while(|start| *start <= last)
        .map(|start| {
            let bucket = Timestamp { seconds: start.timestamp(), nanos: 0 };
            (Some(bucket), with_data.remove(&start).unwrap_or_default())
        })
        .collect()
}

fn grouped<'a, K: Ord>(rows: &[&'a Model], key: impl Fn(&Model) -> Option<K>) -> BTreeMap<K, Vec<&'a Model>> {
    let mut groups = BTreeMap::<K, Vec<&Model>>::new();
    for row in rows {
        if let Some(key) = key(row) {
            groups.entry(key).or_default().push(row);
        }
    }
    groups
}

/// Compares nanoseconds, so that nothing is rounded.
fn in_range(row: &Model, from: Option<Timestamp>, to: Option<Timestamp>) -> bool {
    let nanoseconds = |time: Timestamp| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    let occurred_at = i128::from(row.occurred_at) * 1_000;
    from.is_none_or(|from| occurred_at >= nanoseconds(from))
        && to.is_none_or(|to| occurred_at < nanoseconds(to))
}

fn is_any_or(requested: i32, number: i16) -> bool {
    requested == 0 || requested == i32::from(number)
}

fn source_name(number: i32) -> &'static str {
    Source::from_number(number).unwrap().name()
}

fn limit(limit: Option<u32>) -> usize {
    usize::try_from(limit.unwrap_or(10)).unwrap()
}
