//! A match of dead letters against one person: by the user id in an item that can be decoded, by the id's text in any
//! other one.

use prost::Message as _;
use serde_json::Value;
use weir::contract::event::v1::{self, event::Source as Of};
use weir_event::Source;
use weir_journal::{DeadLetter, MediaType};

/// The person of an erasure, in the forms in which dead letters may contain the user id.
#[derive(Debug)]
pub(super) struct DeadLetterMatch<'a> {
    source: Source,
    user_id: &'a str,
    /// The user id as it stands between the quotes of a JSON string.
    escaped: String,
}

impl<'a> DeadLetterMatch<'a> {
    pub(super) fn new(source: Source, user_id: &'a str) -> Self {
        let quoted = Value::from(user_id).to_string();
        Self { source, user_id, escaped: quoted[1..quoted.len() - 1].to_owned() }
    }

    /// Whether the letter contains the person's data. A letter without a source may be of this person's source.
    pub(super) fn matches(&self, letter: &DeadLetter) -> bool {
        if letter.source.is_some_and(|source| source != self.source) {
            return false;
        }
        if letter.is_frame() {
            // A whole frame has accepted events of many persons. The store anonymizes the person's when it stores them.
            return false;
        }
        let decoded = match letter.media_type {
            _ if letter.is_truncated() => None,
            MediaType::Json => serde_json::from_slice(&letter.raw).ok().map(|item| self.is_in_json(&item)),
            MediaType::Protobuf => self.is_in_event(&letter.raw),
        };
        decoded.unwrap_or_else(|| self.is_in_text(&letter.raw))
    }

    /// Searches at every depth and takes numbers for ids, because a rejected item may have any shape.
    fn is_in_json(&self, value: &Value) -> bool {
        match value {
            Value::Object(object) => object.iter().any(|(key, value)| match value {
                Value::String(text) if key == "userId" => text == self.user_id,
                Value::Number(number) if key == "userId" => number.to_string() == self.user_id,
                value => self.is_in_json(value),
            }),
            Value::Array(values) => values.iter().any(|value| self.is_in_json(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }

    /// `None` where the bytes are no event with a user.
    fn is_in_event(&self, raw: &[u8]) -> Option<bool> {
        let event = v1::Event::decode(raw).ok()?;
        let user_id = match event.source? {
            Of::Facebook(facebook) => facebook.user?.user_id,
            Of::Tiktok(tiktok) => tiktok.user?.user_id,
        };
        Some(user_id == self.user_id)
    }

    fn is_in_text(&self, raw: &[u8]) -> bool {
        [self.user_id, &self.escaped].iter().any(|text| contains(raw, text.as_bytes()))
    }
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use weir_event::Origin;
    use weir_journal::MAX_RAW_BYTES;
    use weir_process::CorrelationId;

    use super::*;

    fn letter(raw: impl Into<Vec<u8>>, media_type: MediaType, source: Option<Source>) -> DeadLetter {
        let origin = Origin {
            correlation_id: CorrelationId::generate(),
            traceparent: String::new(),
            tracestate: String::new(),
            arrived_at: Utc::now(),
        };
        DeadLetter::new(raw.into().into(), media_type, Vec::new(), source, None, origin)
    }

    fn matches_ada(raw: impl Into<Vec<u8>>, source: Option<Source>) -> bool {
        DeadLetterMatch::new(Source::Facebook, "ada").matches(&letter(raw, MediaType::Json, source))
    }

    #[test]
    fn an_item_matches_the_person_whose_user_id_it_has() {
        let named = r#"{"data":{"user":{"userId":"ada"}}}"#;
        assert!(matches_ada(named, Some(Source::Facebook)) && matches_ada(named, None));
        assert!(!matches_ada(named, Some(Source::Tiktok)), "the same id of another source is another person");
        assert!(matches_ada(r#"[{"userId":"\u0061da"}]"#, None), "an array, and an escaped id");
        assert!(!matches_ada(r#"{"eventId":"ada","data":{"user":{"userId":"adam"}}}"#, None));
        let number = letter(r#"{"user":{"userId":17}}"#, MediaType::Json, None);
        assert!(DeadLetterMatch::new(Source::Facebook, "17").matches(&number));
    }

    #[test]
    fn bytes_that_can_t_be_decoded_match_a_person_whose_id_is_in_their_text() {
        assert!(matches_ada(r#"{"userId":"ada""#, None) && matches_ada(*b"\xff ada", Some(Source::Facebook)));
        assert!(!matches_ada(r#"{"userId":"bob""#, None) && !matches_ada("ad", None));
        let mut long = br#"{"note":"ada "#.to_vec();
        long.resize(MAX_RAW_BYTES + 1, b'x');
        assert!(matches_ada(long, None), "a letter that was cut");
        let escaped = letter(r#"{"userId":"a\"b\\""#, MediaType::Json, None);
        assert!(DeadLetterMatch::new(Source::Facebook, r#"a"b\"#).matches(&escaped));
    }

    #[test]
    fn a_whole_frame_matches_no_person() {
        // Version 3, and a text.
        let frame = letter(*b"\x08\x03\x12\x03ada", MediaType::Protobuf, Some(Source::Facebook));
        assert!(!DeadLetterMatch::new(Source::Facebook, "ada").matches(&frame));
        let bytes = letter(*b"\xff ada", MediaType::Protobuf, Some(Source::Facebook));
        assert!(DeadLetterMatch::new(Source::Facebook, "ada").matches(&bytes), "bytes that are no frame");
    }

    #[test]
    fn a_typed_event_matches_the_person_whose_user_id_it_has() {
        let user = v1::TiktokUser { user_id: "ada".to_owned(), ..v1::TiktokUser::default() };
        let tiktok = v1::TiktokEvent { user: Some(user), ..v1::TiktokEvent::default() };
        let event = v1::Event {
            event_id: "bob".to_owned(),
            source: Some(Of::Tiktok(tiktok)),
            ..v1::Event::default()
        };
        let letter = letter(event.encode_to_vec(), MediaType::Protobuf, Some(Source::Tiktok));
        assert!(DeadLetterMatch::new(Source::Tiktok, "ada").matches(&letter));
        assert!(!DeadLetterMatch::new(Source::Tiktok, "bob").matches(&letter), "an event id is no user id");
    }
}
