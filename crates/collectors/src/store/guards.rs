//! Asked once at the start of a storing transaction: the time, whether this build may write, and the exceptions to look out
//! for, most often none.

use weir_database::check_writer;

/// Two looks at the end of an index, and one at a row. `EXISTS` would walk past all the keys that expired lately.
pub(super) const LOOK_OUT: &str = "SELECT (SELECT MAX(arrived_at) FROM event_keys) IS NOT NULL, \
    (SELECT MAX(recorded_at) FROM erasures), (SELECT migration FROM oldest_writer WHERE number = 1)";

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

impl Lookout {
    /// Of a database that admits this build.
    ///
    /// # Errors
    /// It admits newer builds alone.
    pub(super) fn admitted(
        keys: bool,
        newest_erasure: Option<i64>,
        oldest_writer: Option<&str>,
        now: i64,
    ) -> Result<Self, sqlx::Error> {
        // What ends the transaction is the driver's error; `StoreError` tells it apart again.
        check_writer(oldest_writer).map_err(|refused| sqlx::Error::Configuration(refused.into()))?;
        Ok(Self { keys, newest_erasure, now })
    }
}
