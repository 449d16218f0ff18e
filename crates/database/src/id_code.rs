//! Codes of ids: the bytes that stand for an id in `events` on PostgreSQL. The function `weir_id` of the schema returns
//! the id of a code, and `weir_code` the code of an id.
//!
//! An id that ends with a UUID in its usual form (RFC 9562, lower case) is [`IdCode::UUID`], the 16 bytes of the UUID, and
//! the text before it. Every other id is its own text in UTF-8, which never has that first byte.

use std::borrow::Cow;

use sqlx::{Encode, Postgres, Type, encode::IsNull, error::BoxDynError, postgres::PgArgumentBuffer};
use uuid::Uuid;

/// The code of one id.
///
/// ```
/// use weir_database::id_code::IdCode;
///
/// let code = IdCode::of("fb-00000000-0000-4000-8000-000000000001");
/// assert_eq!(code.as_bytes().len(), 1 + 16 + 3);
/// assert_eq!(IdCode::of("evt-1").into_bytes(), b"evt-1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdCode<'a>(Parts<'a>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Parts<'a> {
    Uuid { uuid: Uuid, before: &'a str },
    Text(&'a str),
}

/// The length of a UUID's text.
const UUID_TEXT: usize = uuid::fmt::Hyphenated::LENGTH;

impl<'a> IdCode<'a> {
    /// The first byte of the code of an id with a UUID.
    pub const UUID: u8 = 0xff;

    /// The code of an id as the platform sent it.
    #[must_use]
    pub fn of(id: &'a str) -> Self {
        Self(Parts::of_uuid(id).unwrap_or(Parts::Text(id)))
    }

    /// The code's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> Cow<'a, [u8]> {
        match self.0 {
            Parts::Uuid { uuid, before } => {
                Cow::Owned([&[Self::UUID], &uuid.as_bytes()[..], before.as_bytes()].concat())
            }
            Parts::Text(text) => Cow::Borrowed(text.as_bytes()),
        }
    }

    /// The code's bytes, to be kept.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.as_bytes().into_owned()
    }
}

impl<'a> Parts<'a> {
    fn of_uuid(id: &'a str) -> Option<Self> {
        let (before, text) = id.split_at_checked(id.len().checked_sub(UUID_TEXT)?)?;
        let uuid = Uuid::try_parse(text).ok()?;
        // The parser takes other forms of a UUID too, and those would not come back as they were.
        let is_usual_form = uuid.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text;
        is_usual_form.then_some(Self::Uuid { uuid, before })
    }
}

/// The id of a code; `None` where the bytes are no code.
#[must_use]
pub fn id_of(code: &[u8]) -> Option<String> {
    let Some((&IdCode::UUID, rest)) = code.split_first() else {
        return String::from_utf8(code.to_vec()).ok();
    };
    let (uuid, before) = rest.split_first_chunk()?;
    let before = str::from_utf8(before).ok()?;
    Some(format!("{before}{}", Uuid::from_bytes(*uuid)))
}

impl Type<Postgres> for IdCode<'_> {
    fn type_info() -> sqlx::postgres::PgTypeInfo {
        <[u8] as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for IdCode<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        match self.0 {
            Parts::Uuid { uuid, before } => {
                buffer.extend_from_slice(&[Self::UUID]);
                buffer.extend_from_slice(uuid.as_bytes());
                buffer.extend_from_slice(before.as_bytes());
            }
            Parts::Text(text) => buffer.extend_from_slice(text.as_bytes()),
        }
        Ok(IsNull::No)
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;

    use super::*;

    #[test]
    fn an_id_with_a_uuid_has_a_short_code_and_any_other_is_its_own() {
        let uuid = "6f1c0d7e-2b9a-4c3d-8e21-0a7b6c5d4e3f";
        for (id, length) in [
            (uuid.to_owned(), 17),
            (format!("fb-{uuid}"), 20),
            (format!("é-{uuid}"), 20),
            (format!("{uuid}{uuid}"), 17 + 36),
            (uuid.to_uppercase(), 36),
            (format!("{uuid}-x"), 38),
            (uuid.replace('-', ""), 32),
            (format!("{{{uuid}}}"), 38),
            (format!("urn:uuid:{uuid}"), 26),
            (String::new(), 0),
            ("e".to_owned(), 1),
            // 36 bytes from the end is in the middle of a character.
            (format!("é{}", "a".repeat(35)), 37),
        ] {
            let code = IdCode::of(&id).into_bytes();
            assert_eq!((code.len(), id_of(&code)), (length, Some(id)));
        }
    }

    #[test]
    fn bytes_that_are_no_code_have_no_id() {
        assert_eq!(id_of(&[IdCode::UUID; 16]), None);
        assert_eq!(id_of(&[IdCode::UUID; 18]), None);
        assert_eq!(id_of(&[0xc3]), None);
    }

    #[test]
    fn every_id_comes_back_and_no_two_share_a_code() {
        let mut random = rand::rng();
        let mut ids = std::collections::HashMap::new();
        for _ in 0..20_000 {
            let (low, high) = (random.random_range(0..4_u128), random.random_range(0..3_u128) << 124);
            let uuid = Uuid::from_u128(high | low).to_string();
            let mut id = ["", "f", "fb-", "\u{ff}"][random.random_range(0..4)].to_owned();
            id.push_str(&uuid[random.random_range(0..3)..]);
            id.truncate(id.floor_char_boundary(random.random_range(30..42)));
            let code = IdCode::of(&id).into_bytes();
            assert_eq!(id_of(&code).as_deref(), Some(id.as_str()));
            assert_eq!(ids.entry(code).or_insert(id.clone()), &id);
        }
        assert!(ids.len() > 200, "{}", ids.len());
    }
}
