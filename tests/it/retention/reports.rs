//! Reports before and after the removal of rows: whole minutes stay the same, and rounded ranges are marked.

use chrono::{DateTime, Duration, DurationRound as _, Utc};
use serde_json::{Value, json};
use weir_testkit::{
    Weir,
    events::{Sender, first_day},
};

use super::{keeping, removed, stored};

on_files_and_on_servers!(reports_of_whole_minutes_do_not_change_when_rows_are_removed);

async fn reports_of_whole_minutes_do_not_change_when_rows_are_removed(mut weir: Weir) {
    let events = Sender::new("before", 10).events(2_000);
    stored(&weir, &events).await;
    let before = whole_minutes(&weir).await;
    assert_eq!(before[0]["totalEvents"], 2_000);
    let between = (minute(700) + Duration::microseconds(1), minute(3_000) + Duration::milliseconds(59_999));
    let rounded = (minute(700), minute(3_001));
    let around = asked(&weir, "revenue", Some(rounded), &[]).await;

    weir.restart_with(keeping("1s", "400d")).await;
    removed(&weir, 2_000).await;
    assert_eq!(whole_minutes(&weir).await, before);

    let mut answer = asked(&weir, "revenue", Some(between), &[]).await;
    let output = answer.as_object_mut().unwrap().remove("roundedRange").unwrap();
    assert_eq!((instant(&output["from"]), instant(&output["to"])), rounded);
    assert_eq!(instant(&answer["dateRange"]["from"]), between.0, "what was asked is echoed");
    answer["dateRange"] = around["dateRange"].clone();
    assert_eq!(answer, around);

    let people = asked(&weir, "demographics", None, &[]).await;
    for (source, start) in [("facebook", newest(&events, "facebook")), ("tiktok", newest(&events, "tiktok"))]
    {
        let complete_from = start.duration_trunc(Duration::minutes(1)).unwrap() + Duration::minutes(1);
        let section = &people[source];
        assert_eq!((instant(&section["completeFrom"]), &section["users"]), (complete_from, &json!(0)));
    }
    let event = &events[0];
    let path =
        format!("/events/{}/{}", event["source"].as_str().unwrap(), event["eventId"].as_str().unwrap());
    assert_eq!(weir.get(&path).await.body["status"], "removed");
}

/// Answers to ranges that begin and end with a minute, or are open, with and without a series.
async fn whole_minutes(weir: &Weir) -> Vec<Value> {
    let ranges = [None, Some((minute(0), minute(1_440))), Some((minute(61), minute(4_001)))];
    let mut answers = Vec::new();
    for range in ranges {
        for report in ["events", "revenue"] {
            for parameters in [&[][..], &[("groupBy", "hour")], &[("source", "tiktok"), ("groupBy", "day")]] {
                let answer = asked(weir, report, range, parameters).await;
                assert_eq!(answer.get("roundedRange"), None, "{answer}");
                answers.push(answer);
            }
        }
    }
    answers
}

async fn asked(
    weir: &Weir,
    report: &str,
    range: Option<(DateTime<Utc>, DateTime<Utc>)>,
    parameters: &[(&'static str, &str)],
) -> Value {
    let mut all: Vec<(&str, String)> =
        parameters.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    if let Some((from, to)) = range {
        all.extend([("from", from.to_rfc3339()), ("to", to.to_rfc3339())]);
    }
    let answer = weir.report(report, &all).await;
    assert!(answer.status.is_success(), "{answer:?}");
    answer.body
}

fn minute(number: i64) -> DateTime<Utc> {
    first_day() + Duration::minutes(number)
}

fn instant(text: &Value) -> DateTime<Utc> {
    text.as_str().unwrap_or_else(|| panic!("{text} is no instant")).parse().unwrap()
}

/// The latest event time of a source.
fn newest(events: &[Value], source: &str) -> DateTime<Utc> {
    let of_source = events.iter().filter(|event| event["source"] == source);
    of_source.map(|event| instant(&event["timestamp"])).max().unwrap()
}
