//! An item that wants to become an event, as loosely typed as senders are.
//!
//! It holds every key that any source knows; a key that the item's own source does not know is never looked at,
//! whatever its type. Scalars keep the sender's own text, so that `41.0` is told from `41` and no number is lost
//! to a float.

pub(super) mod decode;
mod from_message;
mod json;

use std::borrow::Cow;

use chrono::{DateTime, SubsecRound as _, Utc};

pub(super) use self::json::{Keys, Value, not_utf_8, read};

/// A key's value where a string, a number or null belongs.
#[derive(Debug, Default)]
pub(super) enum Scalar<'a> {
    #[default]
    Absent,
    /// JSON text, whatever is written there.
    Json(&'a str),
    /// The key stands there more than once: the JSON text of its first string, or else of its last value.
    Repeated(&'a str),
    Null,
    Text(Cow<'a, str>),
    Integer(u64),
    Number(f64),
    /// Seconds and nanoseconds since the Unix epoch.
    Instant(i64, i32),
}

/// A key's value where an object belongs.
#[derive(Debug, Default)]
pub(super) enum Object<T> {
    #[default]
    Absent,
    /// What stands there instead.
    Other(&'static str),
    Present(T),
    /// The key stands there more than once.
    Repeated,
}

#[derive(Debug, Default)]
pub(super) struct Candidate<'a> {
    pub(super) event_id: Scalar<'a>,
    pub(super) timestamp: Scalar<'a>,
    pub(super) source: Scalar<'a>,
    pub(super) funnel_stage: Scalar<'a>,
    pub(super) event_type: Scalar<'a>,
    pub(super) data: Object<Data<'a>>,
}

#[derive(Debug, Default)]
pub(super) struct Data<'a> {
    pub(super) user: Object<User<'a>>,
    pub(super) engagement: Object<Engagement<'a>>,
}

#[derive(Debug, Default)]
pub(super) struct User<'a> {
    pub(super) user_id: Scalar<'a>,
    pub(super) name: Scalar<'a>,
    pub(super) age: Scalar<'a>,
    pub(super) gender: Scalar<'a>,
    pub(super) location: Object<Location<'a>>,
    pub(super) username: Scalar<'a>,
    pub(super) followers: Scalar<'a>,
}

#[derive(Debug, Default)]
pub(super) struct Location<'a> {
    pub(super) country: Scalar<'a>,
    pub(super) city: Scalar<'a>,
}

#[derive(Debug, Default)]
pub(super) struct Engagement<'a> {
    pub(super) action_time: Scalar<'a>,
    pub(super) referrer: Scalar<'a>,
    pub(super) video_id: Scalar<'a>,
    pub(super) ad_id: Scalar<'a>,
    pub(super) campaign_id: Scalar<'a>,
    pub(super) click_position: Scalar<'a>,
    pub(super) device: Scalar<'a>,
    pub(super) browser: Scalar<'a>,
    pub(super) purchase_amount: Scalar<'a>,
    pub(super) watch_time: Scalar<'a>,
    pub(super) percentage_watched: Scalar<'a>,
    pub(super) country: Scalar<'a>,
    pub(super) profile_id: Scalar<'a>,
    pub(super) purchased_item: Scalar<'a>,
}

impl<'a> Scalar<'a> {
    /// Whether the key is there and says null.
    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Null | Self::Json("null"))
    }

    /// The first string that stands there, even where there should be one alone.
    pub(super) fn first_text(&self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Json(raw) | Self::Repeated(raw) if raw.starts_with('"') => unquote(raw).ok(),
            _ => None,
        }
    }

    pub(super) fn text(self) -> Result<Cow<'a, str>, String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Json(raw) if raw.starts_with('"') => unquote(raw),
            other => Err(other.instead_of("a string")),
        }
    }

    /// An integer without fraction and exponent, 0 to `most`.
    pub(super) fn integer(self, most: u64) -> Result<u64, String> {
        let rule = || format!("must be an integer from 0 to {most}, without fraction or exponent");
        let integer = match self {
            Self::Integer(integer) => Some(integer),
            Self::Json(raw) if kind(raw) == NUMBER => raw.parse().ok(),
            other => return Err(other.instead_of("an integer")),
        };
        integer.filter(|integer| *integer <= most).ok_or_else(rule)
    }

    /// A number from 0 to `most`, where there is a `most`.
    pub(super) fn number(self, most: Option<f64>) -> Result<f64, String> {
        let number = match self {
            Self::Number(number) => number,
            Self::Json(raw) if kind(raw) == NUMBER => raw.parse().unwrap_or(f64::NAN),
            other => return Err(other.instead_of("a number")),
        };
        let range = 0.0..=most.unwrap_or(f64::MAX);
        let rule = || match most {
            Some(most) => format!("must be a number from 0 to {most}"),
            None => "must be a number of 0 or more".into(),
        };
        if range.contains(&number) { Ok(number) } else { Err(rule()) }
    }

    /// A point in time, to the microsecond.
    pub(super) fn instant(self) -> Result<DateTime<Utc>, String> {
        let rule = "must be an RFC 3339 date-time with a time zone, without leap seconds";
        match self {
            Self::Instant(seconds, nanos) => instant(seconds, nanos).ok_or_else(|| rule.to_owned()),
            Self::Absent | Self::Null => Err(self.instead_of("a date-time")),
            other => parse_rfc3339(&other.text()?).ok_or_else(|| rule.to_owned()),
        }
    }

    fn instead_of(&self, wanted: &str) -> String {
        let found = match self {
            Self::Absent => return "is required".into(),
            Self::Repeated(_) => return REPEATED.into(),
            Self::Json(raw) => kind(raw),
            Self::Null => "null",
            Self::Text(_) => "a string",
            Self::Integer(_) | Self::Number(_) => NUMBER,
            Self::Instant(..) => "a date-time",
        };
        format!("must be {wanted}, not {found}")
    }
}

