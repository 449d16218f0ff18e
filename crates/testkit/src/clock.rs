//! Wrong wall clocks for single processes, by libfaketime.

use std::{env::consts::ARCH, fs, path::Path, sync::OnceLock};

/// Names and values of the environment variables that load libfaketime into a process.
pub type ClockVariables = [(&'static str, &'static str); 3];

/// A wall clock that is off by `offset`, such as `+8d`, `-100d` or `-10m`. Timers stay right, because they follow the
/// monotonic clock.
pub fn off_by(offset: &'static str) -> ClockVariables {
    [("LD_PRELOAD", library()), ("FAKETIME", offset), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]
}

/// [`off_by`] for every process of a Weir.
pub fn all_off_by(offset: &'static str) -> Vec<(&'static str, String)> {
    off_by(offset).map(|(name, value)| (name, value.to_owned())).to_vec()
}

/// Removes the shared memory that libfaketime leaves behind when a process is killed.
pub fn clear_after(process: u32) {
    for file in [format!("faketime_shm_{process}"), format!("sem.faketime_sem_{process}")] {
        let _ = fs::remove_file(Path::new("/dev/shm").join(file));
    }
}

/// The library's variant for programs with several threads. Debian keeps it in the folder of the architecture; other
/// distributions have one folder for all.
fn library() -> &'static str {
    static LIBRARY: OnceLock<String> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folders = [&format!("/usr/lib/{ARCH}-linux-gnu"), "/usr/lib64", "/usr/lib"];
        let files = folders.map(|folder| format!("{folder}/faketime/libfaketimeMT.so.1"));
        let found = files.into_iter().find(|file| Path::new(file).exists());
        found.expect("libfaketime is installed (on Debian: apt-get install faketime)")
    })
}
