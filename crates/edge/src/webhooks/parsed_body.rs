//! Parsing of a body: checks that it is well-formed, limits its items and finds repeated ones.

use std::fmt;

use bytes::BytesMut;
use chrono::{DateTime, Utc};
use serde::{
    Deserializer as _,
    de::{Error as _, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use weir_event::{EncodedEvent, Refusal, check_json};

use super::{
    body::{BodyRoom, Received},
    dedup::{IdentityScan, ItemsBySource, Repeats},
    items::{BodyFormat, Items, Layout, content_start, lines, trim_end},
};

/// Below the size of the shortest event. Every bad item becomes a dead letter, so a body of many tiny items would
/// cause minutes of work.
const MIN_BYTES_PER_ITEM: usize = 128;
/// The number of items that a body may have however short it is.
const ALWAYS_ALLOWED_ITEMS: usize = 1000;
/// The body size in bytes from which work leaves the request threads. Below it the work takes about a millisecond,
/// and a hand-over is not worth its cost.
const BLOCKING_BYTES: usize = 64 * 1024;

/// The reason why the whole body is rejected, as the sender reads it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ParseError {
    #[error("the body is not well-formed: {0}")]
    Malformed(String),
    /// The parser stopped at the limit, and did not read the rest of the body.
    #[error("the body is over the limit of {limit} items: one for every {MIN_BYTES_PER_ITEM} bytes of it")]
    TooManyItems { limit: usize },
}

/// A well-formed body.
#[derive(Debug)]
pub(super) struct ParsedBody {
    pub(super) items: Items,
    /// The gate's result for a single item. A good one needs no check of its form.
    pub(super) single: Option<Result<EncodedEvent, Refusal>>,
    /// The number of items by source; `None` for a single item, whose source was not read yet.
    scanned: Option<ItemsBySource>,
    pub(super) repeats: Repeats,
    /// The arrival time of the body, which the gate compares timestamps with.
    pub(super) arrived_at: DateTime<Utc>,
    _room: BodyRoom,
}

impl ParsedBody {
    /// Parses a whole body. A line of NDJSON that is no JSON is a bad item, and the body stays good.
    ///
    /// # Errors
    /// The body is malformed or has too many items.
    pub(super) fn parse(
        received: Received,
        media_type: BodyFormat,
        arrived_at: DateTime<Utc>,
    ) -> Result<Self, ParseError> {
        let bytes = received.bytes;
        let start = content_start(&bytes).ok_or_else(|| ParseError::Malformed("it is empty".into()))?;
        let layout = match media_type {
            BodyFormat::Ndjson => Layout::Lines(bytes),
            BodyFormat::Json if bytes[start] == b'[' => Layout::Array(text(bytes)?),
            BodyFormat::Json => Layout::Single(text(bytes)?),
        };
        let (scan, single) = match &layout {
            Layout::Array(text) => (Some(scan_array(&text[start..], max_items(text.len()))?), None),
            Layout::Single(text) => (None, Some(check_single(&text[start..], arrived_at)?)),
            Layout::Lines(bytes) => (Some(scan_lines(&bytes[start..], max_items(bytes.len()))?), None),
        };
        let items = Items::new(layout, start);
        let repeats = scan.as_ref().map(|scan| Repeats::find(&items, scan, arrived_at)).unwrap_or_default();
        let scanned = scan.as_ref().map(IdentityScan::items_by_source);
        Ok(Self { items, single, scanned, repeats, arrived_at, _room: received.room })
    }

    /// The size of the body in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.items.bytes()
    }

    /// The number of items.
    pub(super) fn item_count(&self) -> u64 {
        self.scanned.map_or(1, |counts| counts.iter().map(|(_, items)| items).sum())
    }

    /// The number of items by source.
    pub(super) fn items_by_source(&self) -> ItemsBySource {
        self.scanned.unwrap_or_else(|| {
            let item = self.items.next(&mut self.items.cursor());
            let scan = item.map(|item| IdentityScan::default().add(item.text)).unwrap_or_default();
            scan.items_by_source()
        })
    }
}

/// Runs `work` on a body of `bytes`: a large one on a blocking thread, so that it does not delay other requests.
pub(super) async fn run_off_thread<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    if bytes < BLOCKING_BYTES {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down and drops this request.
            Err(_) => std::future::pending().await,
        },
    }
}

/// The most items of a body of so many bytes after decompression.
fn max_items(bytes: usize) -> usize {
    ALWAYS_ALLOWED_ITEMS.max(bytes / MIN_BYTES_PER_ITEM)
}

fn text(bytes: Vec<u8>) -> Result<String, ParseError> {
    String::from_utf8(bytes).map_err(|error| {
        ParseError::Malformed(format!("no UTF-8 from byte {} on", error.utf8_error().valid_up_to()))
    })
}

fn malformed(error: serde_json::Error) -> ParseError {
    ParseError::Malformed(error.to_string())
}

/// Checks a single item. The gate reads a good item whole, so only the form of a rejected one needs a check.
fn check_single(text: &str, arrived_at: DateTime<Utc>) -> Result<Result<EncodedEvent, Refusal>, ParseError> {
    let checked = check_json(trim_end(text), arrived_at);
    if checked.is_err() {
        serde_json::from_str::<IgnoredAny>(text).map_err(malformed)?;
    }
    Ok(checked.map(|event| event.encode(&mut BytesMut::new())))
}

fn scan_array(text: &str, max_items: usize) -> Result<IdentityScan, ParseError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut too_many = false;
    let scan = deserializer.deserialize_seq(ArrayScan { remaining: max_items, too_many: &mut too_many });
    match scan {
        Ok(scan) => deserializer.end().map(|()| scan).map_err(malformed),
        Err(_) if too_many => Err(ParseError::TooManyItems { limit: max_items }),
        Err(error) => Err(malformed(error)),
    }
}

