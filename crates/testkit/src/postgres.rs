//! Real PostgreSQL servers, each in a temporary folder and on a free port of 127.0.0.1.

mod certificates;
mod owner;
mod pooler;

use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use sea_orm::ConnectionTrait;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use weir_database::{Access, DatabaseUrl, FaultKind, StoreFault, connect};

use self::owner::ServerUser;
pub use self::{certificates::Certificates, owner::program, pooler::Pooler};
use super::eventually;

/// Runs the server until the script's standard input ends, which happens however the test process ends.
const SUPERVISE: &str = r#"
    "$@" & server=$!
    cat > /dev/null
    kill -INT $server
    wait $server
    rm -rf "$FOLDER"
"#;

/// A running server. It is stopped when dropped, or when the test process ends.
#[derive(Debug)]
pub struct Postgres {
    supervisors: Vec<Child>,
    folder: PathBuf,
    setup: Setup,
    port: u16,
    databases: AtomicU32,
}

/// The settings of a server that differ from the usual ones.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// The folder of its tables. The server's user becomes the owner of the folder above.
    pub data: Option<PathBuf>,
    /// The folder of its write-ahead log, which then has segments of 1 MiB.
    pub wal: Option<PathBuf>,
    /// Settings of postgresql.conf, such as `max_connections=20`.
    pub settings: &'static [&'static str],
    /// Whether it syncs before it commits, as an installed server does.
    pub durable: bool,
    /// The certificates with which it offers TLS; without them it offers none.
    pub certificates: Option<Certificates>,
    /// Lines of its pg_hba.conf; by default every user is trusted.
    pub hba_lines: &'static [&'static str],
}

/// One server for all stories that inject no fault into it. Starting a server is slow; creating a database is not.
static SHARED: OnceCell<Postgres> = OnceCell::const_new();

impl Postgres {
    /// The time that a server has to start. A cold initdb and start take about two seconds, and ten times that beside a
    /// compiler.
    pub const START_TIMEOUT: Duration = Duration::from_secs(60);

