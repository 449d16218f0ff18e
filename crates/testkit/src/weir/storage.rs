//! Tells whether everything that a running Weir's journal holds is accounted for in its store.

use std::{path::PathBuf, time::Duration};

use async_nats::jetstream;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, EntityTrait as _, Statement};
use weir_database::{
    Access, DatabaseUrl, connect,
    entity::{audits, journal_states, unaccounted_frames},
};

use weir_journal::{DeadLetterStream, Journal, Settings, StoredDeadLetter};

use super::Weir;
use crate::{eventually, nats::Nats, postgres::Postgres};

/// More than any story rejects.
const MOST: usize = 1000;

/// What journal and store stand on.
#[derive(Debug)]
pub enum Ground {
    /// Files in the data folder.
    Files,
    /// A nats-server of this test's own, and a database of its own on a shared PostgreSQL.
    Servers { nats: Nats, database_url: String },
}

impl Ground {
    pub async fn servers() -> Self {
        let (nats, postgres) = tokio::join!(Nats::start(), Postgres::shared());
        Self::Servers { nats, database_url: postgres.fresh_address().await }
    }
}

impl Weir {
    /// A pool of the story's own.
    pub async fn store(&self) -> DatabaseConnection {
        let url: DatabaseUrl = match &self.ground {
            Ground::Files => DatabaseUrl::file(&self.store_file()),
            Ground::Servers { database_url, .. } => {
                database_url.parse().expect("a story's database has a valid URL")
            }
        };
        connect(&url, Access::Write, Duration::ZERO).await.expect("the store is there")
    }

    /// What lies in `REJECTED`, oldest first. On files it ends this Weir first: the journal has one owner.
    pub async fn rejected(&mut self) -> Vec<StoredDeadLetter> {
        let journal = match &self.ground {
            Ground::Servers { nats, .. } => {
                Journal::connect(&nats.servers(), Settings::default(), Duration::from_secs(10)).await
            }
            Ground::Files => {
                self.stop().await;
                Journal::open(&self.data_folder(), Settings::default()).await
            }
        };
        let journal = journal.expect("the journal can be opened");
        let letters = journal
            .dead_letters(DeadLetterStream::Rejected, 0, MOST)
            .await
            .expect("dead letters can be read");
        journal.close(Duration::from_secs(5)).await;
        letters
    }

    /// Waits until the audit has gone through every frame that the journal has taken so far; fails where one is missing, or
    /// is said to be lost.
    pub async fn is_accounted_for(&self) {
        assert_eq!(self.unaccounted().await, []);
        let store = connected(self.audited_store()).await;
        let noted = journal_states::Entity::find().all(&store).await.expect("the store is there");
        let lost: Vec<_> = noted.into_iter().filter(|state| state.lost > 0).collect();
        assert_eq!(lost, [], "nothing was removed from the journal");
    }

    /// Waits as [`Weir::is_accounted_for`]; says which frames are missing.
    pub async fn unaccounted(&self) -> Vec<unaccounted_frames::Model> {
        let (last, store) = (self.last_frame().await, connected(self.audited_store()).await);
        eventually(async || {
            let audits = audits::Entity::find().all(&store).await.map_err(|error| error.to_string())?;
            let through = audits.iter().map(|audit| audit.through).max().unwrap_or_default();
            if through >= last { Ok(()) } else { Err(format!("audited {through} of {last} frames")) }
        })
        .await;
        unaccounted_frames::Entity::find().all(&store).await.expect("the store is there")
    }

    /// The sequence of the frame that the journal took last.
    async fn last_frame(&self) -> i64 {
        const LAST: &str = "SELECT seq FROM sqlite_sequence WHERE name = 'frame'";
        let servers = match &self.ground {
            Ground::Files => None,
            Ground::Servers { nats, .. } => Some(nats.url()),
        };
        let Some(servers) = self.setting("NATS_URL").or(servers) else {
            let journal = connected(DatabaseUrl::file(&self.audited_folder().join("journal.db"))).await;
            let last = Statement::from_string(journal.get_database_backend(), LAST);
            let row = journal.query_one_raw(last).await.expect("the journal's file is there");
            return row.map_or(0, |row| row.try_get("", "seq").expect("a number"));
        };
        let servers: Vec<&str> = servers.split(',').collect();
        let client = async_nats::connect(servers).await.expect("the journal's server is there");
        let stream = jetstream::new(client).get_stream("EVENTS").await.expect("there is a journal");
        stream.cached_info().state.last_sequence.cast_signed()
    }

    fn audited_store(&self) -> DatabaseUrl {
        let chosen = self.setting("DATABASE_URL").or_else(|| match &self.ground {
            Ground::Files => None,
            Ground::Servers { database_url, .. } => Some(database_url.clone()),
        });
        match chosen {
            Some(url) => url.parse().expect("a story's database has a valid URL"),
            None => DatabaseUrl::file(&self.audited_folder().join("store.sqlite")),
        }
    }

    fn audited_folder(&self) -> PathBuf {
        self.setting("WEIR_DATA_DIR").map_or_else(|| self.data_folder(), PathBuf::from)
    }

    /// What a story chose over what the deployment gives.
    pub(super) fn setting(&self, name: &str) -> Option<String> {
        self.settings.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }
}

async fn connected(url: DatabaseUrl) -> DatabaseConnection {
    connect(&url, Access::Read, Duration::ZERO).await.expect("the store is there")
}
