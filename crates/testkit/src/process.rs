//! A process of the tests': started with a log file, ended by its own id.

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

/// Longer than the 25 s that a process gives its roles to end.
const PATIENCE: Duration = Duration::from_secs(40);
/// How much of a log a failed test shows.
const SHOWN_LINES: usize = 60;

/// A running process. Dropped, it is killed; dropped by a failing test, the end of its log is shown first.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    /// Its id, known after its end too.
    started_as: u32,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output in `<folder>/<name>.log`.
    pub fn start(name: &str, folder: &Path, mut command: Command) -> Self {
        let log = folder.join(format!("{name}.log"));
        let file =
            File::options().append(true).create(true).open(&log).expect("a log file in a temporary folder");
        let copy = file.try_clone().expect("a second handle of the log file");
        command.stdout(file).stderr(copy);
        Self::spawn(name, log, command)
    }

    /// Starts `command` with its output in two pipes that nobody reads.
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

    /// Its id, as long as it lives.
    pub fn id(&self) -> u32 {
        self.child.id().unwrap_or_else(|| panic!("{} is gone already\n{}", self.name, self.log()))
    }

    /// Fails with what it wrote when it is gone.
    pub fn assert_alive(&mut self) {
        let ended = self.child.try_wait().expect("a child can be asked");
        assert!(ended.is_none(), "{} ended: {ended:?}\n{}", self.name, self.log());
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The most memory that it has had, in bytes; 0 where it is gone.
    pub fn peak_memory(&self) -> u64 {
        let status = self.child.id().and_then(|id| fs::read_to_string(format!("/proc/{id}/status")).ok());
        let peak = status.as_deref().and_then(|status| {
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        });
        peak.unwrap_or_default() * 1024
    }

    /// Everything that it wrote.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal, by its name without SIG.
    pub async fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.id().to_string()]).status().await;
        assert!(sent.is_ok_and(|status| status.success()), "{} can't be sent {signal}", self.name);
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        match timeout(PATIENCE, self.child.wait()).await {
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
