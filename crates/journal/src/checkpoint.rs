//! Checkpoints of a journal, recorded beside it. They reveal the frames that are lost with a journal that vanished or was
//! replaced by an older copy (docs/reliability.md#i1-conservation).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_event::Source;

/// The most checkpoints of ended journals without losses that are kept.
const MAX_ENDED: usize = 8;

/// One journal as it was observed last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalCheckpoint {
    /// The journal's identity; see [`Journal::identity`](crate::Journal::identity).
    pub journal: i64,
    /// The number of changes of the losses. Of two checkpoints, the one with the higher revision is newer.
    pub revision: u64,
    /// The sequence of the last frame that was ever appended, over both sources; 0 before the first.
    pub last_sequence: u64,
    /// The sequence of the first frame that is still there; 0 in an embedded journal.
    #[serde(default)]
    pub first_sequence: u64,
    /// Whether Weir itself may soon purge frames that are not acknowledged yet, after their acknowledgement: the stream
    /// is half way to the high-water mark, or the frames are old.
    #[serde(default)]
    pub may_purge: bool,
    /// The last sequence of each subject, from the appends of ingests.
    #[serde(default)]
    pub last_sequences: BTreeMap<String, u64>,
    /// Whether another journal has taken its place.
    pub ended: bool,
    pub facebook: SourceCheckpoint,
    pub tiktok: SourceCheckpoint,
}

/// One source's frames in a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceCheckpoint {
    /// Frames that collectors have not acknowledged, delivered or not.
    pub waiting: u64,
    /// The acknowledgement floor: every frame up to this sequence is acknowledged.
    pub floor: u64,
    /// Accepted frames that the journal lost before collectors acknowledged them.
    pub lost: u64,
}

/// A frame that this process has appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AppendedFrame {
    pub(super) source: Source,
    pub(super) subject: String,
    pub(super) sequence: u64,
}

impl JournalCheckpoint {
    /// The checkpoint of a source.
    #[must_use]
    pub fn of(&self, source: Source) -> &SourceCheckpoint {
        match source {
            Source::Facebook => &self.facebook,
            Source::Tiktok => &self.tiktok,
        }
    }

    /// The checkpoint of a source, for a change.
    pub fn of_mut(&mut self, source: Source) -> &mut SourceCheckpoint {
        match source {
            Source::Facebook => &mut self.facebook,
            Source::Tiktok => &mut self.tiktok,
        }
    }

    /// The lost frames of both sources.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.facebook.lost.saturating_add(self.tiktok.lost)
    }

    /// Whether `current` is the same journal at an earlier time: a copy was restored, or a power loss took its end.
    fn was_reset(&self, current: &Self) -> bool {
        self.journal == current.journal && current.last_sequence < self.last_sequence
    }

    /// Whether another application has removed frames since: Weir purges none while `may_purge` is false.
    fn was_purged(&self, current: &Self) -> bool {
        self.journal == current.journal
            && !(self.ended || self.may_purge || current.may_purge)
            && self.first_sequence > 0
            && current.first_sequence > self.first_sequence
    }

    /// Whether `current` may lack frames that were unacknowledged at this checkpoint.
    #[must_use]
    pub(super) fn may_lack_frames(&self, current: &Self) -> bool {
        self.was_reset(current) || self.was_purged(current)
    }

    /// Whether `current` can follow this checkpoint only if the journal was replaced or lost frames.
    pub(super) fn contradicts(&self, current: &Self) -> bool {
        let is_another = self.journal != current.journal && !self.ended;
        is_another || self.may_lack_frames(current)
    }

    fn is_newer_than(&self, other: &Self) -> bool {
        (self.revision, self.last_sequence) > (other.revision, other.last_sequence)
    }
}