fn scan_lines(bytes: &[u8], max_items: usize) -> Result<IdentityScan, ParseError> {
    if lines(bytes).nth(max_items).is_some() {
        return Err(ParseError::TooManyItems { limit: max_items });
    }
    Ok(lines(bytes).fold(IdentityScan::default(), |scan, line| scan.add(str::from_utf8(line).ok())))
}

/// Scans the elements of an array and keeps none of them.
struct ArrayScan<'a> {
    /// The number of items that may still follow.
    remaining: usize,
    too_many: &'a mut bool,
}

impl<'de> Visitor<'de> for ArrayScan<'_> {
    type Value = IdentityScan;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<IdentityScan, A::Error> {
        let mut scan = IdentityScan::default();
        while let Some(element) = elements.next_element::<&RawValue>()? {
            let Some(remaining) = self.remaining.checked_sub(1) else {
                *self.too_many = true;
                return Err(A::Error::custom("too many items"));
            };
            self.remaining = remaining;
            scan = scan.add(Some(element.get()));
        }
        Ok(scan)
    }
}

#[cfg(test)]
mod tests {
    use weir_process::Room;

    use super::*;

    fn parse(bytes: &[u8], media_type: BodyFormat) -> Result<ParsedBody, ParseError> {
        let room = Room::new(1);
        let room = BodyRoom::new(&room, &room, [127, 0, 0, 1].into());
        ParsedBody::parse(Received { bytes: bytes.to_vec(), room }, media_type, Utc::now())
    }

    fn items(text: &str, media_type: BodyFormat) -> Vec<String> {
        items_of(text.as_bytes(), media_type)
    }

    fn items_of(bytes: &[u8], media_type: BodyFormat) -> Vec<String> {
        let body = parse(bytes, media_type).unwrap();
        let mut cursor = body.items.cursor();
        let mut found = Vec::new();
        while let Some(item) = body.items.next(&mut cursor) {
            assert_eq!(item.index, found.len() as u64);
            assert_eq!(body.items.text(item.offset, item.raw.len()), item.text);
            found.push(String::from_utf8_lossy(item.raw).into_owned());
        }
        assert_eq!(body.items_by_source().iter().map(|(_, items)| items).sum::<u64>(), found.len() as u64);
        found
    }

    #[test]
    fn items_of_an_array_are_found_as_they_were_written() {
        assert_eq!(
            items(" [ 1,\"a,]\" ,{ \"b\" : [2 ,3]}\n, [] , null,-1e400 ] ", BodyFormat::Json),
            ["1", "\"a,]\"", "{ \"b\" : [2 ,3]}", "[]", "null", "-1e400"]
        );
        assert!(items("[]", BodyFormat::Json).is_empty());
        assert!(items("\u{feff}[ ]", BodyFormat::Json).is_empty());
    }

    #[test]
    fn a_json_value_that_is_no_array_is_one_item() {
        for text in ["17", "null", "\"x\"", "{\"a\": [1]}"] {
            assert_eq!(items(&format!("\n {text} \r\n"), BodyFormat::Json), [text]);
        }
    }

    #[test]
    fn blank_lines_are_no_items() {
        assert_eq!(items("\n{}\r\n \t\r\n[1\nnot json\n\n", BodyFormat::Ndjson), ["{}", "[1", "not json"]);
        assert_eq!(items("\u{feff}{}", BodyFormat::Ndjson), ["{}"]);
    }

    #[test]
    fn a_body_that_is_no_json_is_rejected_whole() {
        for text in ["", " \n", "{", "[1,]", "[1 2]", "[1]]", "{} {}", "nul", "[1,2", "\"\n\"", "[01]", "\0"]
        {
            assert!(parse(text.as_bytes(), BodyFormat::Json).is_err(), "{text}");
        }
        assert!(parse(b"[\"\xff\"]", BodyFormat::Json).is_err());
        assert!(parse(b"\n \n", BodyFormat::Ndjson).is_err());
    }

    #[test]
    fn a_line_that_is_no_utf_8_is_one_item() {
        assert_eq!(
            items_of(b"{}\n{\"a\":\"\xe9\"}\r\n\xc3", BodyFormat::Ndjson),
            ["{}", "{\"a\":\"\u{fffd}\"}", "\u{fffd}"]
        );
    }

    /// An array and an NDJSON body of one-byte items, padded with blanks to `bytes`.
    fn bodies(items: usize, bytes: usize) -> [(String, BodyFormat); 2] {
        let padded = |text: String| format!("{text}{}", " ".repeat(bytes - text.len()));
        [
            (padded(format!("[{}]", vec!["1"; items].join(","))), BodyFormat::Json),
            (padded(vec!["1"; items].join("\n\n")), BodyFormat::Ndjson),
        ]
    }

    #[test]
    fn a_body_has_at_most_one_item_for_every_128_bytes_and_may_always_have_a_thousand() {
        for (max, bytes) in [(1000, 4000), (1000, 128_000), (2000, 256_000)] {
            for (text, media_type) in bodies(max, bytes) {
                assert_eq!(items(&text, media_type).len(), max);
            }
            for (text, media_type) in bodies(max + 1, bytes) {
                let error = parse(text.as_bytes(), media_type).unwrap_err();
                assert!(matches!(error, ParseError::TooManyItems { limit } if limit == max), "{error}");
            }
        }
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        for depth in [128, 100_000] {
            let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            assert_eq!(items(&nested, BodyFormat::Json).len(), 1);
            assert_eq!(items(&nested, BodyFormat::Ndjson).len(), 1);
            assert_eq!(items(&format!("{{\"source\":{nested}}}"), BodyFormat::Json).len(), 1);
        }
    }
}
