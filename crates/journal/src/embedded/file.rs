//! The file `journal.db`: lock, options, schema and format.

use std::{fs::File, path::Path, time::Duration};

use sqlx::{
    ConnectOptions as _, Connection as _, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::error::JournalError;

/// `weir` in ASCII. It marks the file as a journal among SQLite files.
const APPLICATION_ID: i64 = 0x7765_6972;
/// The format that this build writes. It upgrades a file of an earlier format. A new format is necessary only if a build
/// of the format before must not open the file: indexes and nullable columns are no reason (docs/upgrades.md).
const FORMAT: i64 = 2;
/// Connections that read: two for the consumers, one for other reads.
const READERS: u32 = 3;
/// Pages of 4 KiB after which SQLite copies the write-ahead log into the file: 16 MiB, so that the fsyncs of this copying
/// are rare.
const CHECKPOINT_PAGES: &str = "4096";
/// The most bytes that the write-ahead log's file keeps after it was copied: 64 MiB.
const LOG_BYTES: &str = "67108864";

/// `payload` is the last column: SQLite reads the columns before it without its overflow pages.
/// The fingerprint of a letter is null if the letter is parked or was appended in format 1.
/// `waiting` has one narrow row per unacknowledged frame, so that an acknowledgement never rewrites a frame. `offers`
/// counts the frame's deliveries.
const SCHEMA: &str = "
    CREATE TABLE frame (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        frame_id TEXT NOT NULL UNIQUE,
        source INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        stored_at INTEGER NOT NULL, -- microseconds since 1970
        payload BLOB NOT NULL
    ) STRICT;
    CREATE INDEX frame_by_source ON frame (source, sequence, bytes);
    CREATE TABLE waiting (
        sequence INTEGER PRIMARY KEY,
        source INTEGER NOT NULL,
        offers INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX waiting_by_source ON waiting (source, sequence);
    CREATE TABLE rejected (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        subject TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        stored_at INTEGER NOT NULL,
        fingerprint BLOB,
        payload BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX rejected_fingerprint ON rejected (fingerprint);
    CREATE INDEX rejected_bytes ON rejected (sequence, bytes);
    CREATE TABLE parked (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        subject TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        stored_at INTEGER NOT NULL,
        fingerprint BLOB,
        payload BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX parked_fingerprint ON parked (fingerprint);
    CREATE INDEX parked_bytes ON parked (sequence, bytes);
    PRAGMA application_id = 2003134834;
    PRAGMA user_version = 2;
";

/// Upgrades format 1 to 2: the journal recognises letters that are appended from now on when they are posted again.
const FINGERPRINTS: &str = "
    ALTER TABLE rejected ADD COLUMN fingerprint BLOB;
    CREATE UNIQUE INDEX rejected_fingerprint ON rejected (fingerprint);
    ALTER TABLE parked ADD COLUMN fingerprint BLOB;
    CREATE UNIQUE INDEX parked_fingerprint ON parked (fingerprint);
    PRAGMA user_version = 2;
";

/// Additions to a file of any build of this format. An older build maintains them without knowing them. The first build
/// that supports the identity creates it at random, once. `clock` has one row: the time that was recorded last.
const ADDITIONS: &str = "
    CREATE TABLE IF NOT EXISTS identity (number INTEGER NOT NULL) STRICT;
    INSERT INTO identity SELECT random() WHERE NOT EXISTS (SELECT 1 FROM identity);
    CREATE TABLE IF NOT EXISTS clock (
        number INTEGER PRIMARY KEY CHECK (number = 1),
        wall INTEGER NOT NULL, -- microseconds since 1970
        boot TEXT NOT NULL,
        uptime INTEGER NOT NULL, -- milliseconds
        leap INTEGER NOT NULL, -- microseconds
        held INTEGER NOT NULL -- milliseconds of running
    ) STRICT;
    CREATE INDEX IF NOT EXISTS rejected_by_subject ON rejected (subject, sequence);
    CREATE INDEX IF NOT EXISTS parked_by_subject ON parked (subject, sequence);
";

/// An open journal file.
pub(super) struct JournalFile {
    pub(super) writer: SqliteConnection,
    pub(super) readers: SqlitePool,
    /// Identifies the file among all journals.
    pub(super) identity: i64,
    /// The writer holds the lock until it ends.
    pub(super) lock: File,
}

/// Locks and opens the file, or creates it.
///
/// # Errors
/// Another process has the file open, the folder can't be written, or the file is no journal.
pub(super) async fn open(folder: &Path) -> Result<JournalFile, JournalError> {
    let unusable = |what: &dyn std::fmt::Display| {
        JournalError::Unusable(format!("{}: {what}", folder.join("journal.db").display()))
    };
    let lock = lock(folder).map_err(|error| unusable(&error))?;
    let options = options(folder);
    let mut writer = SqliteConnection::connect_with(&options).await.map_err(|error| unusable(&error))?;
    prepare(&mut writer).await.map_err(|error| unusable(&error))?;
    let identity = sqlx::query_scalar("SELECT number FROM identity").fetch_one(&mut writer).await;
    let identity = identity.map_err(|error| unusable(&error))?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .test_before_acquire(false)
        .connect_lazy_with(options.pragma("query_only", "ON"));
    Ok(JournalFile { writer, readers, identity, lock })
}

/// Opens the file of a journal that another process owns, without a lock.
///
/// # Errors
/// There is no file, or it is no journal.
pub(super) async fn open_read_only(folder: &Path) -> Result<SqlitePool, JournalError> {
    let unusable = |what: &dyn std::fmt::Display| {
        JournalError::Unusable(format!("{}: {what}", folder.join("journal.db").display()))
    };
    let options = options(folder).create_if_missing(false).pragma("query_only", "ON");
    let readers = SqlitePoolOptions::new().max_connections(READERS).connect_with(options).await;
    let readers = readers.map_err(|error| unusable(&error))?;
    let application: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&readers)
        .await
        .map_err(|error| unusable(&error))?;
    if application == APPLICATION_ID { Ok(readers) } else { Err(unusable(&"it is no journal")) }
}

fn lock(folder: &Path) -> Result<File, String> {
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let file = File::create(folder.join("journal.lock")).map_err(|error| error.to_string())?;
    file.try_lock().map_err(|error| format!("another process has it open: {error}"))?;
    Ok(file)
}

fn options(folder: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(folder.join("journal.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // One fsync per commit: an acknowledged append survives a power loss.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        // SQLite overwrites removed content in pages that it writes anyway.
        .pragma("secure_delete", "FAST")
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("journal_size_limit", LOG_BYTES)
        .disable_statement_logging()
}

/// Creates the tables in a new file and upgrades those of an older one.
///
/// # Errors
/// The file is no journal, or its format is newer than this build.
async fn prepare(connection: &mut SqliteConnection) -> Result<(), String> {
    let text = |error: sqlx::Error| error.to_string();
    let application: i64 =
        sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await.map_err(text)?;
    let format: i64 =
        sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await.map_err(text)?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_master")
        .fetch_one(&mut *connection)
        .await
        .map_err(text)?;
    match (application, format, tables) {
        (APPLICATION_ID, FORMAT, _) => {}
        (APPLICATION_ID, 1, _) => change(connection, FINGERPRINTS).await.map_err(text)?,
        (0, 0, 0) => change(connection, SCHEMA).await.map_err(text)?,
        (APPLICATION_ID, newer, _) => {
            return Err(format!("it has format {newer}, this build reads {FORMAT}"));
        }
        _ => return Err("it is no journal".to_owned()),
    }
    sqlx::raw_sql(ADDITIONS).execute(connection).await.map_err(text)?;
    Ok(())
}

async fn change(connection: &mut SqliteConnection, statements: &'static str) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::raw_sql(statements).execute(&mut *transaction).await?;
    transaction.commit().await
}
