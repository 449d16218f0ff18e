//! The reference cases, and the cases that they leave open.

mod other_reader;

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

const VALID: &str = include_str!("../../../../tests/events/valid.jsonl");
const INVALID: &str = include_str!("../../../../tests/events/invalid.jsonl");

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
fn an_empty_message_breaks_the_rules_of_an_empty_object() {
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

/// The first valid case of a source and a stage, as JSON text.
fn valid(source: &str, stage: &str) -> String {
    let case = cases(VALID).into_iter().find(|Case { event, .. }| {
        event.get().contains(&format!("\"{source}\"")) && event.get().contains(&format!("\"{stage}\""))
    });
    case.unwrap().event.get().to_owned()
}

/// Adds members to the object behind `"key": {`, or to the item if `key` is empty.
fn with(event: &str, key: &str, members: &str) -> String {
    let opening = if key.is_empty() { "{".to_owned() } else { format!("\"{key}\": {{") };
    assert!(event.contains(&opening), "{event}");
    event.replacen(&opening, &format!("{opening}{members},"), 1)
}

#[test]
fn keys_of_other_sources_and_stages_are_ignored_with_any_value() {
    let foreign: [(&str, &str, &str, &[&str]); 4] = [
        ("facebook", "top", "engagement", &[r#""watchTime":-1,"watchTime":{}"#, r#""adId":1e999"#]),
        ("facebook", "bottom", "engagement", &[r#""country":"\ud800","country":[]"#, r#""referrer":1"#]),
        (
            "tiktok",
            "top",
            "user",
            &[r#""gender":1,"gender":2"#, r#""location":"\ud800""#, r#""location":1e999"#],
        ),
        ("tiktok", "bottom", "engagement", &[r#""adId":"a","adId":"b""#, r#""watchTime":1e999"#]),
    ];
    let unknown = [
        r#""cut \ud83d":1"#,
        r#""\udc00":{"\ud800":["\ud800"]}"#,
        r#""x":1,"x":2"#,
        r#""x":1e999"#,
        r#""x":-1e-999"#,
        r#""":[[{"":null}]]"#,
    ];
    for (source, stage, object, foreign) in foreign {
        let event = valid(source, stage);
        let expected = admit_json(&event, Utc::now()).unwrap();
        let everywhere = ["", "data", "user", "engagement"].into_iter();
        let changed = everywhere
            .flat_map(|object| unknown.map(|members| with(&event, object, members)))
            .chain(foreign.iter().map(|members| with(&event, object, members)));
        for changed in changed {
            assert_eq!(admit_json(&changed, Utc::now()).as_ref(), Ok(&expected), "{changed}");
        }
    }
}

#[test]
fn a_known_key_that_occurs_twice_is_refused_at_its_pointer() {
    let event = valid("facebook", "top");
    for (object, members, pointer) in [
        ("", r#""timestamp":"2025-09-14T07:21:45Z""#, "/timestamp"),
        ("", r#""eventType":null"#, "/eventType"),
        ("", r#""data":{}"#, "/data"),
        ("data", r#""user":7"#, "/data/user"),
        ("user", r#""age":41"#, "/data/user/age"),
        ("user", r#""location":1e999"#, "/data/user/location"),
        ("location", r#""c\u0069ty":"a""#, "/data/user/location/city"),
        ("engagement", r#""videoId":null,"videoId":null"#, "/data/engagement/videoId"),
    ] {
        let refusal = admit_json(&with(&event, object, members), Utc::now()).unwrap_err();
        assert_eq!(pointers(&refusal), [pointer]);
        assert_eq!(refusal.violations[0].message, REPEATED);
        assert_eq!(refusal.source, Some(Source::Facebook));
        assert!(refusal.event_id.is_some(), "{members}");
    }
}

#[test]
fn an_id_that_occurs_twice_is_reported_by_its_first_string() {
    for (members, id) in [
        (r#""eventId":"a""#, "a"),
        (r#""eventId":17,"eventId":"b","eventId":"c""#, "b"),
        (r#""eventId":"\u0061""#, "a"),
    ] {
        let refusal = admit_json(&with(&valid("tiktok", "top"), "", members), Utc::now()).unwrap_err();
        assert_eq!((pointers(&refusal), refusal.event_id.as_deref()), (vec!["/eventId"], Some(id)));
    }
}

#[test]
fn another_value_in_the_place_of_an_object_is_refused_at_its_pointer() {
    let event = valid("facebook", "top");
    for (object, pointer) in [("data", "/data"), ("user", "/data/user"), ("location", "/data/user/location")]
    {
        for value in ["1e999", r#""\ud800""#, "[[1e999]]", "null", "-0"] {
            // The object keeps its content under an unknown key.
            let changed = event.replacen(
                &format!("\"{object}\": {{"),
                &format!("\"{object}\": {value}, \"was\": {{"),
                1,
            );
            let refusal = admit_json(&changed, Utc::now()).unwrap_err();
            assert_eq!(pointers(&refusal), [pointer], "{changed}");
            assert!(refusal.event_id.is_some() && refusal.source == Some(Source::Facebook), "{changed}");
        }
    }
}

#[test]
fn a_text_that_ends_too_early_breaks_the_same_rule_wherever_it_was_cut() {
    let event = valid("tiktok", "top").replace('}', ",\"x\":-1.5e+7,\"y\":[true]}");
    let violations = |text: &str| admit_bytes(text.as_bytes(), Utc::now()).unwrap_err().violations;
    let rule = violations("{");
    assert_eq!((&*rule[0].pointer, rule.len()), ("", 1));
    for length in 1..event.len() {
        assert_eq!(violations(&event[..length]), rule, "{}", &event[..length]);
    }
    let accented = "{\"a\":\"é";
    assert_eq!(admit_bytes(&accented.as_bytes()[..7], Utc::now()).unwrap_err().violations, rule);
    for wrong in ["{\"a\":1]", "{\"a\" 1}", "nil}", "{}{}", "{\"a\":01}", "{\"a\tb\":1}"] {
        let found = violations(wrong);
        assert!(found != rule && found[0].message.contains("column"), "{wrong}: {found:?}");
    }
}

#[test]
fn a_torn_item_reports_its_id_and_no_source() {
    let event = valid("facebook", "top");
    let id = admit_json(&event, Utc::now()).unwrap().id().to_owned();
    let torn_in_the_id = &event[..event.find(&id).unwrap() + 3];
    for (torn, id) in [
        (&event[..event.len() - 10], Some(id.clone())),
        (&event.replace("\"age\":", "\"age\"\u{1}:"), Some(id.clone())),
        (&format!("{event},"), Some(id.clone())),
        (torn_in_the_id, None),
        ("{\"eventId\":17,", None),
    ] {
        let refusal = admit_bytes(torn.as_bytes(), Utc::now()).unwrap_err();
        assert_eq!((refusal.source, refusal.event_id), (None, id), "{torn}");
    }
}

#[test]
fn an_id_that_is_far_too_long_is_cut_to_the_length_of_look_ups() {
    let id = "c".repeat(5_000);
    let refusal = admit_json(&format!("{{\"eventId\":\"{id}\"}}"), Utc::now()).unwrap_err();
    assert_eq!(refusal.event_id.as_deref(), Some(cut_event_id(&id)));
}

#[test]
fn an_item_that_is_no_utf_8_still_reports_its_id() {
    let latin_1 = valid("facebook", "top").replace("\"name\": \"", "\"name\": \"Jos\u{e9}").into_bytes();
    let latin_1: Vec<u8> = latin_1.into_iter().filter(|byte| *byte != 0xc3).collect();
    let refusal = admit_bytes(&latin_1, Utc::now()).unwrap_err();
    assert_eq!((pointers(&refusal), refusal.source), (vec![""], Some(Source::Facebook)));
    assert!(refusal.event_id.is_some() && refusal.violations[0].rule() == "is no UTF-8");
    let refusal = admit_bytes(b"{\"eventId\":\"\xe9\"}", Utc::now()).unwrap_err();
    assert_eq!(refusal.event_id, None);
}

#[test]
fn a_timestamp_may_be_a_day_ahead_and_no_more() {
    let now = Utc::now();
    assert!(check_timestamp(now + MAX_AHEAD, now).is_ok());
    assert!(check_timestamp(now + MAX_AHEAD + TimeDelta::microseconds(1), now).is_err());
    assert!(check_timestamp(EARLIEST - TimeDelta::microseconds(1), now).is_err());
}
