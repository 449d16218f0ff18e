//! A real PostgreSQL server in a temporary folder, on a free port of 127.0.0.1.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use sea_orm::ConnectionTrait;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use weir_migration::{Access, DatabaseUrl, connect};

/// A cold initdb and start take about two seconds, ten times that beside a compiler.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the server until its standard input ends, which it does however the test process ends.
const SUPERVISE: &str = r#"
    "$@" & server=$!
    cat > /dev/null
    kill -INT $server
    wait $server
    rm -rf "$FOLDER"
"#;

/// A running server; stopped when dropped, or when the test process ends.
#[derive(Debug)]
pub(crate) struct Postgres {
    supervisor: Child,
    port: u16,
    databases: AtomicU32,
}

/// One server for every story that does not hurt it: starting one is slow, a database on it is not.
static SHARED: OnceCell<Postgres> = OnceCell::const_new();

impl Postgres {
    pub(crate) async fn shared() -> &'static Self {
        SHARED.get_or_init(Self::start).await
    }

    pub(crate) async fn start() -> Self {
        let folder = TempDir::with_prefix("weir-postgres-").unwrap().keep();
        let owner = Owner::of(&folder);
        let data = folder.join("data");
        let initialised = owner
            .command("initdb")
            .args([
                "--username=weir",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
                "--pgdata",
            ])
            .arg(&data)
            .output()
            .unwrap();
        assert!(initialised.status.success(), "{}", String::from_utf8_lossy(&initialised.stderr));

        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = owner.command("postgres");
        let supervisor = Command::new("sh")
            .args(["-c", SUPERVISE, "supervise"])
            .arg(server.get_program())
            .args(server.get_args())
            .arg("-D")
            .arg(&data)
            .args(settings(&folder, port))
            .env("FOLDER", &folder)
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        let server = Self { supervisor, port, databases: AtomicU32::new(0) };
        if let Err(error) = connect(&server.url("postgres"), Access::Write, PATIENCE).await {
            panic!("{error}: {}", fs::read_to_string(folder.join("log")).unwrap_or_default());
        }
        server
    }

    /// A database that nobody else uses.
    pub(crate) async fn fresh_database(&self) -> DatabaseUrl {
        self.fresh_address().await.parse().unwrap()
    }

    /// A database that nobody else uses, as a process is told it.
    pub(crate) async fn fresh_address(&self) -> String {
        let name = format!("story_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let maintenance = connect(&self.url("postgres"), Access::Write, PATIENCE).await.unwrap();
        maintenance.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
        self.address(&name)
    }

    fn url(&self, database: &str) -> DatabaseUrl {
        self.address(database).parse().unwrap()
    }

    fn address(&self, database: &str) -> String {
        format!("postgres://weir@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}

/// Stories ask what is stored, not what survives a power cut.
fn settings(folder: &Path, port: u16) -> Vec<String> {
    let setting = |text: String| ["-c".to_owned(), text];
    [
        format!("unix_socket_directories={}", folder.display()),
        format!("port={port}"),
        "listen_addresses=127.0.0.1".into(),
        "fsync=off".into(),
        "full_page_writes=off".into(),
        "max_connections=200".into(),
    ]
    .into_iter()
    .flat_map(setting)
    .collect()
}

/// Who runs the server: us, or the user `postgres` where we are root, as whom it refuses to run.
struct Owner {
    binaries: PathBuf,
    root: bool,
}

impl Owner {
    fn of(folder: &Path) -> Self {
        let root = id(&["-u"]) == 0;
        if root {
            chown(folder, Some(id(&["-u", "postgres"])), Some(id(&["-g", "postgres"]))).unwrap();
        }
        Self { binaries: binaries(), root }
    }

    fn command(&self, program: &str) -> Command {
        let program = self.binaries.join(program);
        if !self.root {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
        command
    }
}

fn id(arguments: &[&str]) -> u32 {
    let output = Command::new("id").args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().expect("a user `postgres` is installed")
}

/// Debian keeps the server's programs off the path, by major version.
fn binaries() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .map(|version| version.path().join("bin"))
        .filter(|folder| folder.join("postgres").exists())
        .max_by_key(|folder| {
            folder.parent().and_then(|version| version.file_name()?.to_str()?.parse::<u32>().ok())
        });
    newest.unwrap_or_default()
}
