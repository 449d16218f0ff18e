//! Revalidation: turns a letter back into an event, with an optional patch, and runs the gate over it again.

use chrono::{DateTime, Utc};
use json_patch::Patch;
use prost::Message as _;
use serde_json::Value;
use weir::contract::event::v1;
use weir_event::{Event, Violation, admit_bytes, admit_json, admit_message};
use weir_journal::{DeadLetter, FrameError, MediaType, SealedFrame, StoredDeadLetter};

/// The result of a revalidation.
#[derive(Debug)]
pub(super) enum Revalidation {
    /// The event passes the gate.
    Event(Box<Event>),
    /// The letter is a whole frame. An earlier build could not read it; this one can.
    Frame(Box<SealedFrame>),
    /// The item still breaks these rules.
    StillBad(Vec<Violation>),
    /// The reason why neither a patch nor another build's gate could help.
    NotRedrivable(&'static str),
}

/// Revalidates a letter. The gate measures the timestamp against the original arrival, at any age of the letter. If the
/// journal stored the letter later than that arrival, it measures against that time: the clock behind the arrival may
/// have been behind the journal's.
pub(super) fn revalidate(stored: &StoredDeadLetter, patch: Option<&Patch>) -> Revalidation {
    let (letter, arrived_at) = (&stored.letter, stored.letter.origin.arrived_at.max(stored.stored_at));
    if letter.is_truncated() {
        return Revalidation::NotRedrivable("only a part of its bytes was kept");
    }
    match (letter.media_type, patch) {
        (MediaType::Json, patch) => json(letter, arrived_at, patch),
        (MediaType::Protobuf, None) => message(letter, arrived_at),
        (MediaType::Protobuf, Some(_)) => {
            Revalidation::NotRedrivable("a patch is for JSON, and this is protobuf")
        }
    }
}

fn json(letter: &DeadLetter, arrived_at: DateTime<Utc>, patch: Option<&Patch>) -> Revalidation {
    // Without a patch the gate reads the original bytes: a detour through `Value` may change a number.
    let outcome = match patch {
        None => admit_bytes(&letter.raw, arrived_at).map_err(|refusal| refusal.violations),
        Some(patch) => apply(patch, &letter.raw)
            .map_err(|message| vec![Violation::new("", message)])
            .and_then(|text| admit_json(&text, arrived_at).map_err(|refusal| refusal.violations)),
    };
    outcome.map_or_else(Revalidation::StillBad, |event| Revalidation::Event(Box::new(event)))
}

fn apply(patch: &Patch, raw: &[u8]) -> Result<String, String> {
    let mut item: Value = serde_json::from_slice(raw).map_err(patch_error)?;
    json_patch::patch(&mut item, patch).map_err(patch_error)?;
    Ok(item.to_string())
}

fn patch_error(error: impl std::fmt::Display) -> String {
    format!("can't be patched: {error}")
}

fn message(letter: &DeadLetter, arrived_at: DateTime<Utc>) -> Revalidation {
    // An event begins with a text and a frame with a number, so no bytes decode as both.
    let Ok(message) = v1::Event::decode(&*letter.raw) else { return frame(letter) };
    match admit_message(&message, arrived_at) {
        Ok(event) => Revalidation::Event(Box::new(event)),
        Err(refusal) => Revalidation::StillBad(refusal.violations),
    }
}

fn frame(letter: &DeadLetter) -> Revalidation {
    match SealedFrame::restore(letter.raw.clone()) {
        Ok(frame) => Revalidation::Frame(Box::new(frame)),
        Err(FrameError::Newer(_) | FrameError::TooNew(_)) => {
            Revalidation::NotRedrivable("it is a frame that a newer build can read: redrive it with that")
        }
        Err(FrameError::Malformed(_)) => Revalidation::NotRedrivable("its bytes are no event"),
    }
}

#[cfg(test)]
mod tests {
    use weir_event::{Origin, Source};
    use weir_journal::{Framer, MAX_RAW_BYTES};
    use weir_process::CorrelationId;

    use super::*;

    const FOLLOW: &str = r#"{"eventId":"f","timestamp":"2025-09-14T07:21:45Z","source":"tiktok","funnelStage":"bottom",
        "eventType":"follow","data":{"user":{"userId":"u","username":"n","followers":1},"engagement":
        {"actionTime":"2025-09-14T07:21:45Z","profileId":null,"purchasedItem":null,"purchaseAmount":null}}}"#;

