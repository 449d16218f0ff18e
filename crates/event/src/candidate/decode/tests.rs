//! What is read from bytes is what prost and the gate say of them.

use chrono::Utc;
use prost::Message as _;
use serde::Deserialize;
use serde_json::value::RawValue;
use weir::contract::event::v1;

use super::*;
use crate::{admit_encoded, admit_json, admit_message};

#[derive(Deserialize)]
struct Case<'a> {
    case: String,
    #[serde(borrow)]
    event: &'a RawValue,
}

const VALID: &str = include_str!("../../../../../tests/events/valid.jsonl");

/// Every kind of event, encoded.
fn encoded() -> Vec<(String, Vec<u8>)> {
    let cases = VALID.lines().map(|line| serde_json::from_str(line).unwrap());
    let encoded = cases.map(|Case { case, event }| {
        let event = admit_json(event.get(), Utc::now()).unwrap();
        (case, v1::Event::from(event).encode_to_vec())
    });
    encoded.collect()
}

#[test]
fn what_prost_writes_is_passed_on_as_it_is() {
    for (case, bytes) in encoded() {
        assert!(candidate(&bytes).is_some(), "{case}");
        let admitted = admit_encoded(&bytes.clone().into(), Utc::now()).unwrap().unwrap();
        assert_eq!(*admitted.bytes(), bytes, "{case}");
    }
}

/// Bytes that are another event, no event, or the same one written otherwise.
#[test]
fn whatever_else_is_read_is_read_as_prost_reads_it() {
    let now = Utc::now();
    let (mut read, mut left) = (0, 0);
    for (case, good) in encoded() {
        for place in 0..good.len() {
            for change in [1, 2, 8, 0x0a, 0x40, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[place] ^= change;
                if candidate(&bytes).is_none() {
                    left += 1;
                    continue;
                }
                read += 1;
                let message = v1::Event::decode(&*bytes).expect("what is read here is a message");
                let judged = admit_encoded(&bytes.into(), now).unwrap();
                let judged = judged.map(|event| v1::Event::decode(event.into_bytes()).unwrap());
                let judged = judged.map(|message| crate::Event::restore(message).unwrap());
                assert_eq!(judged, admit_message(&message, now), "{case}: {change} at {place}");
            }
        }
    }
    assert!(read > 1_000 && left > 1_000, "{read} {left}");
}

#[test]
fn what_is_written_otherwise_is_written_anew() {
    for (case, good) in encoded() {
        let mut unknown = good.clone();
        // A text that no field of this contract has.
        unknown.extend_from_slice(b"\x7a\x03new");
        let mut again = good.clone();
        again.extend_from_slice(&good);
        // The id's key in two bytes.
        let overlong = [b"\x8a\0", &good[1..]].concat();
        for bytes in [unknown, again, overlong] {
            assert!(candidate(&bytes).is_none(), "{case}");
            let admitted = admit_encoded(&bytes.into(), Utc::now()).unwrap().unwrap();
            assert_eq!(*admitted.bytes(), good, "{case}");
        }
    }
}

#[test]
fn what_is_no_message_is_told_apart_from_a_bad_event() {
    assert!(admit_encoded(&b"\x0a\xff"[..].into(), Utc::now()).is_err());
    assert!(admit_encoded(&b""[..].into(), Utc::now()).unwrap().is_err());
}
