//! HTTP/2 settings that a server and its channels share.

use std::time::Duration;

/// Either side notices a peer that vanished within interval + timeout.
pub(super) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
pub(super) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Room for many 16 MiB batches at once: HTTP/2's 64 KiB default stalls a batch on a round trip per window.
pub(super) const STREAM_WINDOW: u32 = 4 << 20;
pub(super) const CONNECTION_WINDOW: u32 = 16 << 20;
