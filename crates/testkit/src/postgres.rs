//! A real PostgreSQL server in a temporary folder, on a free port of 127.0.0.1.

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

use self::owner::Owner;
pub use self::{certificates::Certificates, owner::program, pooler::Pooler};
use super::eventually;

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
pub struct Postgres {
    supervisors: Vec<Child>,
    folder: PathBuf,
    setup: Setup,
    port: u16,
    databases: AtomicU32,
}

/// What of a server is not as usual.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// The folder of its tables, in a folder that is the server's to have.
    pub data: Option<PathBuf>,
    /// The same of its write-ahead log, whose segments are 1 MiB then.
    pub wal: Option<PathBuf>,
    /// Such as `max_connections=20`.
    pub settings: &'static [&'static str],
    /// Whether it syncs before it commits, as an installed one does.
    pub durable: bool,
    /// What it shows whom, where it offers TLS.
    pub certificates: Option<Certificates>,
    /// Lines of its pg_hba.conf; by default everybody is trusted.
    pub admits: &'static [&'static str],
}

/// One server for every story that does not hurt it: starting one is slow, a database on it is not.
static SHARED: OnceCell<Postgres> = OnceCell::const_new();

impl Postgres {
    /// A cold initdb and start take about two seconds, ten times that beside a compiler.
    pub const PATIENCE: Duration = Duration::from_secs(60);

    pub async fn shared() -> &'static Self {
        SHARED.get_or_init(Self::start).await
    }

    pub async fn start() -> Self {
        Self::start_with(Setup::default()).await
    }

    /// A server that is not as usual.
    pub async fn start_with(setup: Setup) -> Self {
        let folder = TempDir::with_prefix("weir-postgres-").unwrap().keep();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { supervisors: Vec::new(), folder, setup, port, databases: AtomicU32::new(0) };
        server.initialise();
        server.serve().await;
        server
    }

    /// A hot standby that follows this server.
    pub async fn standby(&self) -> Self {
        let folder = TempDir::with_prefix("weir-standby-").unwrap().keep();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let setup = self.setup.clone();
        let mut standby = Self { supervisors: Vec::new(), folder, setup, port, databases: AtomicU32::new(0) };
        let mut copy = Owner::of(&standby.folder).command("pg_basebackup");
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

    /// Runs statements as its owner, with psql's own commands among them.
    pub fn psql(&self, database: &str, statements: &str) -> String {
        let mut psql = Owner::of(&self.folder).command("psql");
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
        let told = psql.arg("-p").arg(self.port.to_string()).arg("-f").arg("-");
        let mut running =
            told.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut running.stdin.take().unwrap(), statements.as_bytes()).unwrap();
        let output = running.wait_with_output().unwrap();
        assert!(output.status.success(), "{statements}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends every session of a database's.
    pub fn end_sessions(&self, database: &str) {
        self.psql(
            "postgres",
            &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}';"),
        );
    }

    fn initialise(&self) {
        let mut initdb = Owner::of(&self.folder).command("initdb");
        initdb.args(["--username=weir", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]);
        for folder in [&self.setup.data, &self.setup.wal].into_iter().flatten() {
            Owner::of(folder.parent().unwrap());
        }
        if let Some(wal) = &self.setup.wal {
            initdb.arg("--wal-segsize=1").arg("--waldir").arg(wal);
        }
        let initialised = initdb.arg("--pgdata").arg(self.data()).output().unwrap();
        assert!(initialised.status.success(), "{}", String::from_utf8_lossy(&initialised.stderr));
        if let Some(certificates) = &self.setup.certificates {
            certificates.install(&self.folder);
            Owner::of(&self.folder.join("server.key"));
        }
        self.admit(self.setup.admits);
    }

    /// Changes whom it admits; `reload` has it notice.
    pub fn admit(&self, lines: &[&str]) {
        if !lines.is_empty() {
            fs::write(self.data().join("pg_hba.conf"), lines.join("\n") + "\n").unwrap();
        }
    }

    fn data(&self) -> PathBuf {
        self.setup.data.clone().unwrap_or_else(|| self.folder.join("data"))
    }

    /// Runs the server on its folder, and waits until it answers.
    async fn serve(&mut self) {
        let data = self.data();
        let Self { supervisors, folder, setup, port, .. } = self;
        let server = Owner::of(folder).command("postgres");
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

    /// Whoever it admits: also a refusal is an answer.
    async fn answers(&self) -> Result<(), StoreFault> {
        match connect(&self.url("postgres"), Access::Write, Self::PATIENCE).await {
            Err(fault) if fault.kind == FaultKind::Refused && !self.setup.admits.is_empty() => Ok(()),
            answered => answered.map(drop),
        }
    }

    /// Everything that it wrote about itself.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// As `kill -9` of the postmaster: the processes of its connections notice and end too.
    pub fn kill(&self) {
        let pid = fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        let killed = Command::new("kill").args(["-s", "KILL", pid.lines().next().unwrap()]).status();
        assert!(killed.is_ok_and(|status| status.success()), "the server can't be killed");
    }

    /// Starts it again after [`Postgres::kill`], with what it stored.
    pub async fn start_again(&mut self) {
        eventually(
            async || if self.is_used() { Err("an old connection's process still runs") } else { Ok(()) },
        )
        .await;
        self.serve().await;
    }

    /// Returns when it answers, started again where it has ended by itself.
    pub async fn is_back(&mut self) {
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

    /// Whether any process works in its folder; a server does not start beside one.
    fn is_used(&self) -> bool {
        let data = self.data();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        processes
            .map(|process| process.path().join("cwd"))
            .any(|cwd| fs::read_link(cwd).is_ok_and(|cwd| cwd == data))
    }

    /// A database that nobody else uses.
    pub async fn fresh_database(&self) -> DatabaseUrl {
        self.fresh_address().await.parse().unwrap()
    }

    /// A database that nobody else uses, as a process is told it.
    pub async fn fresh_address(&self) -> String {
        let name = format!("story_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let maintenance = connect(&self.url("postgres"), Access::Write, Self::PATIENCE).await.unwrap();
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

/// Stories ask what is stored, not what survives a power cut.
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