    /// The shared server, started by the first caller.
    pub async fn shared() -> &'static Self {
        SHARED.get_or_init(Self::start).await
    }

    /// Starts a server with the usual settings.
    pub async fn start() -> Self {
        Self::start_with(Setup::default()).await
    }

    /// Starts a server with other settings, and waits until it answers.
    pub async fn start_with(setup: Setup) -> Self {
        let folder = TempDir::with_prefix("weir-postgres-").unwrap().keep();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { supervisors: Vec::new(), folder, setup, port, databases: AtomicU32::new(0) };
        server.initialise();
        server.serve().await;
        server
    }

    /// Starts a hot standby that follows this server.
    pub async fn standby(&self) -> Self {
        let folder = TempDir::with_prefix("weir-standby-").unwrap().keep();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let setup = self.setup.clone();
        let mut standby = Self { supervisors: Vec::new(), folder, setup, port, databases: AtomicU32::new(0) };
        let mut copy = ServerUser::of(&standby.folder).command("pg_basebackup");
        copy.args([
            "--host=127.0.0.1",
            "--username=weir",
            "--checkpoint=fast",
            "--write-recovery-conf",
            "--no-sync",
        ]);
        let copied = copy.arg(format!("--port={}", self.port)).arg("--pgdata").arg(standby.data()).output();
        let copied = copied.unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        standby.serve().await;
        standby
    }

    /// Runs statements with psql as the database's owner; psql's own commands are allowed. Returns the output, and
    /// fails if a statement does.
    pub fn psql(&self, database: &str, statements: &str) -> String {
        let mut psql = ServerUser::of(&self.folder).command("psql");
        psql.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-U",
            "weir",
            "-d",
            database,
        ]);
        let psql = psql.arg("-p").arg(self.port.to_string()).arg("-f").arg("-");
        let mut running =
            psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut running.stdin.take().unwrap(), statements.as_bytes()).unwrap();
        let output = running.wait_with_output().unwrap();
        assert!(output.status.success(), "{statements}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends every session of a database.
    pub fn end_sessions(&self, database: &str) {
        self.psql(
            "postgres",
            &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}';"),
        );
    }

    fn initialise(&self) {
        let mut initdb = ServerUser::of(&self.folder).command("initdb");
        initdb.args(["--username=weir", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]);
        for folder in [&self.setup.data, &self.setup.wal].into_iter().flatten() {
            ServerUser::of(folder.parent().unwrap());
        }
        if let Some(wal) = &self.setup.wal {
            initdb.arg("--wal-segsize=1").arg("--waldir").arg(wal);
        }
        let initialised = initdb.arg("--pgdata").arg(self.data()).output().unwrap();
        assert!(initialised.status.success(), "{}", String::from_utf8_lossy(&initialised.stderr));
        if let Some(certificates) = &self.setup.certificates {
            certificates.install(&self.folder);
            ServerUser::of(&self.folder.join("server.key"));
        }
        self.set_hba_lines(self.setup.hba_lines);
    }

    /// Replaces pg_hba.conf. The server reads it at its next reload.
    pub fn set_hba_lines(&self, lines: &[&str]) {
        if !lines.is_empty() {
            fs::write(self.data().join("pg_hba.conf"), lines.join("\n") + "\n").unwrap();
        }
    }

    fn data(&self) -> PathBuf {
        self.setup.data.clone().unwrap_or_else(|| self.folder.join("data"))
    }

    /// Starts the server on its folder, and waits until it answers.
    async fn serve(&mut self) {
        let data = self.data();
        let Self { supervisors, folder, setup, port, .. } = self;
        let server = ServerUser::of(folder).command("postgres");
        let supervisor = Command::new("sh")
            .args(["-c", SUPERVISE, "supervise"])
            .arg(server.get_program())
            .args(server.get_args())
            .arg("-D")
            .arg(data)
            .args(settings(folder, *port, setup))
            .env("FOLDER", &folder)
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::options().append(true).create(true).open(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        supervisors.push(supervisor);
        if let Err(error) = self.answers().await {
            panic!("{error}: {}", self.log());
        }
    }

    /// Waits for an answer. A refusal is one too if pg_hba.conf admits only some users.
    async fn answers(&self) -> Result<(), StoreFault> {
        match connect(&self.url("postgres"), Access::Write, Self::START_TIMEOUT).await {
            Err(fault) if fault.kind == FaultKind::Refused && !self.setup.hba_lines.is_empty() => Ok(()),
            answered => answered.map(drop),
        }
    }

    /// Everything that the server has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Kills the postmaster, as `kill -9` does. The processes of its connections notice and end too.
    pub fn kill(&self) {
        let pid = fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        let killed = Command::new("kill").args(["-s", "KILL", pid.lines().next().unwrap()]).status();
        assert!(killed.is_ok_and(|status| status.success()), "the server can't be killed");
    }

    /// Starts it again after [`Postgres::kill`], with its data.
    pub async fn start_again(&mut self) {
        eventually(
            async || if self.is_used() { Err("an old connection's process still runs") } else { Ok(()) },
        )
        .await;
        self.serve().await;
    }

    /// Waits until it answers, and starts it again if it has ended by itself.
    pub async fn ensure_running(&mut self) {
        let url = self.url("postgres");
        let ended = eventually(async || match connect(&url, Access::Write, Duration::ZERO).await {
            Ok(_) => Ok(false),
            Err(_) if !self.is_used() => Ok(true),
            Err(error) => Err(error),
        })
        .await;
        if ended {
            self.serve().await;
        }
    }

    /// Whether a process still works in its folder. A server does not start beside one.
    fn is_used(&self) -> bool {
        let data = self.data();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        processes
            .map(|process| process.path().join("cwd"))
            .any(|cwd| fs::read_link(cwd).is_ok_and(|cwd| cwd == data))
    }

    /// Creates a database for one story.
    pub async fn fresh_database(&self) -> DatabaseUrl {
        self.fresh_database_url().await.parse().unwrap()
    }

    /// Creates a database for one story; returns its URL.
    pub async fn fresh_database_url(&self) -> String {
        let name = format!("story_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let maintenance = connect(&self.url("postgres"), Access::Write, Self::START_TIMEOUT).await.unwrap();
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
        for supervisor in &mut self.supervisors {
            drop(supervisor.stdin.take());
            let _ = supervisor.wait();
        }
    }
}

/// The command line's settings. Without `durable` the server does not sync, because stories about stored rows need no
/// protection from a power cut.
fn settings(folder: &Path, port: u16, setup: &Setup) -> Vec<String> {
    let setting = |text: String| ["-c".to_owned(), text];
    let hasty: &[&str] = if setup.durable { &[] } else { &["fsync=off", "full_page_writes=off"] };
    let certificates: &[&str] = if setup.certificates.is_some() { &Certificates::SETTINGS } else { &[] };
    [
        format!("unix_socket_directories={}", folder.display()),
        format!("port={port}"),
        "listen_addresses=127.0.0.1".into(),
        "max_connections=200".into(),
    ]
    .into_iter()
    .chain(hasty.iter().chain(setup.settings).chain(certificates).map(|text| (*text).to_owned()))
    .flat_map(setting)
    .collect()
}
