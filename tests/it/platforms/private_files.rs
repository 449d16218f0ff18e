//! Files and folders are for the user of the process alone, under any umask and also where they were open before.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Stdio,
};

use tempfile::tempdir;
use tokio::process::{Child, Command};
use weir_testkit::{eventually, weir::command};

/// Files that are there while a process runs on files.
const FILES: [&str; 8] = [
    "lock",
    "journal.lock",
    "journal.db",
    "journal.db-wal",
    "journal.db-shm",
    "store.sqlite",
    "store.sqlite-wal",
    "store.sqlite-shm",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_is_made_for_its_user_alone_and_an_open_one_is_closed() {
    let ground = tempdir().unwrap();
    let folder = ground.path().join("var/data");
    let [first_log, log] = ["first-log", "log"].map(|name| ground.path().join(name));
    let mut weir = up(&folder, &first_log);
    expect_private(&folder).await;
    weir.kill().await.unwrap();
    assert_eq!(mode(&ground.path().join("var")), 0o700, "a folder on the way");

    // As a build before left them.
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    for file in ["lock", "journal.db", "journal.db-wal", "store.sqlite", "store.sqlite-wal"] {
        fs::set_permissions(folder.join(file), Permissions::from_mode(0o644)).unwrap();
    }
    weir = up(&folder, &log);
    let text = eventually(async || {
        let text = fs::read_to_string(&log).unwrap();
        if text.contains("connected to the store") && text.contains("no longer can") {
            Ok(text)
        } else {
            Err(text)
        }
    })
    .await;
    expect_private(&folder).await;
    weir.kill().await.unwrap();
    for path in [folder.clone(), folder.join("journal.db"), folder.join("store.sqlite-wal")] {
        let path = format!(r#""path":"{}""#, path.display());
        let lines = text.lines().filter(|line| line.contains("no longer can") && line.contains(&path));
        assert_eq!(lines.count(), 1, "{path} in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_a_file_of_its_own_and_a_ledger_are_private() {
    let ground = tempdir().unwrap();
    let [store, ledger] = ["weir.sqlite", "run.ledger"].map(|name| ground.path().join(name));
    let url = format!("sqlite://{}", store.display());
    let publish = ["publish", "--duration", "100ms", "--endpoint", "http://127.0.0.1:1/events", "--ledger"];
    let publish = [&publish[..], &[ledger.to_str().unwrap()]].concat();
    for _ in 0..2 {
        let migrated = under_umask(&["migrate", "up"]).env("DATABASE_URL", &url).output().await.unwrap();
        assert!(migrated.status.success(), "{migrated:?}");
        let published = under_umask(&publish).output().await.unwrap();
        assert_eq!(published.status.code(), Some(1), "{published:?}");
        assert_eq!([mode(&store), mode(&ledger)], [0o600; 2]);
        for file in [&store, &ledger] {
            fs::set_permissions(file, Permissions::from_mode(0o664)).unwrap();
        }
    }
}

/// `weir up` on files in `folder`.
fn up(folder: &Path, log: &Path) -> Child {
    let listens = ["EDGE_LISTEN", "INGEST_LISTEN", "REPORTING_LISTEN", "ADMIN_LISTEN"];
    under_umask(&["up"])
        .envs(listens.map(|variable| (variable, "127.0.0.1:0")))
        .env("WEIR_DATA_DIR", folder)
        .stderr(fs::File::create(log).unwrap())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// A command of the binary, started under the umask that lets every user read.
fn under_umask(args: &[&str]) -> Command {
    let weir = command(args);
    let weir = weir.as_std();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "umask 022; exec \"$@\"", "sh"]).arg(weir.get_program()).args(weir.get_args());
    shell.env_clear().envs(weir.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell
}

/// Waits until every file is there, and expects that no other user can open one of them.
async fn expect_private(folder: &Path) {
    eventually(async || {
        let missing: Vec<_> = FILES.iter().filter(|name| !folder.join(name).exists()).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} are missing")) }
    })
    .await;
    assert_eq!(mode(folder), 0o700);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}
