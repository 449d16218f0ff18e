//! Tells whether a dead letter is a person's: by what it says where it can be read, by the id's text in it where it can't.

use prost::Message as _;
use serde_json::Value;
use weir::contract::event::v1::{self, event::Source as Of};
use weir_event::Source;
use weir_journal::{DeadLetter, MediaType};

/// A person of one source, as letters may name them.
#[derive(Debug)]
pub(crate) struct LettersOf<'a> {
    source: Source,
    user_id: &'a str,
    /// As it stands between the quotes of a JSON text.
    escaped: String,
}

impl<'a> LettersOf<'a> {
    pub(crate) fn new(source: Source, user_id: &'a str) -> Self {
        let quoted = Value::from(user_id).to_string();
        Self { source, user_id, escaped: quoted[1..quoted.len() - 1].to_owned() }
    }

    /// A letter whose source nobody knows may be of this one.
    pub(crate) fn include(&self, letter: &DeadLetter) -> bool {
        if letter.source.is_some_and(|source| source != self.source) {
            return false;
        }
        if letter.is_frame() {
            // Of accepted events of many persons: whenever they are stored, the erasure makes this one's anonymous.
            return false;
        }
        let said = match letter.media_type {
            _ if letter.is_truncated() => None,
            MediaType::Json => serde_json::from_slice(&letter.raw).ok().map(|item| self.is_in_json(&item)),
            MediaType::Protobuf => self.is_in_event(&letter.raw),
        };
        said.unwrap_or_else(|| self.stands_in(&letter.raw))
    }

    /// A broken item may name its person anywhere, and may have made a number of the id.
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

    /// `None` where the bytes are no event that names anybody.
    fn is_in_event(&self, raw: &[u8]) -> Option<bool> {
        let event = v1::Event::decode(raw).ok()?;
        let user_id = match event.source? {
            Of::Facebook(facebook) => facebook.user?.user_id,
            Of::Tiktok(tiktok) => tiktok.user?.user_id,
        };
        Some(user_id == self.user_id)
    }

    fn stands_in(&self, raw: &[u8]) -> bool {
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

    fn is_ada_s(raw: impl Into<Vec<u8>>, source: Option<Source>) -> bool {
        LettersOf::new(Source::Facebook, "ada").include(&letter(raw, MediaType::Json, source))
    }

    #[test]
    fn an_item_is_the_person_s_whom_it_names_and_nobody_else_s() {
        let named = r#"{"data":{"user":{"userId":"ada"}}}"#;
        assert!(is_ada_s(named, Some(Source::Facebook)) && is_ada_s(named, None));
        assert!(!is_ada_s(named, Some(Source::Tiktok)), "the same id of another source is somebody else");
        assert!(is_ada_s(r#"[{"userId":"\u0061da"}]"#, None), "however broken, and however it is written");
        assert!(!is_ada_s(r#"{"eventId":"ada","data":{"user":{"userId":"adam"}}}"#, None));
        let number = letter(r#"{"user":{"userId":17}}"#, MediaType::Json, None);
        assert!(LettersOf::new(Source::Facebook, "17").include(&number));
    }

    #[test]
    fn what_can_t_be_read_is_the_person_s_whose_id_stands_in_it() {
        assert!(is_ada_s(r#"{"userId":"ada""#, None) && is_ada_s(*b"\xff ada", Some(Source::Facebook)));
        assert!(!is_ada_s(r#"{"userId":"bob""#, None) && !is_ada_s("ad", None));
        let mut long = br#"{"note":"ada "#.to_vec();
        long.resize(MAX_RAW_BYTES + 1, b'x');
        assert!(is_ada_s(long, None), "what was cut");
        let escaped = letter(r#"{"userId":"a\"b\\""#, MediaType::Json, None);
        assert!(LettersOf::new(Source::Facebook, r#"a"b\"#).include(&escaped));
    }

    #[test]
    fn a_whole_frame_is_no_person_s() {
        // Version 3, and a text.
        let frame = letter(*b"\x08\x03\x12\x03ada", MediaType::Protobuf, Some(Source::Facebook));
        assert!(!LettersOf::new(Source::Facebook, "ada").include(&frame));
        let bytes = letter(*b"\xff ada", MediaType::Protobuf, Some(Source::Facebook));
        assert!(LettersOf::new(Source::Facebook, "ada").include(&bytes), "what is no frame");
    }

    #[test]
    fn a_typed_event_is_the_person_s_whom_it_names() {
        let user = v1::TiktokUser { user_id: "ada".to_owned(), ..v1::TiktokUser::default() };
        let tiktok = v1::TiktokEvent { user: Some(user), ..v1::TiktokEvent::default() };
        let event = v1::Event {
            event_id: "bob".to_owned(),
            source: Some(Of::Tiktok(tiktok)),
            ..v1::Event::default()
        };
        let letter = letter(event.encode_to_vec(), MediaType::Protobuf, Some(Source::Tiktok));
        assert!(LettersOf::new(Source::Tiktok, "ada").include(&letter));
        assert!(!LettersOf::new(Source::Tiktok, "bob").include(&letter), "an event id is no person's");
    }
}
