//! GroupDeadLetters: the number of letters for each reason.

use std::{
    cmp::Reverse,
    collections::{HashMap, hash_map::Entry},
};

use weir::contract::{
    ingest::v1::{DeadLetterGroup, GroupDeadLettersResponse},
    timestamp,
};
use weir_event::Source;
use weir_journal::{JournalError, StoredDeadLetter};

use super::{
    letter::{self, LetterId},
    scan::Scan,
};

/// The most groups of a response. Reasons may contain a sender's text, so their number has no bound of its own.
const MAX_GROUPS: usize = 1_000;
/// The most letters of one page of the scan.
const PAGE: usize = 128;

/// Scans to the end and counts the letters of each group.
pub(super) async fn group(mut scan: Scan) -> Result<GroupDeadLettersResponse, JournalError> {
    let mut groups: HashMap<String, DeadLetterGroup> = HashMap::new();
    let mut response = GroupDeadLettersResponse::default();
    while let Some(page) = scan.next(PAGE).await? {
        for (id, stored) in page {
            response.letters += 1;
            let fingerprint = letter::group_fingerprint(id.stream, &stored.letter);
            let is_full = groups.len() == MAX_GROUPS;
            match groups.entry(fingerprint) {
                Entry::Occupied(group) => add(group.into_mut(), id, &stored),
                Entry::Vacant(_) if is_full => response.truncated = true,
                Entry::Vacant(entry) => {
                    let fingerprint = entry.key().clone();
                    add(entry.insert(new_group(fingerprint, id, &stored)), id, &stored);
                }
            }
        }
    }
    response.groups = groups.into_values().collect();
    response.groups.sort_by_cached_key(|group| (Reverse(group.count), group.fingerprint.clone()));
    Ok(response)
}

fn new_group(fingerprint: String, id: LetterId, stored: &StoredDeadLetter) -> DeadLetterGroup {
    DeadLetterGroup {
        fingerprint,
        graveyard: letter::stream_number(id.stream),
        source: stored.letter.source.map_or(0, Source::number),
        reason: letter::reason(&stored.letter),
        first_seen: Some(timestamp(stored.stored_at)),
        ..DeadLetterGroup::default()
    }
}

/// Adds a letter to its group. Letters arrive oldest first, so this one is the newest.
fn add(group: &mut DeadLetterGroup, id: LetterId, stored: &StoredDeadLetter) {
    group.count += 1;
    group.last_seen = Some(timestamp(stored.stored_at));
    group.sample = Some(letter::message(id.stream, stored));
}
