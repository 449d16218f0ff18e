//! A body that is proven to be well-formed, and its items, found one by one.

use std::fmt;

use bytes::BytesMut;
use chrono::{DateTime, Utc};
use serde::{
    Deserializer as _,
    de::{Error as _, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use weir::{
    event::{EncodedEvent, Refusal, check_json},
    process::Reservation,
};

use super::{
    body::Received,
    media::MediaType,
    repeats::{BySource, Census, Repeats},
};

/// JSON's whitespace; Unicode's is not.
const WHITESPACE: [char; 4] = [' ', '\t', '\n', '\r'];
/// RFC 8259 lets a reader ignore it, and senders on some platforms can't help it.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Why a body is refused whole; for the sender.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("the body is not well-formed: {0}")]
    Malformed(String),
    /// What follows in the body was not looked at.
    #[error("the body is over the limit of {limit} items")]
    TooManyItems { limit: usize },
}

/// A well-formed body.
#[derive(Debug)]
pub(super) struct Batch {
    text: String,
    layout: Layout,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    One,
    Array,
    Lines,
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
    pub(super) text: &'a str,
}

impl Batch {
    /// Proves the whole body. A line of NDJSON that is no JSON is a bad item, not a bad body.
    pub(super) fn prove(
        received: Received,
        media_type: MediaType,
        most_items: usize,
        arrived_at: DateTime<Utc>,
    ) -> Result<Self, Unfit> {
        let text = String::from_utf8(received.bytes).map_err(|error| {
            Unfit::Malformed(format!("no UTF-8 from byte {} on", error.utf8_error().valid_up_to()))
        })?;
        let content = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text).trim_start_matches(WHITESPACE);
        if content.is_empty() {
            return Err(Unfit::Malformed("it is empty".into()));
        }
        let (layout, start) = match (media_type, content.starts_with('[')) {
            (MediaType::Json, false) => (Layout::One, text.len() - content.len()),
            (MediaType::Json, true) => (Layout::Array, text.len() - content.len() + 1),
            (MediaType::Ndjson, _) => (Layout::Lines, text.len() - content.len()),
        };
        let (census, single) = match layout {
            Layout::Array => (Some(prove_array(content, most_items)?), None),
            Layout::One => (None, Some(check_one(content, arrived_at)?)),
            Layout::Lines => (Some(count_lines(content, most_items)?), None),
        };
        let mut batch = Self {
            text,
            layout,
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
        self.text.len()
    }

    /// How many there are.
    pub(super) fn items(&self) -> u64 {
        self.named.map_or(1, |named| named.iter().map(|(_, items)| items).sum())
    }

    /// How many items name which source.
    pub(super) fn named(&self) -> BySource {
        self.named.unwrap_or_else(|| Census::default().with(&self.text[self.start..]).named())
    }

    /// Before the first item.
    pub(super) fn cursor(&self) -> Cursor {
        Cursor { offset: self.start, index: 0 }
    }

    /// The next item, or `None` after the last.
    pub(super) fn next(&self, cursor: &mut Cursor) -> Option<Item<'_>> {
        let rest = &self.text[cursor.offset..];
        let text = match self.layout {
            Layout::One => Some(rest.trim_end_matches(WHITESPACE)).filter(|item| !item.is_empty()),
            Layout::Array => first_element(rest),
            Layout::Lines => lines(rest).next(),
        }?;
        // Both point into the same text, so that their distance is the item's place in it.
        let offset = text.as_ptr() as usize - self.text.as_ptr() as usize;
        let item = Item { index: cursor.index, offset, text };
        *cursor = Cursor { offset: offset + text.len(), index: cursor.index + 1 };
        Some(item)
    }

    /// Proves an item that the gate refuses where the body as a whole was not proven: a line of NDJSON.
    pub(super) fn prove_item(&self, item: Item<'_>) -> Result<(), String> {
        match self.layout {
            Layout::One | Layout::Array => Ok(()),
            Layout::Lines => serde_json::from_str::<IgnoredAny>(item.text)
                .map(|_| ())
                .map_err(|error| format!("is not well-formed JSON: {error}")),
        }
    }

    /// The text of an item that was found before.
    pub(super) fn text(&self, offset: usize, length: usize) -> &str {
        &self.text[offset..offset + length]
    }
}

/// The lines that are not blank, without the whitespace around them.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').map(|line| line.trim_matches(WHITESPACE)).filter(|line| !line.is_empty())
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

fn count_lines(text: &str, most_items: usize) -> Result<Census, Unfit> {
    match lines(text).nth(most_items) {
        Some(_) => Err(Unfit::TooManyItems { limit: most_items }),
        None => Ok(lines(text).fold(Census::default(), Census::with)),
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
            census = census.with(element.get());
        }
        Ok(census)
    }
}

#[cfg(test)]
mod tests {
    use weir::process::Budget;

    use super::*;

    const MOST_ITEMS: usize = 6;

    fn prove(bytes: &[u8], media_type: MediaType) -> Result<Batch, Unfit> {
        let room = [Budget::new(1).reservation(), Budget::new(1).reservation()];
        Batch::prove(Received { bytes: bytes.to_vec(), room }, media_type, MOST_ITEMS, Utc::now())
    }

    fn items(text: &str, media_type: MediaType) -> Vec<String> {
        let batch = prove(text.as_bytes(), media_type).unwrap();
        let mut cursor = batch.cursor();
        let mut items = Vec::new();
        while let Some(item) = batch.next(&mut cursor) {
            assert_eq!(item.index, items.len() as u64);
            assert_eq!(batch.text(item.offset, item.text.len()), item.text);
            items.push(item.text.to_owned());
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
        assert!(prove(b"{}\n\xff", MediaType::Ndjson).is_err());
    }

    #[test]
    fn a_body_has_no_more_items_than_it_may() {
        for (text, media_type) in
            [("[1,1,1,1,1,1,1", MediaType::Json), ("1\n1\n1\n1\n1\n\n1\n1", MediaType::Ndjson)]
        {
            let unfit = prove(text.as_bytes(), media_type).unwrap_err();
            assert_eq!(unfit, Unfit::TooManyItems { limit: MOST_ITEMS });
        }
        assert_eq!(items("1\n1\n1\n1\n1\n\n1\n", MediaType::Ndjson).len(), MOST_ITEMS);
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
