//! Limits of keeping and refusing that no setting changes, for both adapters.

use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an acknowledged frame is kept. One that waits for its acknowledgement is kept for ever.
pub(super) const ACKNOWLEDGED_FRAME_AGE: Duration = DAY.saturating_mul(7);
/// How long a dead letter is kept.
pub(super) const LETTER_AGE: Duration = DAY.saturating_mul(30);
/// How many bytes of dead letters a graveyard holds.
pub(super) const GRAVEYARD_BYTES: u64 = 1 << 30;

/// Above it, acknowledged frames are purged: 70 % of the bytes.
pub(super) fn mark(max_bytes: u64) -> u64 {
    max_bytes / 10 * 7
}
/// The least that a server must take in one message. The largest event that the gate admits has 13 KiB, so that frames of
/// this size hold some.
pub(super) const LEAST_MESSAGE_BYTES: usize = 64 * 1024;
