//! Exit codes of every `weir` command. Supervisors and scripts act on them, so each number is a promise.

/// The command was valid and failed, or the answer to its question is no.
pub const FAILED: u8 = 1;
/// The command line or the configuration is wrong (`EX_USAGE` of sysexits.h). A restart does not help.
pub const MISCONFIGURED: u8 = 64;
/// The command did its work, but could not write its answer (`EX_IOERR` of sysexits.h).
pub const OUTPUT_NOT_WRITTEN: u8 = 74;
/// The work is durable and not complete yet (`EX_TEMPFAIL` of sysexits.h).
pub const UNFINISHED: u8 = 75;
/// A second signal ended the process at once: 128 + SIGINT, as shells report it.
pub const INTERRUPTED: u8 = 130;
