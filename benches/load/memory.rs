//! How much memory a process has.

use anyhow::Context as _;
use procfs::process::Process;

/// Resident memory in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) now: u64,
    /// The most that it has had.
    pub(crate) peak: u64,
}

impl Memory {
    /// # Errors
    /// The process is gone.
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let status = Process::new(pid.cast_signed()).and_then(|process| process.status());
        let status = status.with_context(|| format!("process {pid} is gone"))?;
        // The kernel tells them in KiB.
        let bytes = |kibibytes: Option<u64>| kibibytes.unwrap_or_default() << 10;
        Ok(Self { now: bytes(status.vmrss), peak: bytes(status.vmhwm) })
    }
}
