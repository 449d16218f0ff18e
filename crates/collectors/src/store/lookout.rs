//! Asked once at the start of a storing transaction: the time, and the exceptions to look out for, most often none.

/// Two looks at the end of an index. `EXISTS` would walk past all the keys that expired lately.
pub(super) const LOOK_OUT: &str = "SELECT (SELECT MAX(arrived_at) FROM event_keys) IS NOT NULL, \
    (SELECT MAX(recorded_at) FROM erasures)";

/// What there was when the transaction began, and so until it ends: whoever removes rows or records an erasure waits
/// for those who store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lookout {
    /// Rows were removed: an event may be known by its key alone.
    pub(super) keys: bool,
    /// The newest record of an erasure, µs since the Unix epoch.
    pub(super) newest_erasure: Option<i64>,
    /// By the database's clock, µs since the Unix epoch: what is stored ages from then.
    pub(super) now: i64,
}

impl From<(bool, Option<i64>, i64)> for Lookout {
    fn from((keys, newest_erasure, now): (bool, Option<i64>, i64)) -> Self {
        Self { keys, newest_erasure, now }
    }
}
