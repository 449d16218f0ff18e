//! The demographics report: distinct users by group.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    event::{Event, text},
    money::mean,
    rows::by_size_then_name,
};

/// The users of each group. A user belongs to every group that one of the user's events names.
type Groups = BTreeMap<String, BTreeSet<String>>;

pub(super) fn facebook(events: &[&Event], limit: usize) -> Value {
    let ages = grouped(events, |event| age_group(number(&event.data["user"]["age"])).to_owned());
    let genders = grouped(events, |event| text(&event.data["user"]["gender"]));
    let countries = grouped(events, |event| text(&event.data["user"]["location"]["country"]));
    json!({
        "users": users(events),
        "averageAge": mean(events.iter().map(|event| number(&event.data["user"]["age"]))),
        "ageGroups": complete(&ages, &["<18", "18-24", "25-34", "35-44", "45-54", "55+"]),
        "genders": ranked("gender", genders, usize::MAX),
        "countries": ranked("country", countries, limit),
        "cities": cities(events, limit),
    })
}

pub(super) fn tiktok(events: &[&Event], limit: usize) -> Value {
    let followers = |event: &&Event| number(&event.data["user"]["followers"]);
    let top: Vec<_> = events.iter().copied().filter(|event| event.stage == "top").collect();
    let groups = grouped(events, |event| follower_group(followers(&event)).to_owned());
    let countries = grouped(&top, |event| text(&event.data["engagement"]["country"]));
    let devices = grouped(&top, |event| text(&event.data["engagement"]["device"]));
    json!({
        "users": users(events),
        "averageFollowers": mean(events.iter().map(followers)),
        "followerGroups": complete(&groups, &["<100", "100-999", "1K-9.9K", "10K-99.9K", "100K+"]),
        "countries": ranked("country", countries, limit),
        "devices": ranked("device", devices, limit),
    })
}

fn age_group(age: i64) -> &'static str {
    match age {
        ..18 => "<18",
        18..25 => "18-24",
        25..35 => "25-34",
        35..45 => "35-44",
        45..55 => "45-54",
        55.. => "55+",
    }
}

fn follower_group(followers: i64) -> &'static str {
    match followers {
        ..100 => "<100",
        100..1_000 => "100-999",
        1_000..10_000 => "1K-9.9K",
        10_000..100_000 => "10K-99.9K",
        100_000.. => "100K+",
    }
}

fn users(events: &[&Event]) -> usize {
    events.iter().map(|event| user(event)).collect::<BTreeSet<_>>().len()
}

fn grouped(events: &[&Event], group: impl Fn(&Event) -> String) -> Groups {
    let mut groups = Groups::new();
    for event in events {
        groups.entry(group(event)).or_default().insert(user(event));
    }
    groups
}

fn cities(events: &[&Event], limit: usize) -> Vec<Value> {
    let mut cities = BTreeMap::<_, BTreeSet<_>>::new();
    for event in events {
        let location = &event.data["user"]["location"];
        cities.entry((text(&location["country"]), text(&location["city"]))).or_default().insert(user(event));
    }
    let sizes = cities.into_iter().map(|(city, users)| (city, users.len() as u64));
    let rows = by_size_then_name(sizes, limit).into_iter();
    rows.map(|((country, city), users)| json!({"country": country, "city": city, "users": users})).collect()
}

/// Every group in a fixed order, empty ones included.
fn complete(groups: &Groups, names: &[&str]) -> Vec<Value> {
    let row = |name: &&str| json!({"group": name, "users": groups.get(*name).map_or(0, BTreeSet::len)});
    names.iter().map(row).collect()
}

fn ranked(label: &str, groups: Groups, limit: usize) -> Vec<Value> {
    let sizes = groups.into_iter().map(|(name, users)| (name, users.len() as u64));
    let rows = by_size_then_name(sizes, limit).into_iter();
    rows.map(|(name, users)| json!({label: name, "users": users})).collect()
}

fn user(event: &Event) -> String {
    text(&event.data["user"]["userId"])
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value} is no integer"))
}