/// Whether both have the same journals with the same losses.
pub(super) fn have_same_losses(some: &[JournalCheckpoint], others: &[JournalCheckpoint]) -> bool {
    let losses = |checkpoints: &[JournalCheckpoint]| -> Vec<(i64, u64, bool)> {
        checkpoints.iter().map(|one| (one.journal, one.revision, one.ended)).collect()
    };
    losses(some) == losses(others)
}

/// Merges two lists of checkpoints: the newer checkpoint of each journal.
#[must_use]
pub fn merge_checkpoints(
    some: Vec<JournalCheckpoint>,
    others: Vec<JournalCheckpoint>,
) -> Vec<JournalCheckpoint> {
    let mut merged: BTreeMap<i64, JournalCheckpoint> = BTreeMap::new();
    for checkpoint in some.into_iter().chain(others) {
        match merged.get_mut(&checkpoint.journal) {
            Some(known) if checkpoint.is_newer_than(known) => *known = checkpoint,
            Some(_) => {}
            None => {
                merged.insert(checkpoint.journal, checkpoint);
            }
        }
    }
    merged.into_values().collect()
}

/// Resets every loss to 0. Returns the number of frames that were lost.
pub fn reset_losses(checkpoints: &mut [JournalCheckpoint]) -> u64 {
    let mut lost = 0;
    for checkpoint in checkpoints.iter_mut().filter(|checkpoint| checkpoint.lost() > 0) {
        lost += checkpoint.lost();
        Source::ALL.iter().for_each(|source| checkpoint.of_mut(*source).lost = 0);
        checkpoint.revision += 1;
    }
    lost
}

/// Advances the recorded checkpoints to `current`, and counts the frames that were lost since.
///
/// `present` has, in the order of [`Source::ALL`], the number of each source's frames between the recorded floor and the
/// recorded last sequence that are still in the journal. It counts only if the journal [may lack frames]. `appended` are this
/// process's own frames, which may be newer than the last checkpoint.
///
/// [may lack frames]: JournalCheckpoint::may_lack_frames
pub(super) fn advance(
    recorded: Vec<JournalCheckpoint>,
    current: &JournalCheckpoint,
    present: [u64; 2],
    appended: &[AppendedFrame],
) -> Vec<JournalCheckpoint> {
    let mut advanced: Vec<JournalCheckpoint> = Vec::with_capacity(recorded.len() + 1);
    let mut is_known = false;
    for earlier in recorded {
        is_known |= earlier.journal == current.journal;
        advanced.push(if earlier.was_reset(current) {
            earlier.reset_to(current, present, appended)
        } else if earlier.journal == current.journal {
            earlier.continued_by(current, present)
        } else {
            earlier.replaced(appended)
        });
    }
    if !is_known {
        advanced.push(current.clone());
    }
    drop_oldest_ended(advanced)
}

impl JournalCheckpoint {
    /// The checkpoint of this journal after it went back in time: frames that are not in `current` are lost.
    fn reset_to(&self, current: &Self, present: [u64; 2], appended: &[AppendedFrame]) -> Self {
        let mut next = Self { revision: self.revision + 1, ..current.clone() };
        for (&source, present) in Source::ALL.iter().zip(present) {
            let SourceCheckpoint { waiting, lost, .. } = *self.of(source);
            // The unacknowledged frames of an ended journal are counted as lost already.
            let lost_before = if self.ended { lost.saturating_sub(waiting) } else { lost };
            let gone = (waiting + self.count_newer(appended, source)).saturating_sub(present);
            next.of_mut(source).lost = lost_before + gone;
        }
        next
    }

