//! A body that is proven to be well-formed, and its items, found one by one.

use std::fmt;

use bytes::BytesMut;
use chrono::{DateTime, Utc};
use serde::{
    Deserializer as _,
    de::{Error as _, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use weir_event::{EncodedEvent, Refusal, check_json};
use weir_process::Reservation;

use super::{
    body::Received,
    dedup::{BySource, Census, Repeats},
    media_type::MediaType,
};

/// JSON's whitespace; Unicode's is not.
const WHITESPACE: [char; 4] = [' ', '\t', '\n', '\r'];
/// RFC 8259 lets a reader ignore it, and senders on some platforms can't help it.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Why a body is refused whole; for the sender.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("the body is not well-formed: {0}")]
    Malformed(String),
    /// What follows in the body was not looked at.
    #[error("the body is over the limit of {limit} items: one for every {LEAST_BYTES_PER_ITEM} bytes of it")]
    TooManyItems { limit: usize },
}

/// Half of what the shortest event has. Every bad item is a dead letter of its own, so that a body of many tiny items
/// would be work for minutes.
const LEAST_BYTES_PER_ITEM: usize = 128;
/// What a body may have however short it is.
const ALWAYS_ITEMS: usize = 1000;

/// A well-formed body.
#[derive(Debug)]
pub(super) struct Batch {
    content: Content,
    /// Where the first item is looked for.
    start: usize,
    /// What the gate says of a single item, which needs no proof where that is good.
    pub(super) single: Option<Result<EncodedEvent, Refusal>>,
    /// How many items name which source; of a single one nobody has looked.
    named: Option<BySource>,
    /// The items that repeat one before them.
    pub(super) repeats: Repeats,
    /// When it came in; timestamps are measured against it.
    pub(super) arrived_at: DateTime<Utc>,
    _room: [Reservation; 2],
}

/// A body by its layout. Each line is proven by itself, so that lines are bytes until then.
#[derive(Debug)]
enum Content {
    One(String),
    Array(String),
    Lines(Vec<u8>),
}

/// How far a batch has been read.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    offset: usize,
    index: u64,
}

/// One item as it was posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item<'a> {
    /// Its place in the body, from 0; blank lines don't count.
    pub(super) index: u64,
    /// Where it begins in the body.
    pub(super) offset: usize,
    pub(super) raw: &'a [u8],
    /// `raw`; a line may be no UTF-8.
    pub(super) text: Option<&'a str>,
}

impl Batch {
    /// Proves the whole body. A line of NDJSON that is no JSON is a bad item, not a bad body.
    pub(super) fn prove(
        received: Received,
        media_type: MediaType,
        arrived_at: DateTime<Utc>,
    ) -> Result<Self, Unfit> {
        let bytes = received.bytes;
        let start = first_byte(&bytes).ok_or_else(|| Unfit::Malformed("it is empty".into()))?;
        let content = match media_type {
            MediaType::Ndjson => Content::Lines(bytes),
            MediaType::Json if bytes[start] == b'[' => Content::Array(text(bytes)?),
            MediaType::Json => Content::One(text(bytes)?),
        };
        let (census, single) = match &content {
            Content::Array(text) => (Some(prove_array(&text[start..], most_items(text.len()))?), None),
            Content::One(text) => (None, Some(check_one(&text[start..], arrived_at)?)),
            Content::Lines(bytes) => (Some(count_lines(&bytes[start..], most_items(bytes.len()))?), None),
        };
        let mut batch = Self {
            content,
            start,
            single,
            named: census.as_ref().map(Census::named),
            repeats: Repeats::default(),
            arrived_at,
            _room: received.room,
        };
        if let Some(census) = census {
            batch.repeats = Repeats::find(&batch, &census);
        }
        Ok(batch)
    }

    /// The bytes of the body.
    pub(super) fn bytes(&self) -> usize {
        self.content.as_bytes().len()
    }

    /// How many there are.
    pub(super) fn items(&self) -> u64 {
        self.named.map_or(1, |named| named.iter().map(|(_, items)| items).sum())
    }

    /// How many items name which source.
    pub(super) fn named(&self) -> BySource {
        self.named.unwrap_or_else(|| {
            let single = self.next(&mut self.cursor());
            single.map_or_else(Census::default, |item| Census::default().with(item.text)).named()
        })
    }

    /// Before the first item.
    pub(super) fn cursor(&self) -> Cursor {
        // The bracket of an array is no part of its items.
        let bracket = usize::from(matches!(self.content, Content::Array(_)));
        Cursor { offset: self.start + bracket, index: 0 }
    }

