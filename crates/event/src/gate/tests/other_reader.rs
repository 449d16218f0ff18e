//! The gate against a second reading of the same rules: serde_json's `Value`, looked up by pointer.
//!
//! The tests compare only texts that `Value` reads the same way: it refuses lone surrogates and numbers that no float
//! holds, and keeps the last value of a repeated key.

use std::collections::BTreeSet;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Map, Value, json};

use super::*;

const ROUNDS: u64 = 20_000;
const GOOD_TIMES: [&str; 3] =
    ["2025-09-14T07:21:45.318Z", "2025-09-14t09:21:45+02:00", "2000-01-01T00:00:00z"];

const OLD_TIME: &str = "1999-12-31T23:59:59Z";

/// Whether a value keeps a rule.
type Rule = fn(&Value) -> bool;

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| {
        (1..=256).contains(&text.chars().count())
            && text.chars().any(|character| !character.is_whitespace())
            && !text.chars().any(char::is_control)
    })
}

fn is_nullable_text(value: &Value) -> bool {
    value.is_null() || is_text(value)
}

fn is_timestamp(value: &Value) -> bool {
    is_one_of(value, &GOOD_TIMES)
}

/// A rule of action times, which may be older than timestamps.
fn is_time(value: &Value) -> bool {
    is_timestamp(value) || is_one_of(value, &[OLD_TIME])
}

fn is_nullable_amount(value: &Value) -> bool {
    let digits = |text: &str, max: usize| {
        (1..=max).contains(&text.len()) && text.chars().all(|character| character.is_ascii_digit())
    };
    value.is_null()
        || value.as_str().is_some_and(|text| match text.split_once('.') {
            None => digits(text, 9),
            Some((whole, fraction)) => digits(whole, 9) && digits(fraction, 4),
        })
}

fn is_one_of(value: &Value, names: &[&str]) -> bool {
    value.as_str().is_some_and(|text| names.contains(&text))
}

/// The rules below `/data/user` and `/data/engagement`.
fn rules(source: &str, stage: Option<&str>) -> Vec<(&'static str, Rule)> {
    let mut rules: Vec<(&str, Rule)> = vec![("user/userId", is_text)];
    let of_source: &[(&str, Rule)] = match source {
        "facebook" => &[
            ("user/name", is_text),
            ("user/age", |age| age.as_u64().is_some_and(|age| age <= 150)),
            ("user/gender", |gender| is_one_of(gender, &["male", "female", "non-binary"])),
            ("user/location/country", is_text),
            ("user/location/city", is_text),
        ],
        "tiktok" => &[
            ("user/username", is_text),
            ("user/followers", |followers| {
                followers.as_u64().is_some_and(|count| count <= 9_007_199_254_740_991)
            }),
        ],
        _ => &[],
    };
    let of_stage: &[(&str, Rule)] = match (source, stage) {
        ("facebook", Some("top")) => &[
            ("engagement/actionTime", is_time),
            ("engagement/referrer", |referrer| is_one_of(referrer, &["newsfeed", "marketplace", "groups"])),
            ("engagement/videoId", is_nullable_text),
        ],
        ("facebook", Some("bottom")) => &[
            ("engagement/adId", is_text),
            ("engagement/campaignId", is_text),
            ("engagement/clickPosition", |place| is_one_of(place, &["top_left", "bottom_right", "center"])),
            ("engagement/device", |device| is_one_of(device, &["mobile", "desktop"])),
            ("engagement/browser", |browser| is_one_of(browser, &["Chrome", "Firefox", "Safari"])),
            ("engagement/purchaseAmount", is_nullable_amount),
        ],
        ("tiktok", Some("top")) => &[
            ("engagement/watchTime", |time| time.as_f64().is_some_and(|time| time >= 0.0)),
            ("engagement/percentageWatched", |part| {
                part.as_f64().is_some_and(|part| (0.0..=100.0).contains(&part))
            }),
            ("engagement/device", |device| is_one_of(device, &["Android", "iOS", "Desktop"])),
            ("engagement/country", is_text),
            ("engagement/videoId", is_text),
        ],
        ("tiktok", Some("bottom")) => &[
            ("engagement/actionTime", is_time),
            ("engagement/profileId", is_nullable_text),
            ("engagement/purchasedItem", is_nullable_text),
            ("engagement/purchaseAmount", is_nullable_amount),
        ],
        _ => &[],
    };
    rules.extend_from_slice(of_source);
    rules.extend_from_slice(of_stage);
    rules
}

