//! Dead letters as JSON.

use serde_json::{Value, json};
use weir::contract::{
    event::v1::Violation,
    ingest::v1::{DeadLetter, DeadLetterGroup, Graveyard, RedriveOutcome, RedriveResult},
};

use crate::report::names;

pub(super) fn graveyard(number: i32) -> &'static str {
    match Graveyard::try_from(number) {
        Ok(Graveyard::Rejected) => "rejected",
        Ok(Graveyard::Parked) => "parked",
        Ok(Graveyard::Unspecified) | Err(_) => "unknown",
    }
}

pub(super) fn outcome(number: i32, dry_run: bool) -> &'static str {
    match RedriveOutcome::try_from(number) {
        Ok(RedriveOutcome::Appended) if dry_run => "would be appended",
        Ok(RedriveOutcome::Appended) => "appended",
        Ok(RedriveOutcome::StillBad) => "still bad",
        Ok(RedriveOutcome::NotRedrivable) => "not redrivable",
        Ok(RedriveOutcome::Gone) => "gone",
        Ok(RedriveOutcome::Unspecified) | Err(_) => "unknown",
    }
}

pub(super) fn group(group: &DeadLetterGroup) -> Value {
    json!({
        "fingerprint": group.fingerprint,
        "graveyard": graveyard(group.graveyard),
        "source": names::source(group.source),
        "reason": group.reason,
        "count": group.count,
        "firstSeen": names::time(group.first_seen),
        "lastSeen": names::time(group.last_seen),
        "sample": group.sample.as_ref().map(letter),
    })
}

/// A letter, with its raw bytes if the answer has them: as text, or in hexadecimal if they are not text.
pub(super) fn letter(letter: &DeadLetter) -> Value {
    let origin = letter.origin.clone().unwrap_or_default();
    let mut value = json!({
        "id": letter.id,
        "graveyard": graveyard(letter.graveyard),
        "fingerprint": letter.fingerprint,
        "groupFingerprint": letter.group_fingerprint,
        "laidDownAt": names::time(letter.laid_down_at),
        "source": names::source(letter.source),
        "eventId": Some(&letter.event_id).filter(|id| !id.is_empty()),
        "violations": violations(&letter.violations),
        "correlationId": origin.correlation_id,
        "traceparent": Some(origin.traceparent).filter(|text| !text.is_empty()),
        "arrivedAt": names::time(origin.arrived_at),
        "mediaType": letter.media_type,
        "size": letter.size,
        "cut": letter.cut,
    });
    match std::str::from_utf8(&letter.raw) {
        Ok("") => {}
        Ok(text) if letter.media_type == "application/json" => value["raw"] = text.into(),
        Ok(_) | Err(_) => value["rawHex"] = hex::encode(&letter.raw).into(),
    }
    value
}

pub(super) fn result(result: &RedriveResult, dry_run: bool) -> Value {
    json!({
        "id": result.id,
        "outcome": outcome(result.outcome, dry_run),
        "violations": violations(&result.violations),
        "reason": Some(&result.reason).filter(|reason| !reason.is_empty()),
    })
}

fn violations(violations: &[Violation]) -> Value {
    let to_json =
        |violation: &Violation| json!({ "pointer": violation.pointer, "message": violation.message });
    violations.iter().map(to_json).collect()
}
