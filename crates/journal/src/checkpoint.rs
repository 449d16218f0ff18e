//! Notes of a journal, kept beside it, so that a journal that vanished or went back in time tells what went with it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_event::Source;

/// Journals that ended and took nothing with them are remembered up to this number.
const MOST_ENDED: usize = 8;

/// One journal, as it was seen last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalState {
    /// [`super::Journal::identity`].
    pub journal: i64,
    /// How often its losses were changed: of two notes the one with the higher number is the newer one.
    pub revision: u64,
    /// Of the last frame that was ever appended, of either source; 0 before the first.
    pub last_sequence: u64,
    /// Of the first frame that is there, on a server; 0 where that is not noted.
    #[serde(default)]
    pub first_sequence: u64,
    /// Whether Weir itself may remove frames soon that wait now: it is half way to making room, or they are past their age.
    #[serde(default)]
    pub may_purge: bool,
    /// The last sequences by subject, as far as ingests of this build appended.
    #[serde(default)]
    pub last_sequences: BTreeMap<String, u64>,
    /// Whether another journal is in its place.
    pub ended: bool,
    pub facebook: SourceState,
    pub tiktok: SourceState,
}

/// One source's frames in a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceState {
    /// Frames that collectors have not acknowledged.
    pub waiting: u64,
    /// Every frame up to this sequence is acknowledged.
    pub floor: u64,
    /// Accepted frames that can't come any more.
    pub lost: u64,
}

/// A frame that this process appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Appended {
    pub(super) source: Source,
    pub(super) subject: String,
    pub(super) sequence: u64,
}

impl JournalState {
    #[must_use]
    pub fn of(&self, source: Source) -> &SourceState {
        match source {
            Source::Facebook => &self.facebook,
            Source::Tiktok => &self.tiktok,
        }
    }

    pub fn of_mut(&mut self, source: Source) -> &mut SourceState {
        match source {
            Source::Facebook => &mut self.facebook,
            Source::Tiktok => &mut self.tiktok,
        }
    }

    /// Over both sources.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.facebook.lost.saturating_add(self.tiktok.lost)
    }

    /// Whether `seen` is the same journal at an earlier time: a copy was restored, or a power cut took its end.
    #[must_use]
    pub fn went_back(&self, seen: &Self) -> bool {
        self.journal == seen.journal && seen.last_sequence < self.last_sequence
    }

    /// Whether somebody else than Weir removed frames since: it removes none before it must.
    fn was_purged(&self, seen: &Self) -> bool {
        self.journal == seen.journal
            && !(self.ended || self.may_purge || seen.may_purge)
            && self.first_sequence > 0
            && seen.first_sequence > self.first_sequence
    }

    /// Whether `seen` can lack frames that waited when this was noted.
    #[must_use]
    pub fn may_lack(&self, seen: &Self) -> bool {
        self.went_back(seen) || self.was_purged(seen)
    }

    /// Whether `seen` can't be what this became, unless the journal was replaced or lacks something.
    pub(super) fn contradicts(&self, seen: &Self) -> bool {
        let is_another = self.journal != seen.journal && !self.ended;
        is_another || self.may_lack(seen)
    }

    fn is_newer_than(&self, other: &Self) -> bool {
        (self.revision, self.last_sequence) > (other.revision, other.last_sequence)
    }
}

/// Whether what is known of losses, and of which journals there are, is the same in both.
pub(super) fn tells_the_same(notes: &[JournalState], others: &[JournalState]) -> bool {
    let essence = |states: &[JournalState]| -> Vec<(i64, u64, bool)> {
        states.iter().map(|state| (state.journal, state.revision, state.ended)).collect()
    };
    essence(notes) == essence(others)
}

/// Of two notebooks the newer note of each journal.
#[must_use]
pub fn merge(notes: Vec<JournalState>, others: Vec<JournalState>) -> Vec<JournalState> {
    let mut merged: BTreeMap<i64, JournalState> = BTreeMap::new();
    for note in notes.into_iter().chain(others) {
        match merged.get_mut(&note.journal) {
            Some(known) if note.is_newer_than(known) => *known = note,
            Some(_) => {}
            None => {
                merged.insert(note.journal, note);
            }
        }
    }
    merged.into_values().collect()
}

