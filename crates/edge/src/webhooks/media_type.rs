//! The media type and the encoding of a body.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::problem::Problem;

const TYPES: &str = "application/json, application/*+json, application/x-ndjson";
const ENCODINGS: &str = "gzip, zstd";
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");

/// What the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MediaType {
    /// One item or an array.
    Json,
    /// One item a line.
    Ndjson,
}

/// How the body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl MediaType {
    /// None at all is taken as JSON. Several must say the same.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let unknown = || {
            let detail = format!("the media type must be one of {TYPES}, in UTF-8");
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail).header(ACCEPT_POST, TYPES)
        };
        let mut types = said(headers, &header::CONTENT_TYPE).map(|value| Self::parse(value.to_str().ok()?));
        match types.next() {
            None => Ok(Self::Json),
            Some(media_type) if types.all(|another| another == media_type) => media_type.ok_or_else(unknown),
            Some(_) => Err(unknown()),
        }
    }

    /// A parameter other than the charset says nothing about how to read the body.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let essence = parts.next()?.to_ascii_lowercase();
        let media_type = match essence.strip_prefix("application/")? {
            "json" => Self::Json,
            "x-ndjson" => Self::Ndjson,
            subtype if subtype.strip_suffix("+json").is_some_and(|prefix| !prefix.is_empty()) => Self::Json,
            _ => return None,
        };
        let utf_8 = |parameter: &str| match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
                let charset = value.trim().trim_matches('"');
                ["", "utf-8", "utf8"].iter().any(|name| charset.eq_ignore_ascii_case(name))
            }
            _ => true,
        };
        parts.all(utf_8).then_some(media_type)
    }
}

impl Encoding {
    /// Several encodings one over the other are refused like an unknown one: no sender needs them.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let unknown = || {
            let detail = format!("the content encoding must be one of {ENCODINGS}, or none");
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
                .header(header::ACCEPT_ENCODING, ENCODINGS)
        };
        let mut values = said(headers, &header::CONTENT_ENCODING);
        match (values.next(), values.next()) {
            (None, _) => Ok(Self::Identity),
            (Some(value), None) => value.to_str().ok().and_then(Self::parse).ok_or_else(unknown),
            (Some(_), Some(_)) => Err(unknown()),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// The values of a header that are not blank: some senders name a header and leave it empty.
fn said<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a HeaderValue> {
    headers.get_all(name).iter().filter(|value| !value.as_bytes().trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_utf_8_is_taken_however_it_is_called() {
        for text in [
            "application/json",
            "Application/JSON; Charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/json;charset=utf8",
            "application/json; charset=\"UTF8\"",
            "application/json; charset=",
            "application/cloudevents+json; charset=utf-8",
            "application/json; profile=x",
        ] {
            assert_eq!(MediaType::parse(text), Some(MediaType::Json), "{text}");
        }
        assert_eq!(MediaType::parse("application/x-ndjson ; charset = utf-8"), Some(MediaType::Ndjson));
        assert_eq!(MediaType::of(&HeaderMap::new()).ok(), Some(MediaType::Json));
    }

    #[test]
    fn everything_else_is_not() {
        for text in [
            "",
            "text/json",
            "text/plain",
            "application/xml",
            "application/+json",
            "application/jsonx",
            "application/json; charset=utf-16",
            "application/json; charset=latin1",
            "application/json; charset=utf",
            "application/json; charset=utf-88",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
        ] {
            assert_eq!(MediaType::parse(text), None, "{text}");
        }
    }

    #[test]
    fn one_known_encoding_is_taken() {
        assert_eq!(Encoding::parse("GZIP"), Some(Encoding::Gzip));
        assert_eq!(Encoding::parse("zstd"), Some(Encoding::Zstd));
        for text in ["br", "deflate", "gzip, zstd", "gzip,gzip", ""] {
            assert_eq!(Encoding::parse(text), None, "{text}");
        }
        let mut twice = HeaderMap::new();
        twice.append(header::CONTENT_ENCODING, "gzip".parse().unwrap());
        twice.append(header::CONTENT_ENCODING, "gzip".parse().unwrap());
        assert_eq!(Encoding::of(&twice).unwrap_err().status(), 415);
    }
}
