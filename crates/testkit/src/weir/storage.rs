//! The journal and the store behind a running Weir: a story reads them, changes them, and checks that the store
//! accounts for every frame.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use async_nats::jetstream;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, EntityTrait as _, Statement};
use weir_database::{
    Access, DatabaseUrl, connect,
    entity::{audits, journal_states, unaccounted_frames},
};

use weir_journal::{DeadLetterStream, Journal, Settings, StoredDeadLetter};

use super::Weir;
use crate::{eventually, nats::Nats, postgres::Postgres};

/// More dead letters than any story makes.
const MOST: usize = 1000;

/// The files or servers that hold the journal and the store.
#[derive(Debug)]
pub enum Storage {
    /// Files in the data folder.
    Files,
    /// A nats-server of this story, and a database on a PostgreSQL server.
    Servers { nats: Nats, database_url: String },
}

impl Storage {
    /// Starts a nats-server, and creates a database on the shared PostgreSQL.
    pub async fn servers() -> Self {
        let (nats, postgres) = tokio::join!(Nats::start(), Postgres::shared());
        Self::Servers { nats, database_url: postgres.fresh_database_url().await }
    }
}

impl Weir {
    /// Opens a pool on the store.
    pub async fn store(&self) -> DatabaseConnection {
        let url: DatabaseUrl = match &self.storage {
            Storage::Files => DatabaseUrl::file(&self.store_file()),
            Storage::Servers { database_url, .. } => {
                database_url.parse().expect("a story's database has a valid URL")
            }
        };
        connect(&url, Access::Write, Duration::ZERO).await.expect("the store is there")
    }

    /// Puts another store in the place of this deployment's, which has ended: `store.sqlite` or `store.sql` of a folder.
    pub async fn replace_store(&self, folder: &Path) {
        match &self.storage {
            Storage::Files => {
                let store = self.store_file();
                for suffix in ["-wal", "-shm"] {
                    let mut beside = store.clone().into_os_string();
                    beside.push(suffix);
                    // Present only after a kill.
                    fs::remove_file(beside).ok();
                }
                fs::copy(folder.join("store.sqlite"), store).expect("the store can be copied");
            }
            Storage::Servers { database_url, .. } => {
                let path = database_url.split('?').next().unwrap_or_default();
                let name = path.rsplit('/').next().unwrap_or_default();
                let dump = fs::read_to_string(folder.join("store.sql")).expect("the dump can be read");
                let statements = format!("DROP SCHEMA public CASCADE; CREATE SCHEMA public;\n{dump}");
                Postgres::shared().await.psql(name, &statements);
            }
        }
    }

    /// The dead letters of `REJECTED`, oldest first. On files it ends this Weir first, because one process owns the
    /// journal's file.
    pub async fn rejected(&mut self) -> Vec<StoredDeadLetter> {
        let journal = match &self.storage {
            Storage::Servers { nats, .. } => {
                Journal::connect(&nats.servers(), Settings::default(), Duration::from_secs(10)).await
            }
            Storage::Files => {
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

    /// Waits until the audit has checked every frame that the journal has accepted so far. Fails if the store does not
    /// account for a frame, or counts one as lost.
    pub async fn expect_all_accounted(&self) {
        assert_eq!(self.unaccounted_frames().await, []);
        let store = connected(self.audited_store()).await;
        let noted = journal_states::Entity::find().all(&store).await.expect("the store is there");
        let lost: Vec<_> = noted.into_iter().filter(|state| state.lost > 0).collect();
        assert_eq!(lost, [], "nothing was removed from the journal");
    }

    /// Waits as [`Weir::expect_all_accounted`] does; returns the frames that are not accounted for.
    pub async fn unaccounted_frames(&self) -> Vec<unaccounted_frames::Model> {
        let (last, store) = (self.last_frame().await, connected(self.audited_store()).await);
        eventually(async || {
            let audits = audits::Entity::find().all(&store).await.map_err(|error| error.to_string())?;
            let through = audits.iter().map(|audit| audit.through).max().unwrap_or_default();
            if through >= last { Ok(()) } else { Err(format!("audited {through} of {last} frames")) }
        })
        .await;
        unaccounted_frames::Entity::find().all(&store).await.expect("the store is there")
    }

    /// The sequence of the last frame in the journal.
    async fn last_frame(&self) -> i64 {
        const LAST: &str = "SELECT seq FROM sqlite_sequence WHERE name = 'frame'";
        let servers = match &self.storage {
            Storage::Files => None,
            Storage::Servers { nats, .. } => Some(nats.url()),
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
        let chosen = self.setting("DATABASE_URL").or_else(|| match &self.storage {
            Storage::Files => None,
            Storage::Servers { database_url, .. } => Some(database_url.clone()),
        });
        match chosen {
            Some(url) => url.parse().expect("a story's database has a valid URL"),
            None => DatabaseUrl::file(&self.audited_folder().join("store.sqlite")),
        }
    }

    fn audited_folder(&self) -> PathBuf {
        self.setting("WEIR_DATA_DIR").map_or_else(|| self.data_folder(), PathBuf::from)
    }

    /// The value of a variable that the story has set.
    pub(super) fn setting(&self, name: &str) -> Option<String> {
        self.settings.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }
}

async fn connected(url: DatabaseUrl) -> DatabaseConnection {
    connect(&url, Access::Read, Duration::ZERO).await.expect("the store is there")
}