fn types(source: &str, stage: &str) -> &'static [&'static str] {
    match (source, stage) {
        ("facebook", "top") => &["ad.view", "page.like", "comment", "video.view"],
        ("facebook", "bottom") => &["ad.click", "form.submission", "checkout.complete"],
        ("tiktok", "top") => &["video.view", "like", "share", "comment"],
        _ => &["profile.visit", "purchase", "follow"],
    }
}

/// The pointers of all broken rules.
fn faults(item: &Value) -> BTreeSet<String> {
    let mut faults = BTreeSet::new();
    if !item.is_object() {
        return BTreeSet::from([String::new()]);
    }
    let mut check = |pointer: &str, rule: &dyn Fn(&Value) -> bool| {
        if !item.pointer(pointer).is_some_and(rule) {
            faults.insert(pointer.to_owned());
        }
    };
    let named = |key: &str, names: &[&'static str]| {
        names.iter().copied().find(|name| item.get(key).and_then(Value::as_str) == Some(name))
    };
    let (source, stage) =
        (named("source", &["facebook", "tiktok"]), named("funnelStage", &["top", "bottom"]));
    let possible: Vec<&str> = ["facebook", "tiktok"]
        .into_iter()
        .filter(|of| source.is_none_or(|source| source == *of))
        .flat_map(|of| ["top", "bottom"].into_iter().map(move |stage| (of, stage)))
        .filter(|(_, of)| stage.is_none_or(|stage| stage == *of))
        .flat_map(|(source, stage)| types(source, stage).iter().copied())
        .collect();
    check("/eventId", &is_text);
    check("/timestamp", &is_timestamp);
    check("/source", &|_| source.is_some());
    check("/funnelStage", &|_| stage.is_some());
    check("/eventType", &|value| is_one_of(value, &possible));
    for object in ["/data", "/data/user", "/data/engagement", "/data/user/location"] {
        let parent = object.rsplit_once('/').map_or("", |(parent, _)| parent);
        let known = object != "/data/user/location" || source == Some("facebook");
        if known && item.pointer(parent).is_some_and(Value::is_object) {
            check(object, &Value::is_object);
        }
    }
    for (key, rule) in rules(source.unwrap_or_default(), stage) {
        let pointer = format!("/data/{key}");
        let (parent, _) = pointer.rsplit_once('/').unwrap();
        if item.pointer(parent).is_some_and(Value::is_object) {
            check(&pointer, &rule);
        }
    }
    faults
}