/// Sets every loss back to none; says how many frames were lost in all.
pub fn forget_losses(notes: &mut [JournalState]) -> u64 {
    let mut forgotten = 0;
    for note in notes.iter_mut().filter(|note| note.lost() > 0) {
        forgotten += note.lost();
        Source::ALL.iter().for_each(|source| note.of_mut(*source).lost = 0);
        note.revision += 1;
    }
    forgotten
}

/// What is to be noted, after what was noted and what is `seen` now, with losses where frames can't come any more.
///
/// `still_there` says, in the order of [`Source::ALL`], how many frames of each source lie in the journal between the floor
/// that was noted of it and the last sequence that was; it is used only where the journal [may lack] some. `appended` are this
/// process's own frames, of which the last note may not know.
///
/// [may lack]: JournalState::may_lack
pub(super) fn reckon(
    notes: Vec<JournalState>,
    seen: &JournalState,
    still_there: [u64; 2],
    appended: &[Appended],
) -> Vec<JournalState> {
    let unnoted = |note: &JournalState, source: Source| {
        let mine = appended.iter().filter(|frame| frame.source == source);
        mine.filter(|frame| frame.sequence > note.last_sequence).count() as u64
    };
    let mut reckoned: Vec<JournalState> = Vec::with_capacity(notes.len() + 1);
    let mut known = false;
    for mut note in notes {
        if note.went_back(seen) {
            let mut now = JournalState { revision: note.revision + 1, ..seen.clone() };
            for (&source, there) in Source::ALL.iter().zip(still_there) {
                let SourceState { waiting, lost, .. } = *note.of(source);
                // What waited in a journal that had ended is counted already.
                let before = if note.ended { lost.saturating_sub(waiting) } else { lost };
                let gone = (waiting + unnoted(&note, source)).saturating_sub(there);
                now.of_mut(source).lost = before + gone;
            }
            known = true;
            reckoned.push(now);
        } else if note.journal == seen.journal {
            let mut now = JournalState { revision: note.revision, ended: false, ..seen.clone() };
            for &source in Source::ALL {
                now.of_mut(source).lost = note.of(source).lost;
            }
            if note.was_purged(seen) {
                now.revision += 1;
                for (&source, there) in Source::ALL.iter().zip(still_there) {
                    if seen.first_sequence > note.of(source).floor + 1 {
                        now.of_mut(source).lost += note.of(source).waiting.saturating_sub(there);
                    }
                }
            }
            if note.ended {
                // It is back, with what waited in it.
                now.revision += 1;
                for &source in Source::ALL {
                    let of_source = now.of_mut(source);
                    of_source.lost = of_source.lost.saturating_sub(note.of(source).waiting);
                }
            }
            for (subject, last) in note.last_sequences {
                let known = now.last_sequences.entry(subject).or_default();
                *known = last.max(*known);
            }
            known = true;
            reckoned.push(now);
        } else {
            if !note.ended {
                for &source in Source::ALL {
                    let gone = note.of(source).waiting + unnoted(&note, source);
                    note.of_mut(source).lost += gone;
                }
                note.ended = true;
                note.revision += 1;
            }
            reckoned.push(note);
        }
    }
    if !known {
        reckoned.push(seen.clone());
    }
    forget_oldest(reckoned)
}

/// Once, by the process that wrote it down.
pub(super) fn tell_losses(before: &[JournalState], now: &[JournalState]) {
    let lost = |notes: &[JournalState]| notes.iter().map(JournalState::lost).sum::<u64>();
    let (before, now) = (lost(before), lost(now));
    if now > before {
        let frames = now - before;
        tracing::error!(
            frames,
            "accepted frames can't come any more: the journal that held them is gone or was purged, or an older copy of it is back"
        );
    }
}

