//! Running processes of Weir with their own nats-server and PostgreSQL.

use std::sync::{LazyLock, OnceLock};

use weir_testkit::{
    Storage, Weir,
    nats::Nats,
    postgres::{Postgres, Setup},
};

use crate::{
    report::{Report, Row, mebibytes},
    usage::Memory,
};

/// The name and the arguments of a process.
pub(crate) type Role = (&'static str, &'static [&'static str]);

/// The processes that accept events, up to the acknowledgement.
pub(crate) const FRONT: &[Role] = &[("edge", &["edge"]), ("ingest", &["ingest"])];
/// The processes between the sender and the rows.
pub(crate) const LINE: &[Role] = &[
    ("edge", &["edge"]),
    ("ingest", &["ingest"]),
    ("collect-facebook", &["collect", "facebook"]),
    ("collect-tiktok", &["collect", "tiktok"]),
];
/// One process of every role.
pub(crate) const FLEET: &[Role] = &[
    ("edge", &["edge"]),
    ("ingest", &["ingest"]),
    ("collect-facebook", &["collect", "facebook"]),
    ("collect-tiktok", &["collect", "tiktok"]),
    ("reporting", &["reporting"]),
];

const MOST_IN_REPORTING: u64 = 256 << 20;
const MOST_IN_A_COLLECTOR: u64 = 128 << 20;

/// Some processes of Weir, a nats-server that syncs before it acknowledges, and a PostgreSQL that syncs before it
/// commits. When dropped, all of them are stopped and their files are removed.
#[derive(Debug)]
pub(crate) struct Fleet {
    // In the order in which they are stopped.
    pub(crate) weir: Weir,
    pub(crate) postgres: Postgres,
    database_url: String,
}

impl Fleet {
    /// Starts the servers and these processes, and waits until all of them are ready.
    pub(crate) async fn start(roles: &[Role]) -> Self {
        let postgres = database().await;
        let database_url = postgres.fresh_database_url().await;
        Self::start_on(postgres, database_url, roles).await
    }

    /// [`Fleet::start`] on a database that exists already.
    pub(crate) async fn start_on(postgres: Postgres, database_url: String, roles: &[Role]) -> Self {
        let ground = Storage::Servers { nats: Nats::start().await, database_url: database_url.clone() };
        let mut weir = Weir::launch(ground, Vec::new(), roles);
        weir.ready().await;
        Self { weir, postgres, database_url }
    }

    /// Adds the peak of every role's memory to a report, with the bars of reporting and of collectors.
    ///
    /// # Errors
    /// A process is gone.
    pub(crate) fn add_memory(
        &mut self,
        report: &mut Report,
        labelled: impl Fn(&str) -> String,
    ) -> anyhow::Result<()> {
        for (role, _) in FLEET {
            let Memory { now, peak } = Memory::of(self.weir.id_of(role))?;
            let row = Row::new(labelled(&format!("memory of {role}, peak")), mebibytes(peak))
                .beside(format!("now {}", mebibytes(now)));
            let most = match *role {
                "reporting" => Some(MOST_IN_REPORTING),
                "collect-facebook" | "collect-tiktok" => Some(MOST_IN_A_COLLECTOR),
                _ => None,
            };
            report.add(match most {
                Some(most) => row.bar(format!("< {}", mebibytes(most)), peak < most),
                None => row,
            });
        }
        Ok(())
    }

    /// The bytes of the database on disk.
    pub(crate) fn database_bytes(&self) -> anyhow::Result<u64> {
        self.number("SELECT pg_database_size(current_database())")
    }

    /// The bytes of the write-ahead log since the server was made.
    pub(crate) fn log_bytes(&self) -> anyhow::Result<u64> {
        self.number("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")
    }

    fn number(&self, statement: &str) -> anyhow::Result<u64> {
        Ok(self.query(statement).parse()?)
    }

    /// Runs a statement in the database; returns its rows, one a line.
    pub(crate) fn query(&self, statement: &str) -> String {
        let path = self.database_url.split('?').next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        self.postgres.psql(name, statement).trim().to_owned()
    }

    pub(crate) fn database_url(&self) -> &str {
        &self.database_url
    }

    /// The number of events that are accepted and not stored yet.
    pub(crate) async fn lag(&self) -> f64 {
        let accepted = self.weir.metric("events_accepted_total", &[("service", "edge")]).await;
        accepted - processed(&self.weir).await
    }
}

/// Further settings of PostgreSQL, from the command line.
pub(crate) static FURTHER_SETTINGS: OnceLock<Vec<String>> = OnceLock::new();

/// The settings of PostgreSQL in deploy/compose.yaml; docs/runbook.md has their reasons.
static SETTINGS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let mut lines = include_str!("../../deploy/compose.yaml").lines().map(str::trim);
    let command =
        lines.find(|line| line.starts_with("[postgres, -c")).expect("PostgreSQL is started with settings");
    let further = FURTHER_SETTINGS.get().into_iter().flatten().map(String::as_str);
    command.split([' ', ',', ']']).filter(|word| word.contains('=')).chain(further).collect()
});

/// A PostgreSQL in a temporary folder, with the settings of deploy/.
pub(crate) async fn database() -> Postgres {
    Postgres::start_with(Setup { durable: true, settings: &SETTINGS, ..Setup::default() }).await
}

/// The number of events that the collectors have stored since their start.
pub(crate) async fn processed(weir: &Weir) -> f64 {
    weir.metric("events_processed_total", &[]).await
}
