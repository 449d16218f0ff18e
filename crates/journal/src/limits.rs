//! Fixed limits of both adapters: retention, sizes and the high-water mark of purging.

use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The journal keeps an acknowledged frame this long, and a frame without an acknowledgement for ever.
pub(super) const ACKNOWLEDGED_FRAME_AGE: Duration = DAY.saturating_mul(7);

/// The journal keeps a dead letter this long.
pub(super) const DEAD_LETTER_AGE: Duration = DAY.saturating_mul(30);

/// The most bytes of one dead-letter stream.
pub(super) const DEAD_LETTER_STREAM_BYTES: u64 = 1 << 30;

/// The smallest message limit that a server may have. The largest event that the gate admits has 13 KiB, so that a frame
/// of this size holds several.
pub(super) const MIN_MESSAGE_BYTES: usize = 64 * 1024;

/// The bytes of `EVENTS` above which the journal purges acknowledged frames: 70 % of `max_bytes`.
pub(super) fn high_watermark(max_bytes: u64) -> u64 {
    max_bytes / 10 * 7
}
