//! The encoded event: an admitted event as the bytes of the contract's message. The process that first runs the gate
//! encodes an event once; calls and frames carry them to the journal unchanged.

use std::ops::Range;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use chrono::{DateTime, Utc};
use prost::encoding::{WireType, decode_varint, encode_key, encode_varint, encoded_len_varint};
use weir::contract::timestamp;

use super::{
    Details, Event, FacebookBottom, FacebookEngagement, FacebookTop, FacebookUser, FunnelStage, Source,
    TiktokBottom, TiktokEngagement, TiktokTop, TiktokUser,
};

/// Bytes that are enough for nearly every event.
const USUAL_BYTES: usize = 512;

/// An admitted event in bytes. Only the gate and [`Event::encode`] create one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedEvent {
    source: Source,
    /// The place of the id in `bytes`.
    id: Range<usize>,
    bytes: Bytes,
}

impl EncodedEvent {
    /// `bytes` hold an admitted event, and begin with its id.
    pub(super) fn new(source: Source, bytes: Bytes) -> Self {
        let mut rest = &bytes[1..];
        let length = decode_varint(&mut rest).ok().and_then(|length| usize::try_from(length).ok());
        let start = bytes.len() - rest.remaining();
        let id = start..start + length.expect("every admitted event begins with its id");
        Self { source, id, bytes }
    }

    /// The platform that the event comes from.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// The sender's id in UTF-8, unique within the source.
    #[must_use]
    pub fn id(&self) -> &[u8] {
        &self.bytes[self.id.clone()]
    }

