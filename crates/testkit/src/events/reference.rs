//! The reference cases of `tests/events`: `valid.jsonl` and `invalid.jsonl`.

use serde_json::Value;
use weir_event::Source;

/// Every event of the reference that must be accepted.
pub fn valid_events() -> Vec<Value> {
    lines(include_str!("../../../../tests/events/valid.jsonl")).map(|mut line| line["event"].take()).collect()
}

/// The first valid event of a source, with another id.
pub fn with_id(source: Source, id: &str) -> Value {
    let mut event = valid_events().into_iter().find(|event| event["source"] == source.name()).unwrap();
    event["eventId"] = id.into();
    event
}

/// An item of the reference that must be rejected.
pub struct InvalidItem {
    /// A description of the fault, for messages.
    pub case: String,
    /// The pointers that must be reported, and no others, ascending.
    pub pointers: Vec<String>,
    pub item: Value,
}

/// Every item of the reference that must be rejected.
pub fn invalid_items() -> Vec<InvalidItem> {
    lines(include_str!("../../../../tests/events/invalid.jsonl"))
        .map(|mut line| InvalidItem {
            case: line["case"].to_string(),
            pointers: serde_json::from_value(line["pointers"].take()).expect("pointers are strings"),
            item: line["event"].take(),
        })
        .collect()
}

fn lines(text: &'static str) -> impl Iterator<Item = Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a reference case is JSON"))
}