const NUMBER: &str = "a number";
/// What is told of a key that stands more than once in its object: readers differ in which value they take.
pub(super) const REPEATED: &str = "must stand there once";

/// What a well-formed JSON text is, by its first byte.
fn kind(raw: &str) -> &'static str {
    match raw.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => NUMBER,
    }
}

/// The text of a JSON string; without an escape it is what stands between the quotes.
fn unquote(raw: &str) -> Result<Cow<'_, str>, String> {
    if raw.contains('\\') {
        return serde_json::from_str(raw)
            .map(Cow::Owned)
            .map_err(|_| "must be Unicode text: it holds a lone surrogate".into());
    }
    Ok(Cow::Borrowed(&raw[1..raw.len() - 1]))
}

/// Years that RFC 3339 can write in any zone fit here with a day to spare, and so do protobuf's.
fn instant(seconds: i64, nanos: i32) -> Option<DateTime<Utc>> {
    const YEAR_MINUS_1: i64 = -62_198_755_200;
    const YEAR_10001: i64 = 253_433_923_200;
    if !(YEAR_MINUS_1..YEAR_10001).contains(&seconds) {
        return None;
    }
    let instant = DateTime::from_timestamp(seconds, u32::try_from(nanos).ok()?)?;
    (nanos < 1_000_000_000).then(|| instant.trunc_subsecs(6))
}

/// chrono besides takes a space for the `T`, leap seconds, and a minus sign that is not ASCII.
fn parse_rfc3339(text: &str) -> Option<DateTime<Utc>> {
    let bytes = text.as_bytes();
    let shaped = text.is_ascii()
        && matches!(bytes.get(10), Some(b'T' | b't'))
        && bytes.get(17..19).is_some_and(|seconds| seconds != b"60");
    let instant = shaped.then(|| DateTime::parse_from_rfc3339(text).ok()).flatten()?;
    Some(instant.to_utc().trunc_subsecs(6))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Option<String> {
        parse_rfc3339(text).map(|instant| instant.to_rfc3339())
    }

    #[test]
    fn date_times_are_rfc_3339_and_nothing_else() {
        assert_eq!(time("2025-09-14t07:21:45z").unwrap(), "2025-09-14T07:21:45+00:00");
        assert_eq!(time("2025-09-14T12:51:45.318274915+05:30").unwrap(), "2025-09-14T07:21:45.318274+00:00");
        for bad in [
            "2025-09-14 07:21:45Z",
            "2025-09-14T07:21:60Z",
            "2025-09-14T07:21:45",
            "2025-09-14T07:21:45.Z",
            "2025-09-14T07:21:45+0530",
            "2025-09-14T24:00:00Z",
            "2025-09-14T07:21:45\u{2212}05:30",
            "2025-09-14T07:21:45Z ",
            "+2025-09-14T07:21:45Z",
            "",
        ] {
            assert_eq!(time(bad), None, "{bad}");
        }
    }

    #[test]
    fn integers_have_no_fraction_and_no_exponent() {
        assert_eq!(Scalar::Json("41").integer(150), Ok(41));
        for bad in ["41.0", "4e1", "-1", "151", "18446744073709551616", "\"41\"", "null"] {
            assert!(Scalar::Json(bad).integer(150).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_number_beyond_every_float_is_refused() {
        assert_eq!(Scalar::Json("12.75").number(None), Ok(12.75));
        for bad in ["1e400", "-0.1", "100.1", "true"] {
            assert!(Scalar::Json(bad).number(Some(100.0)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_lone_surrogate_is_told_where_it_stands() {
        assert_eq!(Scalar::Json(r#""\u00e9""#).text().unwrap(), "é");
        assert!(Scalar::Json(r#""\ud800""#).text().unwrap_err().contains("surrogate"));
    }

    #[test]
    fn an_array_is_no_event() {
        let mut candidate = Candidate::default();
        assert!(read(&mut candidate, "[]").unwrap_err().contains("an array"));
        read(&mut candidate, r#"{"data":[1,[2]]}"#).unwrap();
        assert!(matches!(candidate.data, Object::Other("an array")));
    }
}