    fn letter(raw: &str, media_type: MediaType, arrived_at: &str) -> DeadLetter {
        let origin = Origin {
            correlation_id: CorrelationId::generate(),
            traceparent: String::new(),
            tracestate: String::new(),
            arrived_at: arrived_at.parse::<DateTime<Utc>>().unwrap(),
        };
        DeadLetter::new(raw.to_owned().into(), media_type, Vec::new(), None, None, origin)
    }

    fn of_json(raw: &str) -> DeadLetter {
        letter(raw, MediaType::Json, "2025-09-14T08:00:00Z")
    }

    /// A letter that the journal stored at its arrival.
    fn stored(letter: DeadLetter) -> StoredDeadLetter {
        let stored_at = letter.origin.arrived_at;
        StoredDeadLetter { sequence: 1, subject: "rejected.unknown".to_owned(), stored_at, letter }
    }

    fn patch(text: &str) -> Patch {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_good_item_passes_and_a_bad_one_reports_its_rules() {
        assert!(
            matches!(revalidate(&stored(of_json(FOLLOW)), None), Revalidation::Event(event) if event.id() == "f")
        );
        let bad = FOLLOW.replace("\"follow\"", "\"flee\"");
        let Revalidation::StillBad(violations) = revalidate(&stored(of_json(&bad)), None) else {
            panic!("it is bad")
        };
        assert_eq!(violations[0].pointer, "/eventType");
        let correction = patch(r#"[{"op":"replace","path":"/eventType","value":"follow"}]"#);
        assert!(matches!(revalidate(&stored(of_json(&bad)), Some(&correction)), Revalidation::Event(_)));
    }

    #[test]
    fn a_patch_that_can_t_be_applied_leaves_the_letter_bad() {
        let inapplicable = patch(r#"[{"op":"remove","path":"/nothing"}]"#);
        for raw in [FOLLOW, "no JSON"] {
            assert!(
                matches!(revalidate(&stored(of_json(raw)), Some(&inapplicable)), Revalidation::StillBad(_)),
                "{raw}"
            );
        }
    }

    #[test]
    fn the_timestamp_is_measured_against_the_original_arrival() {
        let early = letter(FOLLOW, MediaType::Json, "2025-09-12T08:00:00Z");
        let Revalidation::StillBad(violations) = revalidate(&stored(early), None) else {
            panic!("it was too far ahead then")
        };
        assert_eq!(violations[0].pointer, "/timestamp");
    }

    #[test]
    fn the_timestamp_is_measured_against_the_time_in_the_journal_if_that_is_later() {
        let early = stored(letter(FOLLOW, MediaType::Json, "2025-09-12T08:00:00Z"));
        let stored_at = "2025-09-14T08:00:00Z".parse::<DateTime<Utc>>().unwrap();
        assert!(matches!(revalidate(&StoredDeadLetter { stored_at, ..early }, None), Revalidation::Event(_)));
    }

    #[test]
    fn a_frame_that_this_build_can_read_is_returned_unchanged() {
        let Revalidation::Event(event) = revalidate(&stored(of_json(FOLLOW)), None) else {
            panic!("it is good")
        };
        let mut framer = Framer::default();
        framer.push(*event, &of_json(FOLLOW).origin, 2);
        let frame = framer.finish().remove(0);
        let letter = DeadLetter::from_frame(
            frame.payload().clone(),
            Vec::new(),
            Source::Tiktok,
            of_json(FOLLOW).origin,
        );
        let Revalidation::Frame(restored) = revalidate(&stored(letter.clone()), None) else {
            panic!("it is a frame")
        };
        assert_eq!(*restored, frame);
        let newer =
            DeadLetter::from_frame(vec![0x08, 0x03].into(), Vec::new(), Source::Tiktok, letter.origin);
        assert!(
            matches!(revalidate(&stored(newer), None), Revalidation::NotRedrivable(reason) if reason.contains("newer build"))
        );
    }

    #[test]
    fn a_cut_letter_and_bytes_that_are_no_event_are_not_redrivable() {
        let long = format!("{}{FOLLOW}", " ".repeat(MAX_RAW_BYTES));
        assert!(matches!(revalidate(&stored(of_json(&long)), None), Revalidation::NotRedrivable(_)));
        let frame = letter("\u{8}\u{1}", MediaType::Protobuf, "2025-09-14T08:00:00Z");
        assert!(matches!(revalidate(&stored(frame), None), Revalidation::NotRedrivable(_)));
    }
}