    /// The next item, or `None` after the last.
    pub(super) fn next(&self, cursor: &mut Cursor) -> Option<Item<'_>> {
        let from = cursor.offset;
        let (raw, text) = match &self.content {
            Content::One(text) => {
                let text = text[from..].trim_end_matches(WHITESPACE);
                (!text.is_empty()).then_some((text.as_bytes(), Some(text)))
            }
            Content::Array(text) => first_element(&text[from..]).map(|text| (text.as_bytes(), Some(text))),
            Content::Lines(bytes) => lines(&bytes[from..]).next().map(|raw| (raw, str::from_utf8(raw).ok())),
        }?;
        // Both point into the same bytes, so that their distance is the item's place in them.
        let offset = raw.as_ptr() as usize - self.content.as_bytes().as_ptr() as usize;
        let item = Item { index: cursor.index, offset, raw, text };
        *cursor = Cursor { offset: offset + raw.len(), index: cursor.index + 1 };
        Some(item)
    }

    /// The text of an item that was found before, where it is one.
    pub(super) fn text(&self, offset: usize, length: usize) -> Option<&str> {
        let raw = &self.content.as_bytes()[offset..offset + length];
        str::from_utf8(raw).ok()
    }
}

impl Content {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::One(text) | Self::Array(text) => text.as_bytes(),
            Self::Lines(bytes) => bytes,
        }
    }
}

/// The most items of a body with so many bytes, after decompression.
fn most_items(bytes: usize) -> usize {
    ALWAYS_ITEMS.max(bytes / LEAST_BYTES_PER_ITEM)
}

/// Where the content begins, behind a byte order mark and blanks; `None` where there is none.
fn first_byte(bytes: &[u8]) -> Option<usize> {
    let content = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let blanks = content.iter().position(|byte| !is_whitespace(*byte))?;
    Some(bytes.len() - content.len() + blanks)
}

fn is_whitespace(byte: u8) -> bool {
    WHITESPACE.contains(&char::from(byte))
}

fn text(bytes: Vec<u8>) -> Result<String, Unfit> {
    String::from_utf8(bytes).map_err(|error| {
        Unfit::Malformed(format!("no UTF-8 from byte {} on", error.utf8_error().valid_up_to()))
    })
}

/// The lines that are not blank, without the whitespace around them.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').map(trim).filter(|line| !line.is_empty())
}

fn trim(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|byte| !is_whitespace(*byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !is_whitespace(*byte)).map_or(start, |last| last + 1);
    &line[start..end]
}

/// The first of the elements that are left of a proven array.
fn first_element(rest: &str) -> Option<&str> {
    let rest = rest.trim_start_matches(|character| character == ',' || WHITESPACE.contains(&character));
    if rest.starts_with(']') {
        return None;
    }
    let element = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>().next();
    let element = element.and_then(Result::ok).expect("the array was proven to be well-formed");
    Some(element.get())
}

fn malformed(error: serde_json::Error) -> Unfit {
    Unfit::Malformed(error.to_string())
}

/// What passes the gate was read whole, so that only a refused item is still to be proven.
fn check_one(text: &str, arrived_at: DateTime<Utc>) -> Result<Result<EncodedEvent, Refusal>, Unfit> {
    let checked = check_json(text.trim_end_matches(WHITESPACE), arrived_at);
    if checked.is_err() {
        serde_json::from_str::<IgnoredAny>(text).map_err(malformed)?;
    }
    Ok(checked.map(|event| event.encode(&mut BytesMut::new())))
}

fn prove_array(text: &str, most_items: usize) -> Result<Census, Unfit> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut too_many = false;
    let census = deserializer.deserialize_seq(Elements { left: most_items, too_many: &mut too_many });
    match census {
        Ok(census) => deserializer.end().map(|()| census).map_err(malformed),
        Err(_) if too_many => Err(Unfit::TooManyItems { limit: most_items }),
        Err(error) => Err(malformed(error)),
    }
}

fn count_lines(bytes: &[u8], most_items: usize) -> Result<Census, Unfit> {
    match lines(bytes).nth(most_items) {
        Some(_) => Err(Unfit::TooManyItems { limit: most_items }),
        None => {
            Ok(lines(bytes).fold(Census::default(), |census, line| census.with(str::from_utf8(line).ok())))
        }
    }
}

/// Counts the elements of an array without keeping them.
struct Elements<'a> {
    /// How many more there may be.
    left: usize,
    too_many: &'a mut bool,
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = Census;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<Census, A::Error> {
        let mut census = Census::default();
        while let Some(element) = elements.next_element::<&RawValue>()? {
            let Some(left) = self.left.checked_sub(1) else {
                *self.too_many = true;
                return Err(A::Error::custom("too many items"));
            };
            self.left = left;
            census = census.with(Some(element.get()));
        }
        Ok(census)
    }
}

