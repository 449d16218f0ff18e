//! The decoder against prost and the gate.

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
fn an_event_that_prost_writes_is_passed_on_unchanged() {
    for (case, bytes) in encoded() {
        assert!(decode(&bytes).is_some(), "{case}");
        let admitted = admit_encoded(&bytes.clone().into(), Utc::now()).unwrap().unwrap();
        assert_eq!(*admitted.bytes(), bytes, "{case}");
    }
}

/// Each changed byte gives another event, no event, or another encoding of the same event.
#[test]
fn changed_bytes_are_refused_or_decoded_as_prost_decodes_them() {
    let now = Utc::now();
    let (mut read, mut refused) = (0, 0);
    for (case, good) in encoded() {
        for place in 0..good.len() {
            for change in [1, 2, 8, 0x0a, 0x40, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[place] ^= change;
                if decode(&bytes).is_none() {
                    refused += 1;
                    continue;
                }
                read += 1;
                let message = v1::Event::decode(&*bytes).expect("decoded bytes are a message");
                let outcome = admit_encoded(&bytes.into(), now).unwrap();
                let outcome = outcome.map(|event| v1::Event::decode(event.into_bytes()).unwrap());
                let outcome = outcome.map(|message| crate::Event::restore(message).unwrap());
                assert_eq!(outcome, admit_message(&message, now), "{case}: {change} at {place}");
            }
        }
    }
    assert!(read > 1_000 && refused > 1_000, "{read} {refused}");
}

#[test]
fn another_encoding_is_replaced_by_prost_s() {
    for (case, good) in encoded() {
        let mut unknown = good.clone();
        // A field that this contract does not have.
        unknown.extend_from_slice(b"\x7a\x03new");
        let mut again = good.clone();
        again.extend_from_slice(&good);
        // The id's key in two bytes.
        let overlong = [b"\x8a\0", &good[1..]].concat();
        for bytes in [unknown, again, overlong] {
            assert!(decode(&bytes).is_none(), "{case}");
            let admitted = admit_encoded(&bytes.into(), Utc::now()).unwrap().unwrap();
            assert_eq!(*admitted.bytes(), good, "{case}");
        }
    }
}

#[test]
fn bytes_that_are_no_message_are_an_error_and_a_bad_event_is_a_refusal() {
    assert!(admit_encoded(&b"\x0a\xff"[..].into(), Utc::now()).is_err());
    assert!(admit_encoded(&b""[..].into(), Utc::now()).unwrap().is_err());
}
