//! The reference cases, and what they leave open.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::*;

#[derive(Deserialize)]
struct Case<'a> {
    case: String,
    #[serde(default)]
    pointers: Vec<String>,
    #[serde(borrow)]
    event: &'a RawValue,
}

fn cases(lines: &str) -> Vec<Case<'_>> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn pointers(refusal: &Refusal) -> Vec<&str> {
    let mut pointers: Vec<&str> = refusal.violations.iter().map(|violation| &*violation.pointer).collect();
    pointers.sort_unstable();
    pointers
}

const VALID: &str = include_str!("../../../tests/events/valid.jsonl");
const INVALID: &str = include_str!("../../../tests/events/invalid.jsonl");

#[test]
fn every_valid_case_passes_and_survives_the_contract() {
    let now = Utc::now();
    for Case { case, event, .. } in cases(VALID) {
        let admitted = admit_json(event.get(), now).unwrap_or_else(|refusal| panic!("{case}: {refusal:?}"));
        let message = v1::Event::from(admitted.clone());
        assert_eq!(admit_message(&message, now).as_ref(), Ok(&admitted), "{case}");
        assert_eq!(Event::restore(message).unwrap(), admitted, "{case}");
    }
}

#[test]
fn every_invalid_case_is_refused_with_exactly_its_pointers() {
    for Case { case, pointers: expected, event } in cases(INVALID) {
        let refusal = admit_json(event.get(), Utc::now()).expect_err(&case);
        assert_eq!(pointers(&refusal), expected, "{case}");
    }
}

#[test]
fn a_typed_event_that_names_nothing_breaks_the_rules_of_an_empty_object() {
    let refusal = admit_message(&v1::Event::default(), Utc::now()).unwrap_err();
    assert_eq!(
        pointers(&refusal),
        ["/data", "/eventId", "/eventType", "/funnelStage", "/source", "/timestamp"]
    );
}

#[test]
fn an_item_over_the_limit_keeps_its_id_and_its_source() {
    let item = format!(r#"{{"eventId":"a","source":"tiktok","x":"{}"}}"#, "x".repeat(MAX_ITEM_BYTES));
    let refusal = admit_json(&item, Utc::now()).unwrap_err();
    assert_eq!(pointers(&refusal), [""]);
    assert_eq!((refusal.source, refusal.event_id.as_deref()), (Some(Source::Tiktok), Some("a")));
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    let refusal = admit_json(r#"{"eventId":"a","eventId":"b"}"#, Utc::now()).unwrap_err();
    assert_eq!(pointers(&refusal), [""]);
}

#[test]
fn a_timestamp_may_be_a_day_ahead_and_no_more() {
    let now = Utc::now();
    assert!(within(now + MAX_AHEAD, now).is_ok());
    assert!(within(now + MAX_AHEAD + TimeDelta::microseconds(1), now).is_err());
    assert!(within(EARLIEST - TimeDelta::microseconds(1), now).is_err());
}

#[test]
fn text_is_counted_in_characters() {
    assert!(keep_text_rules(&"é".repeat(256)).is_ok());
    assert!(keep_text_rules(&"é".repeat(257)).is_err());
    assert!(keep_text_rules("\u{a0}\u{3000}").is_err());
    assert!(keep_text_rules("a\u{85}b").is_err());
}