    /// The checkpoint of this journal at a later time.
    fn continued_by(self, current: &Self, present: [u64; 2]) -> Self {
        let mut next = Self { revision: self.revision, ended: false, ..current.clone() };
        for &source in Source::ALL {
            next.of_mut(source).lost = self.of(source).lost;
        }
        if self.was_purged(current) {
            next.revision += 1;
            for (&source, present) in Source::ALL.iter().zip(present) {
                if current.first_sequence > self.of(source).floor + 1 {
                    next.of_mut(source).lost += self.of(source).waiting.saturating_sub(present);
                }
            }
        }
        if self.ended {
            // The journal is back with its unacknowledged frames, which counted as lost.
            next.revision += 1;
            for &source in Source::ALL {
                let of_source = next.of_mut(source);
                of_source.lost = of_source.lost.saturating_sub(self.of(source).waiting);
            }
        }
        for (subject, last) in self.last_sequences {
            let known = next.last_sequences.entry(subject).or_default();
            *known = last.max(*known);
        }
        next
    }

    /// The checkpoint of this journal after another one has taken its place: its unacknowledged frames are lost.
    fn replaced(mut self, appended: &[AppendedFrame]) -> Self {
        if self.ended {
            return self;
        }
        for &source in Source::ALL {
            let gone = self.of(source).waiting + self.count_newer(appended, source);
            self.of_mut(source).lost += gone;
        }
        self.ended = true;
        self.revision += 1;
        self
    }

    /// The number of a source's appended frames that are newer than this checkpoint.
    fn count_newer(&self, appended: &[AppendedFrame], source: Source) -> u64 {
        let of_source = appended.iter().filter(|frame| frame.source == source);
        of_source.filter(|frame| frame.sequence > self.last_sequence).count() as u64
    }
}

/// Logs an increase of the losses. The process that recorded it calls this once.
pub(super) fn log_new_losses(before: &[JournalCheckpoint], now: &[JournalCheckpoint]) {
    let lost =
        |checkpoints: &[JournalCheckpoint]| checkpoints.iter().map(JournalCheckpoint::lost).sum::<u64>();
    let (before, now) = (lost(before), lost(now));
    if now > before {
        let frames = now - before;
        tracing::error!(
            frames,
            "accepted frames can't come any more: the journal that held them is gone or was purged, or an older copy of it is back"
        );
    }
}