    /// The bytes of a `weir.event.v1.Event`.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The bytes of a `weir.event.v1.Event`.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

impl From<Event> for EncodedEvent {
    fn from(event: Event) -> Self {
        event.encode(&mut BytesMut::with_capacity(USUAL_BYTES))
    }
}

impl<Text: AsRef<str>> Event<Text> {
    /// Encodes the event exactly as prost encodes its message. `buffer` is empty before and after the call; events that
    /// are encoded one after the other share its memory.
    #[must_use]
    pub fn encode(&self, buffer: &mut BytesMut) -> EncodedEvent {
        buffer.reserve(USUAL_BYTES);
        text(buffer, 1, self.id());
        instant(buffer, 2, self.timestamp);
        match &self.details {
            Details::Facebook { user, engagement } => message(buffer, 3, |buffer| {
                message(buffer, 1, |buffer| user.write(buffer));
                match engagement {
                    FacebookEngagement::Top(top) => message(buffer, 2, |buffer| top.write(buffer)),
                    FacebookEngagement::Bottom(bottom) => message(buffer, 3, |buffer| bottom.write(buffer)),
                }
            }),
            Details::Tiktok { user, engagement } => message(buffer, 4, |buffer| {
                message(buffer, 1, |buffer| user.write(buffer));
                match engagement {
                    TiktokEngagement::Top(top) => message(buffer, 2, |buffer| top.write(buffer)),
                    TiktokEngagement::Bottom(bottom) => message(buffer, 3, |buffer| bottom.write(buffer)),
                }
            }),
        }
        EncodedEvent::new(self.source(), buffer.split().freeze())
    }
}

impl<Text: AsRef<str>> FacebookUser<Text> {
    fn write(&self, buffer: &mut BytesMut) {
        text(buffer, 1, self.id.as_ref());
        text(buffer, 2, self.name.as_ref());
        number(buffer, 3, self.age.into());
        member(buffer, 4, self.gender.number());
        message(buffer, 5, |buffer| {
            text(buffer, 1, self.country.as_ref());
            text(buffer, 2, self.city.as_ref());
        });
    }
}

impl<Text: AsRef<str>> FacebookTop<Text> {
    fn write(&self, buffer: &mut BytesMut) {
        member(buffer, 1, self.event_type.number_in(Source::Facebook, FunnelStage::Top));
        instant(buffer, 2, self.action_time);
        member(buffer, 3, self.referrer.number());
        nullable(buffer, 4, self.video_id.as_ref());
    }
}

impl<Text: AsRef<str>> FacebookBottom<Text> {
    fn write(&self, buffer: &mut BytesMut) {
        member(buffer, 1, self.event_type.number_in(Source::Facebook, FunnelStage::Bottom));
        text(buffer, 2, self.ad_id.as_ref());
        text(buffer, 3, self.campaign_id.as_ref());
        member(buffer, 4, self.click_position.number());
        member(buffer, 5, self.device.number());
        member(buffer, 6, self.browser.number());
        nullable(buffer, 7, self.purchase_amount.map(|amount| amount.to_string()));
    }
}

impl<Text: AsRef<str>> TiktokUser<Text> {
    fn write(&self, buffer: &mut BytesMut) {
        text(buffer, 1, self.id.as_ref());
        text(buffer, 2, self.username.as_ref());
        number(buffer, 3, self.followers.unsigned_abs());
    }
}

impl<Text: AsRef<str>> TiktokTop<Text> {
    fn write(&self, buffer: &mut BytesMut) {
        member(buffer, 1, self.event_type.number_in(Source::Tiktok, FunnelStage::Top));
        float(buffer, 2, self.watch_time);
        float(buffer, 3, self.percentage_watched);
        member(buffer, 4, self.device.number());
        text(buffer, 5, self.country.as_ref());
        text(buffer, 6, self.video_id.as_ref());
    }
}

impl<Text: AsRef<str>> TiktokBottom<Text> {
    fn write(&self, buffer: &mut BytesMut) {
        member(buffer, 1, self.event_type.number_in(Source::Tiktok, FunnelStage::Bottom));
        instant(buffer, 2, self.action_time);
        nullable(buffer, 3, self.profile_id.as_ref());
        nullable(buffer, 4, self.purchased_item.as_ref());
        nullable(buffer, 5, self.purchase_amount.map(|amount| amount.to_string()));
    }
}

/// Writes a message before its length is known, after one byte for that length. A length that needs more bytes moves
/// the message back.
fn message(buffer: &mut BytesMut, tag: u32, write: impl FnOnce(&mut BytesMut)) {
    encode_key(tag, WireType::LengthDelimited, buffer);
    let prefix = buffer.len();
    buffer.put_u8(0);
    let start = buffer.len();
    write(buffer);
    let end = buffer.len();
    let length = (end - start) as u64;
    let further = encoded_len_varint(length) - 1;
    if further > 0 {
        buffer.put_bytes(0, further);
        buffer.copy_within(start..end, start + further);
    }
    encode_varint(length, &mut &mut buffer[prefix..]);
}

/// Writes a text. An admitted text is never empty, and protobuf leaves out only empty ones.
fn text(buffer: &mut BytesMut, tag: u32, text: &str) {
    encode_key(tag, WireType::LengthDelimited, buffer);
    encode_varint(text.len() as u64, buffer);
    buffer.put_slice(text.as_bytes());
}

fn nullable(buffer: &mut BytesMut, tag: u32, value: Option<impl AsRef<str>>) {
    if let Some(value) = value {
        text(buffer, tag, value.as_ref());
    }
}

/// Leaves out a zero: an absent number means zero.
fn number(buffer: &mut BytesMut, tag: u32, number: u64) {
    if number != 0 {
        encode_key(tag, WireType::Varint, buffer);
        encode_varint(number, buffer);
    }
}

/// Writes a member of a closed set, which has a number from 1.
fn member(buffer: &mut BytesMut, tag: u32, member: i32) {
    number(buffer, tag, member.unsigned_abs().into());
}

fn float(buffer: &mut BytesMut, tag: u32, float: f64) {
    if float != 0.0 {
        encode_key(tag, WireType::SixtyFourBit, buffer);
        buffer.put_f64_le(float);
    }
}

fn instant(buffer: &mut BytesMut, tag: u32, instant: DateTime<Utc>) {
    let timestamp = timestamp(instant);
    message(buffer, tag, |buffer| {
        number(buffer, 1, timestamp.seconds.cast_unsigned());
        number(buffer, 2, timestamp.nanos.unsigned_abs().into());
    });
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use serde::Deserialize;
    use serde_json::value::RawValue;

    use super::*;
    use crate::admit_json;
    use weir::contract::event::v1;

    #[derive(Deserialize)]
    struct Case<'a> {
        case: String,
        #[serde(borrow)]
        event: &'a RawValue,
    }

    const VALID: &str = include_str!("../../../tests/events/valid.jsonl");

    #[test]
    fn an_event_has_the_same_bytes_as_its_message() {
        let mut buffer = BytesMut::new();
        for line in VALID.lines() {
            let Case { case, event } = serde_json::from_str(line).unwrap();
            let event = admit_json(event.get(), Utc::now()).unwrap();
            let encoded = event.encode(&mut buffer);
            assert_eq!(encoded.id(), event.id().as_bytes(), "{case}");
            assert_eq!(encoded.source(), event.source(), "{case}");
            assert_eq!(*encoded.bytes(), v1::Event::from(event).encode_to_vec(), "{case}");
        }
    }

    #[test]
    fn a_message_of_any_length_has_that_length_before_it() {
        for length in [0, 1, 127, 128, 16_383, 16_384] {
            let bytes = vec![7; length];
            let mut buffer = BytesMut::from(&b"before"[..]);
            message(&mut buffer, 1, |buffer| buffer.put_slice(&bytes));
            let mut expected = BytesMut::from(&b"before"[..]);
            prost::encoding::bytes::encode(1, &bytes, &mut expected);
            assert_eq!(buffer, expected, "{length}");
        }
    }
}
