//! Notifications to systemd over NOTIFY_SOCKET, and the units that use them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tokio::{net::UnixDatagram, time::timeout};
use weir_testkit::repository::{deploy, repository};
use weir_testkit::{Storage, Weir, nats::Nats};

use super::variables;

const NOTIFIED_WITHIN: Duration = Duration::from_secs(60);

/// The socket that a supervisor reads.
struct Supervisor {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Supervisor {
    fn listen(folder: &Path) -> Self {
        let path = folder.join("notify");
        Self { socket: UnixDatagram::bind(&path).unwrap(), path }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("NOTIFY_SOCKET", self.path.display().to_string())]
    }

    /// Reads until a message has a line that matches `wanted`. Returns all lines.
    async fn received(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let mut received: Vec<String> = Vec::new();
        let reading = async {
            while !received.iter().any(|line| wanted(line)) {
                let mut message = [0; 4096];
                let length = self.socket.recv(&mut message).await.unwrap();
                received.extend(String::from_utf8_lossy(&message[..length]).lines().map(str::to_owned));
            }
        };
        let read = timeout(NOTIFIED_WITHIN, reading).await;
        assert!(read.is_ok(), "the supervisor received only {received:?}");
        received
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_is_notified_of_the_start_and_of_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let supervisor = Supervisor::listen(folder.path());
    let mut weir = Weir::up_with(Storage::Files, supervisor.settings()).await;
    supervisor.received(|line| line == "READY=1").await;
    let stopping = tokio::join!(supervisor.received(|line| line == "STOPPING=1"), weir.stop()).0;
    assert!(!stopping.contains(&"READY=1".to_owned()), "{stopping:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_is_notified_of_the_dependency_that_a_process_waits_for() {
    let folder = tempfile::tempdir().unwrap();
    let supervisor = Supervisor::listen(folder.path());
    let mut nats = Nats::start().await;
    nats.kill();
    let ground = Storage::Servers { nats, database_url: String::new() };
    let mut weir = Weir::launch(ground, supervisor.settings(), &[("ingest", &["ingest"])]);
    let received = supervisor.received(|line| line.starts_with("STATUS=") && line.contains("journal")).await;
    assert!(!received.contains(&"READY=1".to_owned()), "{received:?}");
    weir.nats().start_again().await;
    supervisor.received(|line| line == "READY=1").await;
    weir.stop().await;
}

/// Every unit of `deploy/systemd`, by its name.
fn units() -> Vec<(String, String)> {
    let files = fs::read_dir(deploy("systemd")).unwrap().map(|file| file.unwrap().path());
    let units = files.filter(|path| path.extension().is_some_and(|extension| extension == "service"));
    units
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// The values of `key` in a unit.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

#[tokio::test]
async fn every_role_has_a_unit_whose_settings_the_binary_knows() {
    let (mut commands, reference) =
        (BTreeSet::new(), fs::read_to_string(repository("docs/reference.md")).unwrap());
    for (name, unit) in units() {
        let [start] = values(&unit, "ExecStart")[..] else { panic!("{name} has not one ExecStart") };
        let words: Vec<_> = start.split(' ').collect();
        let words: Vec<_> = words[1..].iter().map(|word| word.replace("%i", "facebook")).collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        assert!(start.starts_with("/usr/local/bin/weir "), "{name}: {start}");
        let known = variables(&words).await;
        assert!(!known.is_empty(), "{name}: the binary knows no {words:?}");
        for key in ["Environment", "#Environment"] {
            for assignment in values(&unit, key) {
                let variable = assignment.split('=').next().unwrap();
                assert!(known.iter().any(|known| known == variable), "{name}: {variable}");
                assert!(reference.contains(&format!("| `{variable}` |")), "{name}: {variable}");
            }
        }
        for (key, expected) in [
            ("Type", "notify"),
            ("TimeoutStartSec", "infinity"),
            ("Restart", "on-failure"),
            ("RestartPreventExitStatus", "64"),
            ("LimitNOFILE", "65536"),
            ("DynamicUser", "yes"),
        ] {
            assert_eq!(values(&unit, key), [expected], "{name}: {key}");
        }
        assert!(!values(&unit, "EnvironmentFile").is_empty(), "{name} reads no settings");
        let [stop] = values(&unit, "TimeoutStopSec")[..] else { panic!("{name}: TimeoutStopSec") };
        assert_eq!(stop, "45", "{name}: as long as compose gives");
        commands.insert(words[0].to_owned());
    }
    let expected = ["collect", "edge", "ingest", "reporting", "up"].map(str::to_owned);
    assert_eq!(commands, BTreeSet::from(expected));
}

#[test]
fn systemd_takes_the_units() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return eprintln!("skipped: there is no systemd-analyze");
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, unit) in units() {
        // The binary may be missing on the machine of the tests.
        let path = folder.path().join(name.replace('@', "@facebook"));
        fs::write(&path, unit.replace("/usr/local/bin/weir", "/bin/true")).unwrap();
        let verified = Command::new("systemd-analyze").arg("verify").arg(&path).output().unwrap();
        let received = String::from_utf8_lossy(&verified.stderr);
        let of_unit: Vec<_> = received.lines().filter(|line| line.contains("weir")).collect();
        assert!(verified.status.success() && of_unit.is_empty(), "{name}: {received}");
    }
}