/// Drops the oldest ended journals without losses. The identities of a server's journals ascend with time.
fn drop_oldest_ended(mut checkpoints: Vec<JournalCheckpoint>) -> Vec<JournalCheckpoint> {
    checkpoints.sort_unstable_by_key(|checkpoint| checkpoint.journal);
    let can_drop = |checkpoint: &JournalCheckpoint| checkpoint.ended && checkpoint.lost() == 0;
    let mut excess =
        checkpoints.iter().filter(|checkpoint| can_drop(checkpoint)).count().saturating_sub(MAX_ENDED);
    checkpoints.retain(|checkpoint| {
        let is_dropped = excess > 0 && can_drop(checkpoint);
        excess -= usize::from(is_dropped);
        !is_dropped
    });
    checkpoints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(journal: i64, last_sequence: u64, waiting: u64) -> JournalCheckpoint {
        let facebook = SourceCheckpoint { waiting, floor: last_sequence - waiting, lost: 0 };
        JournalCheckpoint { journal, last_sequence, facebook, ..JournalCheckpoint::default() }
    }

    #[test]
    fn unacknowledged_frames_of_a_vanished_journal_are_lost_once() {
        let advanced = advance(vec![checkpoint(1, 20, 20)], &checkpoint(2, 0, 0), [0, 0], &[]);
        assert_eq!(advanced.len(), 2);
        assert!(advanced[0].ended && !advanced[1].ended);
        assert_eq!((advanced[0].facebook.lost, advanced[0].tiktok.lost, advanced[1].lost()), (20, 0, 0));
        let again = advance(advanced.clone(), &checkpoint(2, 3, 1), [0, 0], &[]);
        assert_eq!((again[0].lost(), again[1].lost(), again[1].last_sequence), (20, 0, 3));
    }

    #[test]
    fn frames_behind_the_last_checkpoint_are_lost_too() {
        let appended =
            |sequence| AppendedFrame { source: Source::Tiktok, subject: "events.tiktok".into(), sequence };
        let advanced =
            advance(vec![checkpoint(1, 5, 0)], &checkpoint(2, 0, 0), [0, 0], &[appended(5), appended(6)]);
        assert_eq!((advanced[0].facebook.lost, advanced[0].tiktok.lost), (0, 1));
    }

    #[test]
    fn frames_of_a_restored_copy_are_not_lost() {
        let advanced = advance(vec![checkpoint(1, 30, 12)], &checkpoint(1, 25, 0), [7, 7], &[]);
        assert_eq!((advanced[0].facebook.lost, advanced[0].last_sequence, advanced[0].revision), (5, 25, 1));
        assert!(!advanced[0].ended);
        let later = advance(advanced, &checkpoint(1, 31, 1), [7, 7], &[]);
        assert_eq!((later[0].facebook.lost, later[0].revision), (5, 1), "the frames are counted twice");
    }

    #[test]
    fn unacknowledged_frames_that_an_operator_purged_are_lost() {
        let with_first =
            |first, waiting| JournalCheckpoint { first_sequence: first, ..checkpoint(1, 20, waiting) };
        for (earlier, current, present, lost) in [
            (with_first(1, 12), with_first(21, 0), 0, 12),
            (with_first(1, 12), with_first(15, 6), 6, 6),
            // Only acknowledged frames were purged.
            (with_first(1, 12), with_first(9, 12), 12, 0),
            (with_first(1, 12), with_first(1, 0), 0, 0),
            // Weir itself may have purged.
            (JournalCheckpoint { may_purge: true, ..with_first(1, 12) }, with_first(21, 0), 0, 0),
        ] {
            let advanced = advance(vec![earlier.clone()], &current, [present, 0], &[]);
            assert_eq!(advanced[0].lost(), lost, "{earlier:?} {current:?}");
        }
    }

    #[test]
    fn a_journal_that_is_back_has_its_unacknowledged_frames() {
        let ended = advance(vec![checkpoint(1, 20, 20)], &checkpoint(2, 0, 0), [0, 0], &[]);
        let back = advance(ended, &checkpoint(1, 20, 20), [0, 0], &[]);
        assert_eq!((back[0].lost(), back[0].ended, back[0].revision), (0, false, 2));
        assert!(back[1].ended && back[1].lost() == 0);
    }

    #[test]
    fn a_copy_of_an_ended_journal_has_a_part_of_its_frames() {
        let ended = advance(vec![checkpoint(1, 20, 20)], &checkpoint(2, 0, 0), [0, 0], &[]);
        let back = advance(ended, &checkpoint(1, 15, 15), [15, 0], &[]);
        assert_eq!((back[0].lost(), back[0].ended), (5, false));
    }

    #[test]
    fn the_newer_one_of_two_checkpoints_counts() {
        let reset = JournalCheckpoint { revision: 2, ..checkpoint(1, 10, 0) };
        let ahead = JournalCheckpoint { revision: 1, ..checkpoint(1, 30, 0) };
        let merged = merge_checkpoints(
            vec![ahead.clone(), checkpoint(2, 4, 0)],
            vec![reset.clone(), checkpoint(2, 5, 0)],
        );
        assert_eq!(merged, [reset, checkpoint(2, 5, 0)]);
    }

    #[test]
    fn ended_journals_with_losses_are_kept_and_others_up_to_a_number() {
        let ended = |journal, lost| {
            let mut ended = JournalCheckpoint { ended: true, ..checkpoint(journal, 5, 0) };
            ended.tiktok.lost = lost;
            ended
        };
        let recorded = (1..=20).map(|journal| ended(journal, u64::from(journal == 1))).collect();
        let kept: Vec<i64> =
            advance(recorded, &checkpoint(21, 0, 0), [0, 0], &[]).iter().map(|kept| kept.journal).collect();
        assert_eq!(kept, [1, 13, 14, 15, 16, 17, 18, 19, 20, 21]);
    }
}