/// Identities ascend with time where a server draws them.
fn forget_oldest(mut states: Vec<JournalState>) -> Vec<JournalState> {
    states.sort_unstable_by_key(|state| state.journal);
    let harmless = |state: &JournalState| state.ended && state.lost() == 0;
    let mut excess = states.iter().filter(|state| harmless(state)).count().saturating_sub(MOST_ENDED);
    states.retain(|state| {
        let forgotten = excess > 0 && harmless(state);
        excess -= usize::from(forgotten);
        !forgotten
    });
    states
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(journal: i64, last_sequence: u64, waiting: u64) -> JournalState {
        let facebook = SourceState { waiting, floor: last_sequence - waiting, lost: 0 };
        JournalState { journal, last_sequence, facebook, ..JournalState::default() }
    }

    #[test]
    fn what_waited_in_a_journal_that_vanished_is_lost_once() {
        let reckoned = reckon(vec![state(1, 20, 20)], &state(2, 0, 0), [0, 0], &[]);
        assert_eq!(reckoned.len(), 2);
        assert!(reckoned[0].ended && !reckoned[1].ended);
        assert_eq!((reckoned[0].facebook.lost, reckoned[0].tiktok.lost, reckoned[1].lost()), (20, 0, 0));
        let again = reckon(reckoned.clone(), &state(2, 3, 1), [0, 0], &[]);
        assert_eq!((again[0].lost(), again[1].lost(), again[1].last_sequence), (20, 0, 3));
    }

    #[test]
    fn frames_that_no_note_knows_of_are_lost_too() {
        let appended =
            |sequence| Appended { source: Source::Tiktok, subject: "events.tiktok".into(), sequence };
        let reckoned = reckon(vec![state(1, 5, 0)], &state(2, 0, 0), [0, 0], &[appended(5), appended(6)]);
        assert_eq!((reckoned[0].facebook.lost, reckoned[0].tiktok.lost), (0, 1));
    }

    #[test]
    fn what_a_restored_copy_holds_is_not_lost() {
        let reckoned = reckon(vec![state(1, 30, 12)], &state(1, 25, 0), [7, 7], &[]);
        assert_eq!((reckoned[0].facebook.lost, reckoned[0].last_sequence, reckoned[0].revision), (5, 25, 1));
        assert!(!reckoned[0].ended);
        let later = reckon(reckoned, &state(1, 31, 1), [7, 7], &[]);
        assert_eq!((later[0].facebook.lost, later[0].revision), (5, 1), "counted again");
    }

    #[test]
    fn what_waited_and_was_purged_by_hand_is_lost() {
        let holding = |first, waiting| JournalState { first_sequence: first, ..state(1, 20, waiting) };
        for (note, seen, there, lost) in [
            (holding(1, 12), holding(21, 0), 0, 12),
            (holding(1, 12), holding(15, 6), 6, 6),
            // Acknowledged frames went.
            (holding(1, 12), holding(9, 12), 12, 0),
            (holding(1, 12), holding(1, 0), 0, 0),
            // By Weir itself.
            (JournalState { may_purge: true, ..holding(1, 12) }, holding(21, 0), 0, 0),
        ] {
            let reckoned = reckon(vec![note.clone()], &seen, [there, 0], &[]);
            assert_eq!(reckoned[0].lost(), lost, "{note:?} {seen:?}");
        }
    }

    #[test]
    fn a_journal_that_is_back_brings_what_waited_in_it() {
        let ended = reckon(vec![state(1, 20, 20)], &state(2, 0, 0), [0, 0], &[]);
        let back = reckon(ended, &state(1, 20, 20), [0, 0], &[]);
        assert_eq!((back[0].lost(), back[0].ended, back[0].revision), (0, false, 2));
        assert!(back[1].ended && back[1].lost() == 0);
    }

    #[test]
    fn a_copy_of_a_journal_that_had_ended_brings_what_it_holds() {
        let ended = reckon(vec![state(1, 20, 20)], &state(2, 0, 0), [0, 0], &[]);
        let back = reckon(ended, &state(1, 15, 15), [15, 0], &[]);
        assert_eq!((back[0].lost(), back[0].ended), (5, false));
    }

    #[test]
    fn of_two_notes_the_newer_one_counts() {
        let forgiven = JournalState { revision: 2, ..state(1, 10, 0) };
        let ahead = JournalState { revision: 1, ..state(1, 30, 0) };
        let merged = merge(vec![ahead.clone(), state(2, 4, 0)], vec![forgiven.clone(), state(2, 5, 0)]);
        assert_eq!(merged, [forgiven, state(2, 5, 0)]);
    }

    #[test]
    fn ended_journals_are_remembered_while_they_matter() {
        let ended = |journal, lost| {
            let mut state = JournalState { ended: true, ..state(journal, 5, 0) };
            state.tiktok.lost = lost;
            state
        };
        let notes = (1..=20).map(|journal| ended(journal, u64::from(journal == 1))).collect();
        let kept: Vec<i64> =
            reckon(notes, &state(21, 0, 0), [0, 0], &[]).iter().map(|state| state.journal).collect();
        assert_eq!(kept, [1, 13, 14, 15, 16, 17, 18, 19, 20, 21]);
    }
}
