//! From a letter back to an event: patched where asked, and through the gate again.

use chrono::{DateTime, Utc};
use json_patch::Patch;
use prost::Message as _;
use serde_json::Value;
use weir::contract::event::v1;
use weir_event::{Event, Violation, admit_bytes, admit_json, admit_message};
use weir_journal::{DeadLetter, FrameError, MediaType, SealedFrame, StoredDeadLetter};

/// What a letter turns out to be.
#[derive(Debug)]
pub(super) enum Mended {
    Good(Box<Event>),
    /// A whole frame that an earlier build could not read.
    Frame(Box<SealedFrame>),
    StillBad(Vec<Violation>),
    /// Why no patch and no other gate could help.
    NotRedrivable(&'static str),
}

/// The gate measures against the original arrival, however long the letter lay; or against when the journal took it, where
/// that is later: then the clock that the arrival was read from was behind the journal's.
pub(super) fn mend(stored: &StoredDeadLetter, patch: Option<&Patch>) -> Mended {
    let (letter, arrived_at) = (&stored.letter, stored.letter.origin.arrived_at.max(stored.stored_at));
    if letter.is_truncated() {
        return Mended::NotRedrivable("only a part of its bytes was kept");
    }
    match (letter.media_type, patch) {
        (MediaType::Json, patch) => json(letter, arrived_at, patch),
        (MediaType::Protobuf, None) => message(letter, arrived_at),
        (MediaType::Protobuf, Some(_)) => Mended::NotRedrivable("a patch is for JSON, and this is protobuf"),
    }
}

fn json(letter: &DeadLetter, arrived_at: DateTime<Utc>, patch: Option<&Patch>) -> Mended {
    // Without a patch the bytes themselves are judged: reading them into values may change a number.
    let judged = match patch {
        None => admit_bytes(&letter.raw, arrived_at).map_err(|refusal| refusal.violations),
        Some(patch) => apply(patch, &letter.raw)
            .map_err(|message| vec![Violation::new("", message)])
            .and_then(|text| admit_json(&text, arrived_at).map_err(|refusal| refusal.violations)),
    };
    judged.map_or_else(Mended::StillBad, |event| Mended::Good(Box::new(event)))
}

fn apply(patch: &Patch, raw: &[u8]) -> Result<String, String> {
    let mut item: Value = serde_json::from_slice(raw).map_err(unfit)?;
    json_patch::patch(&mut item, patch).map_err(unfit)?;
    Ok(item.to_string())
}

fn unfit(error: impl std::fmt::Display) -> String {
    format!("can't be patched: {error}")
}

fn message(letter: &DeadLetter, arrived_at: DateTime<Utc>) -> Mended {
    // An event begins with a text and a frame with a number: no bytes are both.
    let Ok(message) = v1::Event::decode(&*letter.raw) else { return frame(letter) };
    match admit_message(&message, arrived_at) {
        Ok(event) => Mended::Good(Box::new(event)),
        Err(refusal) => Mended::StillBad(refusal.violations),
    }
}

fn frame(letter: &DeadLetter) -> Mended {
    match SealedFrame::restore(letter.raw.clone()) {
        Ok(frame) => Mended::Frame(Box::new(frame)),
        Err(FrameError::Newer(_) | FrameError::TooNew(_)) => {
            Mended::NotRedrivable("it is a frame that a newer build can read: redrive it with that")
        }
        Err(FrameError::Malformed(_)) => Mended::NotRedrivable("its bytes are no event"),
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

    /// Laid down when it came.
    fn stored(letter: DeadLetter) -> StoredDeadLetter {
        let stored_at = letter.origin.arrived_at;
        StoredDeadLetter { sequence: 1, subject: "rejected.unknown".to_owned(), stored_at, letter }
    }

    fn patch(text: &str) -> Patch {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_is_good_by_now_passes_and_what_is_not_says_why() {
        assert!(matches!(mend(&stored(of_json(FOLLOW)), None), Mended::Good(event) if event.id() == "f"));
        let bad = FOLLOW.replace("\"follow\"", "\"flee\"");
        let Mended::StillBad(violations) = mend(&stored(of_json(&bad)), None) else { panic!("it is bad") };
        assert_eq!(violations[0].pointer, "/eventType");
        let mended = patch(r#"[{"op":"replace","path":"/eventType","value":"follow"}]"#);
        assert!(matches!(mend(&stored(of_json(&bad)), Some(&mended)), Mended::Good(_)));
    }

    #[test]
    fn a_patch_that_does_not_fit_leaves_the_letter_bad() {
        let unfit = patch(r#"[{"op":"remove","path":"/nothing"}]"#);
        for raw in [FOLLOW, "no JSON"] {
            assert!(matches!(mend(&stored(of_json(raw)), Some(&unfit)), Mended::StillBad(_)), "{raw}");
        }
    }

    #[test]
    fn the_timestamp_is_measured_against_the_original_arrival() {
        let early = letter(FOLLOW, MediaType::Json, "2025-09-12T08:00:00Z");
        let Mended::StillBad(violations) = mend(&stored(early), None) else {
            panic!("it was too far ahead then")
        };
        assert_eq!(violations[0].pointer, "/timestamp");
    }

    #[test]
    fn an_arrival_by_a_clock_that_was_behind_the_journal_s_is_as_late_as_the_letter() {
        let early = stored(letter(FOLLOW, MediaType::Json, "2025-09-12T08:00:00Z"));
        let stored_at = "2025-09-14T08:00:00Z".parse::<DateTime<Utc>>().unwrap();
        assert!(matches!(mend(&StoredDeadLetter { stored_at, ..early }, None), Mended::Good(_)));
    }

    #[test]
    fn a_frame_that_this_build_reads_goes_back_as_it_was() {
        let Mended::Good(event) = mend(&stored(of_json(FOLLOW)), None) else { panic!("it is good") };
        let mut framer = Framer::default();
        framer.push(*event, &of_json(FOLLOW).origin, 2);
        let frame = framer.finish().remove(0);
        let letter = DeadLetter::from_frame(
            frame.payload().clone(),
            Vec::new(),
            Source::Tiktok,
            of_json(FOLLOW).origin,
        );
        let Mended::Frame(restored) = mend(&stored(letter.clone()), None) else { panic!("it is a frame") };
        assert_eq!(*restored, frame);
        let newer =
            DeadLetter::from_frame(vec![0x08, 0x03].into(), Vec::new(), Source::Tiktok, letter.origin);
        assert!(
            matches!(mend(&stored(newer), None), Mended::NotRedrivable(reason) if reason.contains("newer build"))
        );
    }

    #[test]
    fn what_was_cut_or_is_no_event_is_not_redrivable() {
        let long = format!("{}{FOLLOW}", " ".repeat(MAX_RAW_BYTES));
        assert!(matches!(mend(&stored(of_json(&long)), None), Mended::NotRedrivable(_)));
        let frame = letter("\u{8}\u{1}", MediaType::Protobuf, "2025-09-14T08:00:00Z");
        assert!(matches!(mend(&stored(frame), None), Mended::NotRedrivable(_)));
    }
}