/// The pointers of all objects in the item.
fn objects(item: &Value, at: &str, found: &mut Vec<String>) {
    if let Value::Object(members) = item {
        found.push(at.to_owned());
        for (key, value) in members {
            objects(value, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
        }
    }
}

const KEYS: [&str; 36] = [
    "eventId",
    "timestamp",
    "source",
    "funnelStage",
    "eventType",
    "data",
    "user",
    "engagement",
    "userId",
    "name",
    "age",
    "gender",
    "location",
    "username",
    "followers",
    "country",
    "city",
    "actionTime",
    "referrer",
    "videoId",
    "adId",
    "campaignId",
    "clickPosition",
    "device",
    "browser",
    "purchaseAmount",
    "watchTime",
    "percentageWatched",
    "profileId",
    "purchasedItem",
    "",
    "x",
    "eventid",
    "event Id",
    "data/user",
    "é",
];

fn junk(random: &mut StdRng) -> Value {
    let long = "é".repeat(256);
    let pool = json!([
        null, true, false, 0, -0.0, 1, -1, 150, 151, 41.0, 12.75, 100, 100.5, 1e300, 9_007_199_254_740_991_u64,
        9_007_199_254_740_992_u64, u64::MAX, "", " ", "a", "\u{a0}", "a\u{85}", "\n", "\"\\/", long, format!("{long}a"),
        "facebook", "tiktok", "top", "bottom", "comment", "purchase", "video.view", "male", "iOS", "mobile", "Chrome",
        "center", "groups", GOOD_TIMES[0], GOOD_TIMES[1], GOOD_TIMES[2], "2025-09-14T07:21:60Z", OLD_TIME,
        "2025-09-14", "1.5", "1.50000", "1234567890", ".5", "1e3", [], [[{"a": []}]], {}, {"eventId": "b"},
    ]);
    pool.as_array().unwrap().choose(random).unwrap().clone()
}

fn change(item: &mut Value, random: &mut StdRng) {
    let mut found = Vec::new();
    objects(item, "", &mut found);
    let Some(members) =
        found.choose(random).and_then(|at| item.pointer_mut(at)).and_then(Value::as_object_mut)
    else {
        return;
    };
    let keys: Vec<String> = members.keys().cloned().collect();
    match (random.random_range(0..4), keys.choose(random)) {
        (0, Some(key)) => drop(members.remove(key)),
        (1, Some(key)) => drop(members.insert(key.clone(), junk(random))),
        _ => drop(members.insert((*KEYS.choose(random).unwrap()).to_owned(), junk(random))),
    }
}

/// Writes the item in one of the many ways that JSON allows.
fn write(item: &Value, random: &mut StdRng, text: &mut String) {
    let blank = |random: &mut StdRng| *["", "", " ", "\t", "\r\n"].choose(random).unwrap();
    match item {
        Value::Object(members) => write_object(members, random, text),
        Value::String(string) => write_string(string, random, text),
        other => text.push_str(&other.to_string()),
    }
    text.push_str(blank(random));
}

fn write_object(members: &Map<String, Value>, random: &mut StdRng, text: &mut String) {
    let mut members: Vec<(&String, &Value)> = members.iter().collect();
    let turn = random.random_range(0..=members.len());
    members.rotate_left(turn);
    text.push_str("{ ");
    for (index, (key, value)) in members.into_iter().enumerate() {
        text.push_str(if index == 0 { "" } else { "," });
        write_string(key, random, text);
        text.push(':');
        write(value, random, text);
    }
    text.push('}');
}

fn write_string(string: &str, random: &mut StdRng, text: &mut String) {
    if random.random_ratio(7, 8) {
        return text.push_str(&json!(string).to_string());
    }
    text.push('"');
    for unit in string.encode_utf16() {
        text.push_str(&format!("\\u{unit:04X}"));
    }
    text.push('"');
}

#[test]
fn another_reader_of_the_same_rules_finds_the_same_faults() {
    let valid: Vec<Value> =
        cases(VALID).iter().map(|case| serde_json::from_str(case.event.get()).unwrap()).collect();
    let (mut good, mut bad) = (0, 0);
    for seed in 0..ROUNDS {
        let random = &mut StdRng::seed_from_u64(seed);
        let mut item = valid.choose(random).unwrap().clone();
        // The reference cases hold times that this reader does not list.
        for time in ["/timestamp", "/data/engagement/actionTime"] {
            if let Some(time) = item.pointer_mut(time) {
                *time = json!(GOOD_TIMES[0]);
            }
        }
        for _ in 0..random.random_range(0..4) {
            change(&mut item, random);
        }
        let mut text = String::new();
        write(&item, random, &mut text);
        let expected = faults(&item);
        match admit_json(&text, Utc::now()) {
            Ok(event) => {
                good += 1;
                assert!(expected.is_empty(), "{expected:?} in {text}");
                assert_eq!(Some(event.id()), item["eventId"].as_str());
            }
            Err(refusal) => {
                bad += 1;
                let found = pointers(&refusal).into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
                assert_eq!(found, expected, "{text}");
                assert_eq!(refusal.violations.len(), expected.len(), "{text}");
                assert_eq!(refusal.event_id.as_deref(), item["eventId"].as_str(), "{text}");
            }
        }
    }
    assert!(good > ROUNDS / 10 && bad > ROUNDS / 10, "{good} good and {bad} bad ones");
}

#[test]
fn bytes_that_another_reader_refuses_are_refused_as_no_json() {
    let (mut read, mut refused) = (0, 0);
    for case in cases(VALID).into_iter().step_by(7) {
        let good = case.event.get().as_bytes();
        for place in 0..good.len() {
            for byte in [b'"', b'\\', b'{', b'}', b',', b'0', b'e', b'-', b'\n', 0, 0x80, 0xff] {
                let mut bytes = good.to_vec();
                bytes[place] = byte;
                let admitted = admit_bytes(&bytes, Utc::now());
                let is_json = std::str::from_utf8(&bytes).is_ok()
                    && serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok();
                let is_refused = admitted.is_err_and(|refusal| pointers(&refusal) == [""]);
                assert_eq!(is_refused, !is_json, "{}", String::from_utf8_lossy(&bytes));
                *(if is_json { &mut read } else { &mut refused }) += 1;
            }
        }
    }
    assert!(read > 1_000 && refused > 1_000, "{read} {refused}");
}
