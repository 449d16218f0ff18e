//! Timeouts that several parts of the JetStream adapter share.

use std::time::Duration;

/// Timeout of one publish or acknowledgement. A publish that takes longer is usually stored; its repetition carries the
/// same message id.
pub(super) const PUBLISH_TIMEOUT: Duration = Duration::from_millis(2500);

/// Timeout of one request to the JetStream API. It includes the sending, which waits while the connection is down;
/// async-nats limits the wait for the answer alone.
pub(super) const API_TIMEOUT: Duration = Duration::from_secs(5);
