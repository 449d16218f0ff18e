//! Versions of frames, and the error of a frame that this build can't read.

use prost::Message as _;

/// The version of a frame of events.
pub(super) const EVENTS_VERSION: u32 = 1;
/// The version of an erasure. A build that knows only version 1 defers it to other collectors.
pub(super) const ERASURE_VERSION: u32 = 2;
/// The newest version that this build reads.
pub(super) const NEWEST_VERSION: u32 = ERASURE_VERSION;

/// The reason that this build can't read a message of the journal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A collector of the next build can read the frame.
    #[error("the frame has version {0}, this build reads up to {NEWEST_VERSION}")]
    Newer(u32),
    /// No build that runs beside this one writes the version: builds that run together are at most one version apart
    /// (docs/upgrades.md).
    #[error(
        "the frame has version {0}, and this build reads up to {NEWEST_VERSION}: no build beside it can have written that"
    )]
    TooNew(u32),
    /// No build can read the frame.
    #[error("the frame can't be read: {0}")]
    Malformed(String),
}

/// The version field alone. A newer build may give the other fields another meaning.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct VersionField {
    #[prost(uint32, tag = "1")]
    version: u32,
}

/// Reads the version of a message; 0 if it has none.
pub(super) fn read_version(bytes: &[u8]) -> Result<u32, FrameError> {
    match VersionField::decode(bytes) {
        Ok(field) => Ok(field.version),
        Err(error) => Err(FrameError::Malformed(error.to_string())),
    }
}

/// Whether these bytes start with a version, as a frame of any version does and an event does not.
pub(crate) fn has_version(bytes: &[u8]) -> bool {
    read_version(bytes).is_ok_and(|version| version > 0)
}
