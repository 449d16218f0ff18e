//! Child processes of a story, each with a log file.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    process::{Child, Command},
    time::timeout,
};

use super::clock;

/// The time that a process has to end: longer than the 25 s that it gives its roles.
const TIMEOUT: Duration = Duration::from_secs(40);
/// The number of log lines that a failed story shows.
const SHOWN_LINES: usize = 60;

/// A running process. When dropped, it is killed; when a failing story drops it, the end of its log is shown first.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    /// The process id, which is known after the end too.
    started_as: u32,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output appended to `<folder>/<name>.log`.
    pub fn start(name: &str, folder: &Path, mut command: Command) -> Self {
        let log = folder.join(format!("{name}.log"));
        let file =
            File::options().append(true).create(true).open(&log).expect("a log file in a temporary folder");
        let copy = file.try_clone().expect("a second handle of the log file");
        command.stdout(file).stderr(copy);
        Self::spawn(name, log, command)
    }

    /// Starts `command` with its output in two pipes that no process reads.
    pub fn start_unread(name: &str, folder: &Path, mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self::spawn(name, folder.join(format!("{name}.log")), command)
    }

    fn spawn(name: &str, log: PathBuf, mut command: Command) -> Self {
        let child = command.stdin(Stdio::null()).kill_on_drop(true).spawn();
        let child = child.unwrap_or_else(|error| panic!("{name} can't be started: {error}"));
        let started_as = child.id().expect("a child that was not waited for has an id");
        Self { name: name.to_owned(), child, started_as, log }
    }

    /// The process id; fails if the process has ended.
    pub fn id(&self) -> u32 {
        self.child.id().unwrap_or_else(|| panic!("{} is gone already\n{}", self.name, self.log()))
    }

    /// Fails with the log if the process has ended.
    pub fn assert_alive(&mut self) {
        let ended = self.child.try_wait().expect("the status of a child can be read");
        assert!(ended.is_none(), "{} ended: {ended:?}\n{}", self.name, self.log());
    }

    /// The name that it was started with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The peak of its resident memory in bytes; 0 if the process has ended.
    pub fn peak_memory(&self) -> u64 {
        let status = self.child.id().and_then(|id| fs::read_to_string(format!("/proc/{id}/status")).ok());
        let peak = status.as_deref().and_then(|status| {
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        });
        peak.unwrap_or_default() * 1024
    }

    /// Everything that the process has written.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal, by its name without SIG.
    pub async fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.id().to_string()]).status().await;
        assert!(sent.is_ok_and(|status| status.success()), "{} can't be sent {signal}", self.name);
    }

    /// Waits until the process ends; fails after 40 s.
    pub async fn ended(&mut self) -> ExitStatus {
        match timeout(TIMEOUT, self.child.wait()).await {
            Ok(status) => status.expect("a child can be waited for"),
            Err(_) => panic!("{} does not end\n{}", self.name, self.log()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        clock::clear_after(self.started_as);
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let end = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
            eprintln!("--- the end of {}'s log\n{}\n---", self.name, end.join("\n"));
        }
    }
}
