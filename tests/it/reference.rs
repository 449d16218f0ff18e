//! The reference cases beside this folder: `events/valid.jsonl` and `events/invalid.jsonl`.

use serde_json::Value;

/// Every event that must be accepted.
pub(crate) fn valid_events() -> Vec<Value> {
    lines(include_str!("../events/valid.jsonl")).map(|mut line| line["event"].take()).collect()
}

/// An item that must be rejected.
pub(crate) struct Invalid {
    /// What is wrong, for people.
    pub(crate) case: String,
    /// Exactly these are reported, ascending.
    pub(crate) pointers: Vec<String>,
    pub(crate) item: Value,
}

/// Every item that must be rejected.
pub(crate) fn invalid_items() -> Vec<Invalid> {
    lines(include_str!("../events/invalid.jsonl"))
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
