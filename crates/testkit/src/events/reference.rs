//! The reference cases beside this folder: `events/valid.jsonl` and `events/invalid.jsonl`.

use serde_json::Value;
use weir_event::Source;

/// Every event that must be accepted.
pub fn valid_events() -> Vec<Value> {
    lines(include_str!("../../../../tests/events/valid.jsonl")).map(|mut line| line["event"].take()).collect()
}

/// The first valid event of a source, under another id.
pub fn with_id(source: Source, id: &str) -> Value {
    let mut event = valid_events().into_iter().find(|event| event["source"] == source.name()).unwrap();
    event["eventId"] = id.into();
    event
}

/// An item that must be rejected.
pub struct Invalid {
    /// What is wrong, for people.
    pub case: String,
    /// Exactly these are reported, ascending.
    pub pointers: Vec<String>,
    pub item: Value,
}

/// Every item that must be rejected.
pub fn invalid_items() -> Vec<Invalid> {
    lines(include_str!("../../../../tests/events/invalid.jsonl"))
        .map(|mut line| Invalid {
            case: line["case"].to_string(),
            pointers: serde_json::from_value(line["pointers"].take()).expect("pointers are strings"),
            item: line["event"].take(),
        })
        .collect()
}

fn lines(text: &'static str) -> impl Iterator<Item = Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a reference case is JSON"))
}
