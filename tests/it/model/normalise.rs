//! Normalised answers: money and instants can be written in several ways, so stories compare them by value.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    money::{decimal, ten_thousandths},
    query::instant,
};

/// The answer with its instants and amounts written as the model writes them.
pub(crate) fn normalised(mut answer: Value) -> Value {
    normalise("", &mut answer);
    answer
}

fn normalise(key: &str, value: &mut Value) {
    match value {
        Value::Object(members) => members.iter_mut().for_each(|(key, member)| normalise(key, member)),
        Value::Array(items) => items.iter_mut().for_each(|item| normalise(key, item)),
        Value::String(text) => match key {
            "from" | "to" | "bucket" => *text = instant(text.parse::<DateTime<Utc>>().expect("an instant")),
            "totalRevenue" => {
                assert!(has_two_places_at_least(text), "'{text}' is no amount");
                *text = decimal(ten_thousandths(text));
            }
            _ => {}
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn has_two_places_at_least(text: &str) -> bool {
    text.split_once('.').is_some_and(|(_, fraction)| (2..=4).contains(&fraction.len()))
}
