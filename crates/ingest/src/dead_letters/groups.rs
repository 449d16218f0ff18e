//! How many letters there are, by what is wrong with them.

use std::{
    cmp::Reverse,
    collections::{HashMap, hash_map::Entry},
};

use weir::contract::ingest::v1::{DeadLetterGroup, GroupDeadLettersResponse};
use weir_event::Source;
use weir_journal::{JournalError, StoredDeadLetter};

use super::{
    letter::{self, LetterId},
    scan::Walk,
};

/// Groups that are told apart; reasons may hold what a sender wrote, so there is no end to them.
const MAX_GROUPS: usize = 1_000;
/// Letters looked at together.
const STEP: usize = 128;

/// Walks to the end and counts.
pub(super) async fn group(mut walk: Walk) -> Result<GroupDeadLettersResponse, JournalError> {
    let mut groups: HashMap<String, DeadLetterGroup> = HashMap::new();
    let mut answer = GroupDeadLettersResponse::default();
    while let Some(page) = walk.next(STEP).await? {
        for (id, stored) in page {
            answer.letters += 1;
            let fingerprint = letter::group_fingerprint(id.graveyard, &stored.letter);
            let is_full = groups.len() == MAX_GROUPS;
            match groups.entry(fingerprint) {
                Entry::Occupied(group) => add(group.into_mut(), id, &stored),
                Entry::Vacant(_) if is_full => answer.truncated = true,
                Entry::Vacant(place) => {
                    let fingerprint = place.key().clone();
                    add(place.insert(begin(fingerprint, id, &stored)), id, &stored);
                }
            }
        }
    }
    answer.groups = groups.into_values().collect();
    answer.groups.sort_by_cached_key(|group| (Reverse(group.count), group.fingerprint.clone()));
    Ok(answer)
}

fn begin(fingerprint: String, id: LetterId, stored: &StoredDeadLetter) -> DeadLetterGroup {
    DeadLetterGroup {
        fingerprint,
        graveyard: letter::number(id.graveyard),
        source: stored.letter.source.map_or(0, Source::number),
        reason: letter::reason(&stored.letter),
        first_seen: Some(letter::timestamp(stored.stored_at)),
        ..DeadLetterGroup::default()
    }
}

/// Letters come oldest first.
fn add(group: &mut DeadLetterGroup, id: LetterId, stored: &StoredDeadLetter) {
    group.count += 1;
    group.last_seen = Some(letter::timestamp(stored.stored_at));
    group.sample = Some(letter::letter(id.graveyard, stored));
}
