//! The media types of JSON. A browser lets a page send one to another origin only where that origin allows it.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// The media types, as messages name them.
pub const JSON_MEDIA_TYPES: &str = "application/json, application/*+json, application/x-ndjson";

/// The kind of a JSON body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonType {
    /// One JSON value.
    Json,
    /// One JSON value per line.
    Ndjson,
}

impl JsonType {
    /// Reads the value of a `Content-Type` header without its parameters; `None` where it names no JSON.
    #[must_use]
    pub fn parse(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let subtype = after(essence, "application/")?;
        let suffix = subtype.len().checked_sub("+json".len()).filter(|prefix| *prefix > 0);
        if subtype.eq_ignore_ascii_case("json") {
            Some(Self::Json)
        } else if subtype.eq_ignore_ascii_case("x-ndjson") {
            Some(Self::Ndjson)
        } else {
            let suffix = suffix.and_then(|start| subtype.get(start..))?;
            suffix.eq_ignore_ascii_case("+json").then_some(Self::Json)
        }
    }

    /// Returns the type that the headers name; `None` where they name none, another one, or several.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let values = non_blank_values(headers, &header::CONTENT_TYPE);
        let mut types = values.map(|value| value.to_str().ok().and_then(Self::parse));
        let first = types.next()??;
        types.all(|another| another == Some(first)).then_some(first)
    }
}

/// The text behind `prefix`, whose case does not count.
fn after<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// The values of a header that are not blank: some senders name a header and leave it empty.
pub fn non_blank_values<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a HeaderValue> {
    headers.get_all(name).iter().filter(|value| !value.as_bytes().trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_these_media_types() {
        for json in [
            "application/json",
            "Application/JSON ; charset=utf-8",
            "application/vnd.a+json",
            "application/A+JSON",
        ] {
            assert_eq!(JsonType::parse(json), Some(JsonType::Json), "{json}");
        }
        assert_eq!(JsonType::parse("application/X-ndjson"), Some(JsonType::Ndjson));
        for other in [
            "",
            "json",
            "text/json",
            "application/",
            "application/+json",
            "application/jsonp",
            "application/json, text/plain",
            "text/plain; application/json",
            "text/plain+json",
            "application/é",
        ] {
            assert_eq!(JsonType::parse(other), None, "{other}");
        }
    }
}