#[cfg(test)]
mod tests {
    use weir_process::Budget;

    use super::*;

    fn prove(bytes: &[u8], media_type: MediaType) -> Result<Batch, Unfit> {
        let room = [Budget::new(1).reservation(), Budget::new(1).reservation()];
        Batch::prove(Received { bytes: bytes.to_vec(), room }, media_type, Utc::now())
    }

    fn items(text: &str, media_type: MediaType) -> Vec<String> {
        items_of(text.as_bytes(), media_type)
    }

    fn items_of(bytes: &[u8], media_type: MediaType) -> Vec<String> {
        let batch = prove(bytes, media_type).unwrap();
        let mut cursor = batch.cursor();
        let mut items = Vec::new();
        while let Some(item) = batch.next(&mut cursor) {
            assert_eq!(item.index, items.len() as u64);
            assert_eq!(batch.text(item.offset, item.raw.len()), item.text);
            items.push(String::from_utf8_lossy(item.raw).into_owned());
        }
        assert_eq!(batch.named().iter().map(|(_, items)| items).sum::<u64>(), items.len() as u64);
        items
    }

    #[test]
    fn the_items_of_an_array_are_found_as_they_were_written() {
        assert_eq!(
            items(" [ 1,\"a,]\" ,{ \"b\" : [2 ,3]}\n, [] , null,-1e400 ] ", MediaType::Json),
            ["1", "\"a,]\"", "{ \"b\" : [2 ,3]}", "[]", "null", "-1e400"]
        );
        assert!(items("[]", MediaType::Json).is_empty());
        assert!(items("\u{feff}[ ]", MediaType::Json).is_empty());
    }

    #[test]
    fn anything_but_an_array_is_one_item() {
        for text in ["17", "null", "\"x\"", "{\"a\": [1]}"] {
            assert_eq!(items(&format!("\n {text} \r\n"), MediaType::Json), [text]);
        }
    }

    #[test]
    fn blank_lines_don_t_count() {
        assert_eq!(items("\n{}\r\n \t\r\n[1\nnot json\n\n", MediaType::Ndjson), ["{}", "[1", "not json"]);
        assert_eq!(items("\u{feff}{}", MediaType::Ndjson), ["{}"]);
    }

    #[test]
    fn what_is_not_json_is_refused_whole() {
        for text in ["", " \n", "{", "[1,]", "[1 2]", "[1]]", "{} {}", "nul", "[1,2", "\"\n\"", "[01]", "\0"]
        {
            assert!(prove(text.as_bytes(), MediaType::Json).is_err(), "{text}");
        }
        assert!(prove(b"[\"\xff\"]", MediaType::Json).is_err());
        assert!(prove(b"\n \n", MediaType::Ndjson).is_err());
    }

    #[test]
    fn a_line_that_is_no_utf_8_is_one_item() {
        assert_eq!(
            items_of(b"{}\n{\"a\":\"\xe9\"}\r\n\xc3", MediaType::Ndjson),
            ["{}", "{\"a\":\"\u{fffd}\"}", "\u{fffd}"]
        );
    }

    /// A body with so many items of one byte, and blanks up to its size.
    fn bodies(items: usize, bytes: usize) -> [(String, MediaType); 2] {
        let padded = |text: String| format!("{text}{}", " ".repeat(bytes - text.len()));
        [
            (padded(format!("[{}]", vec!["1"; items].join(","))), MediaType::Json),
            (padded(vec!["1"; items].join("\n\n")), MediaType::Ndjson),
        ]
    }

    #[test]
    fn a_body_has_at_most_one_item_for_every_128_bytes_and_may_always_have_a_thousand() {
        for (most, bytes) in [(1000, 4000), (1000, 128_000), (2000, 256_000)] {
            for (text, media_type) in bodies(most, bytes) {
                assert_eq!(items(&text, media_type).len(), most);
            }
            for (text, media_type) in bodies(most + 1, bytes) {
                let unfit = prove(text.as_bytes(), media_type).unwrap_err();
                assert!(matches!(unfit, Unfit::TooManyItems { limit } if limit == most), "{unfit}");
            }
        }
    }

    #[test]
    fn deep_nesting_needs_no_stack() {
        for depth in [128, 100_000] {
            let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            assert_eq!(items(&nested, MediaType::Json).len(), 1);
            assert_eq!(items(&nested, MediaType::Ndjson).len(), 1);
            assert_eq!(items(&format!("{{\"source\":{nested}}}"), MediaType::Json).len(), 1);
        }
    }
}
