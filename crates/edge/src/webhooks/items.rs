//! The items of a body: their layout by media type, and the search for the next one.

use http::{HeaderMap, HeaderName, StatusCode, header};
use serde_json::value::RawValue;
use weir_process::http_guard::{JSON_MEDIA_TYPES, JsonType, non_blank_values};

use crate::problem::Problem;

const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
/// JSON's whitespace, which has fewer characters than Unicode's.
const WHITESPACE: [char; 4] = [' ', '\t', '\n', '\r'];
/// RFC 8259 allows a reader to ignore it, and some platforms write it.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The format of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyFormat {
    /// One item or an array of items.
    Json,
    /// One item per line.
    Ndjson,
}

impl BodyFormat {
    /// The media type that the headers name, or JSON without one.
    ///
    /// # Errors
    /// 415 where the type is unknown, or where several headers name different ones.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let unsupported = || {
            let detail = format!("the media type must be one of {JSON_MEDIA_TYPES}, in UTF-8");
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail).header(ACCEPT_POST, JSON_MEDIA_TYPES)
        };
        let mut types =
            non_blank_values(headers, &header::CONTENT_TYPE).map(|value| Self::parse(value.to_str().ok()?));
        match types.next() {
            None => Ok(Self::Json),
            Some(media_type) if types.all(|another| another == media_type) => {
                media_type.ok_or_else(unsupported)
            }
            Some(_) => Err(unsupported()),
        }
    }

    /// Parameters other than the charset are ignored: they don't change how the edge reads the body.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let media_type = match JsonType::parse(parts.next()?)? {
            JsonType::Json => Self::Json,
            JsonType::Ndjson => Self::Ndjson,
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

/// A body and the layout of its items. Of an array the caller has checked that it is well-formed.
#[derive(Debug)]
pub(super) struct Items {
    layout: Layout,
    /// The offset of the content, see [`content_start`].
    start: usize,
}

/// The layout of the items in a body. Lines are bytes: each one is checked by itself, and one that is no UTF-8 is a
/// bad item.
#[derive(Debug)]
pub(super) enum Layout {
    Single(String),
    Array(String),
    Lines(Vec<u8>),
}

/// A position between two items.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    offset: usize,
    index: u64,
}

/// One item as it was posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item<'a> {
    /// Its index in the body, from 0. Blank lines don't count.
    pub(super) index: u64,
    /// Its offset in the body, in bytes.
    pub(super) offset: usize,
    pub(super) raw: &'a [u8],
    /// `raw` as text; `None` for a line that is no UTF-8.
    pub(super) text: Option<&'a str>,
}

impl Items {
    pub(super) fn new(layout: Layout, start: usize) -> Self {
        Self { layout, start }
    }

    /// The size of the body in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.as_bytes().len()
    }

    /// The position before the first item.
    pub(super) fn cursor(&self) -> Cursor {
        // The bracket of an array is no part of its items.
        let bracket = usize::from(matches!(self.layout, Layout::Array(_)));
        Cursor { offset: self.start + bracket, index: 0 }
    }

    /// The next item, or `None` after the last.
    pub(super) fn next(&self, cursor: &mut Cursor) -> Option<Item<'_>> {
        let from = cursor.offset;
        let (raw, text) = match &self.layout {
            Layout::Single(text) => {
                let text = trim_end(&text[from..]);
                (!text.is_empty()).then_some((text.as_bytes(), Some(text)))
            }
            Layout::Array(text) => first_element(&text[from..]).map(|text| (text.as_bytes(), Some(text))),
            Layout::Lines(bytes) => lines(&bytes[from..]).next().map(|raw| (raw, str::from_utf8(raw).ok())),
        }?;
        // Both point into the same bytes, so their distance is the offset of the item.
        let offset = raw.as_ptr() as usize - self.as_bytes().as_ptr() as usize;
        let item = Item { index: cursor.index, offset, raw, text };
        *cursor = Cursor { offset: offset + raw.len(), index: cursor.index + 1 };
        Some(item)
    }

    /// The text of an item that [`Items::next`] returned; `None` where it is no UTF-8.
    pub(super) fn text(&self, offset: usize, length: usize) -> Option<&str> {
        let raw = &self.as_bytes()[offset..offset + length];
        str::from_utf8(raw).ok()
    }

    fn as_bytes(&self) -> &[u8] {
        match &self.layout {
            Layout::Single(text) | Layout::Array(text) => text.as_bytes(),
            Layout::Lines(bytes) => bytes,
        }
    }
}

/// The offset of the content behind a byte order mark and whitespace; `None` where there is no content.
pub(super) fn content_start(bytes: &[u8]) -> Option<usize> {
    let content = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let blanks = content.iter().position(|byte| !is_whitespace(*byte))?;
    Some(bytes.len() - content.len() + blanks)
}

/// The lines that are not blank, without the whitespace around them.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').map(trim).filter(|line| !line.is_empty())
}

/// The text without the whitespace at its end.
pub(super) fn trim_end(text: &str) -> &str {
    text.trim_end_matches(WHITESPACE)
}

fn trim(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|byte| !is_whitespace(*byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !is_whitespace(*byte)).map_or(start, |last| last + 1);
    &line[start..end]
}

fn is_whitespace(byte: u8) -> bool {
    WHITESPACE.contains(&char::from(byte))
}

/// The first of the remaining elements of a well-formed array.
fn first_element(rest: &str) -> Option<&str> {
    let rest = rest.trim_start_matches(|character| character == ',' || WHITESPACE.contains(&character));
    if rest.starts_with(']') {
        return None;
    }
    let element = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>().next();
    let element = element.and_then(Result::ok).expect("the array was checked to be well-formed");
    Some(element.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_media_type_of_json_in_utf_8_is_supported() {
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
            assert_eq!(BodyFormat::parse(text), Some(BodyFormat::Json), "{text}");
        }
        assert_eq!(BodyFormat::parse("application/x-ndjson ; charset = utf-8"), Some(BodyFormat::Ndjson));
        assert_eq!(BodyFormat::of(&HeaderMap::new()).ok(), Some(BodyFormat::Json));
    }

    #[test]
    fn another_media_type_or_charset_is_not_supported() {
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
            assert_eq!(BodyFormat::parse(text), None, "{text}");
        }
    }
}
