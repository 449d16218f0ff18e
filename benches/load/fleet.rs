//! A running Weir on servers of its own.

use std::sync::LazyLock;

use weir_testkit::{
    Ground, Weir,
    nats::Nats,
    postgres::{Postgres, Setup},
};

/// A process by its name and its arguments.
pub(crate) type Role = (&'static str, &'static [&'static str]);

/// What takes events in, up to the acknowledgement.
pub(crate) const FRONT: &[Role] = &[("edge", &["edge"]), ("ingest", &["ingest"])];
/// What carries events from the sender to the rows.
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

/// Some processes of Weir, a nats-server that syncs before it acknowledges, and a PostgreSQL that syncs before it
/// commits. Dropped, all of them are stopped and their files are gone.
#[derive(Debug)]
pub(crate) struct Fleet {
    // In the order in which they are stopped.
    pub(crate) weir: Weir,
    pub(crate) postgres: Postgres,
}

impl Fleet {
    /// Starts servers and roles, and waits until all of them are ready.
    pub(crate) async fn start(roles: &[Role]) -> Self {
        let postgres = database().await;
        let database_url = postgres.fresh_address().await;
        Self::start_on(postgres, database_url, roles).await
    }

    /// The same on a database that is there.
    pub(crate) async fn start_on(postgres: Postgres, database_url: String, roles: &[Role]) -> Self {
        let ground = Ground::Servers { nats: Nats::start().await, database_url };
        let mut weir = Weir::launched(ground, Vec::new(), roles);
        weir.ready().await;
        Self { weir, postgres }
    }

    /// How many events were accepted and not stored yet.
    pub(crate) async fn lag(&self) -> f64 {
        let accepted = self.weir.metric("events_accepted_total", &[("service", "edge")]).await;
        accepted - processed(&self.weir).await
    }
}

/// What deploy/compose.yaml gives PostgreSQL; docs/runbook.md says why.
static SETTINGS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let mut lines = include_str!("../../deploy/compose.yaml").lines().map(str::trim);
    let command =
        lines.find(|line| line.starts_with("[postgres, -c")).expect("PostgreSQL is started with settings");
    command.split([' ', ',', ']']).filter(|word| word.contains('=')).collect()
});

/// A PostgreSQL in a temporary folder, as deploy/ has one.
pub(crate) async fn database() -> Postgres {
    Postgres::start_with(Setup { durable: true, settings: &SETTINGS, ..Setup::default() }).await
}

/// How many events its collectors have stored since they were started.
pub(crate) async fn processed(weir: &Weir) -> f64 {
    weir.metric("events_processed_total", &[]).await
}
