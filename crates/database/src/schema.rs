//! The check of the schema: it is there, this user may use it, and this build may write to it.

mod postgres;

use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, DbErr, Statement};

use crate::{
    fault::{Cause, Outlook, StoreFault, error_of},
    migrate::Applied,
    oldest_writer::{check_writer, oldest_writer},
    url::Named,
};

pub use watch::SchemaWatch;

/// The tables of an SQLite file.
const TABLES: &str = "SELECT name FROM sqlite_master WHERE type = 'table'";
/// What reports are answered from.
const READ: [&str; 14] = [
    "seaql_migrations",
    "events",
    "frames",
    "duplicates",
    "event_keys",
    "horizons",
    "erasures",
    "rollups",
    "campaign_rollups",
    "people",
    "people_aliases",
    "people_columns",
    "people_deltas",
    "people_sets",
];
/// What collectors read and change nothing of.
const READ_BY_COLLECTORS: [&str; 2] = ["seaql_migrations", "oldest_writer"];
/// What collectors write besides what reports read.
const WRITTEN: [&str; 6] =
    ["frame_totals", "erasure_keys", "settled_frames", "unaccounted_frames", "audits", "journal_states"];

/// What a process does with the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// It reads what reports need.
    Read,
    /// It stores and removes, as collectors do.
    Write,
}

impl Rights {
    /// Each table that is needed, and whether rows of it are changed.
    fn tables(self) -> Vec<(&'static str, bool)> {
        let only_read = |name: &str| self == Self::Read || READ_BY_COLLECTORS.contains(&name);
        let others = WRITTEN.iter().chain(&["oldest_writer"]).filter(|_| self == Self::Write);
        READ.iter().chain(others).map(|name| (*name, !only_read(name))).collect()
    }
}

/// Looks whether the store can be used as it is: every table, migration and right is there, and this build may write.
///
/// # Errors
/// What is wrong.
pub async fn check(database: &DatabaseConnection, rights: Rights) -> Result<(), StoreFault> {
    let found = find(database, rights).await;
    let cause = found.map_err(|error| fault_of(database, &error))?;
    cause.map_or(Ok(()), |cause| Err(placed(database, cause)))
}

async fn find(database: &DatabaseConnection, rights: Rights) -> Result<Option<Cause>, DbErr> {
    let missing = match database.get_database_backend() {
        DbBackend::Postgres => postgres::find(database, rights).await?,
        _ => find_in_file(database, rights).await?,
    };
    if missing.is_some() {
        return Ok(missing);
    }
    let applied = Applied::read(database).await?;
    if let Err(diverged) = applied.is_newer() {
        return Ok(Some(Cause::new(Outlook::Never, diverged.to_string(), "")));
    }
    if !applied.missing.is_empty() {
        let what = format!("it lacks {}", applied.lacking());
        return Ok(Some(Cause::new(Outlook::Schema, what, remedy(rights))));
    }
    if rights == Rights::Read {
        return Ok(None);
    }
    let refused = check_writer(oldest_writer(database).await?.as_deref()).err();
    Ok(refused.map(|refused| Cause::new(Outlook::Schema, refused.to_string(), "")))
}

/// Tables that are missing in an SQLite file, which knows no roles.
async fn find_in_file(database: &DatabaseConnection, rights: Rights) -> Result<Option<Cause>, DbErr> {
    let rows =
        database.query_all_raw(Statement::from_string(database.get_database_backend(), TABLES)).await?;
    let found: Vec<String> = rows.iter().map(|row| row.try_get("", "name")).collect::<Result<_, _>>()?;
    let needed = rights.tables().into_iter().map(|(name, _)| name);
    let missing: Vec<&str> = needed.filter(|name| !found.iter().any(|found| found == name)).collect();
    Ok((!missing.is_empty()).then(|| lacking(&missing, rights)))
}

/// Tables that are not there.
fn lacking(missing: &[&str], rights: Rights) -> Cause {
    let what = if missing.len() == rights.tables().len() {
        "it has no tables of Weir".to_owned()
    } else {
        format!("it lacks the tables {}", missing.join(", "))
    };
    // Where migrations are recorded, nothing makes their tables anew.
    let remedy = if missing.contains(&"seaql_migrations") {
        remedy(rights)
    } else {
        "restore them from a backup: the migrations that make them are recorded as applied"
    };
    Cause::new(Outlook::Schema, what, remedy)
}

fn remedy(rights: Rights) -> &'static str {
    match rights {
        Rights::Read => "`weir migrate up`, or a collector at its start, makes what is missing",
        Rights::Write => "restore them from a backup, or run `weir migrate up` to begin anew",
    }
}

pub(crate) fn placed(database: &DatabaseConnection, cause: Cause) -> StoreFault {
    match database.get_database_backend() {
        DbBackend::Postgres => {
            StoreFault::new(Named(&database.get_postgres_connection_pool().connect_options()), cause)
        }
        _ => {
            let options = database.get_sqlite_connection_pool().connect_options();
            StoreFault::new(format_args!("SQLite file {}", options.get_filename().display()), cause)
        }
    }
}

fn fault_of(database: &DatabaseConnection, error: &DbErr) -> StoreFault {
    let Some(reason) = error_of(error) else {
        return placed(database, Cause::new(Outlook::Away, error.to_string(), ""));
    };
    match database.get_database_backend() {
        DbBackend::Postgres => {
            StoreFault::of_server(&database.get_postgres_connection_pool().connect_options(), reason)
        }
        _ => {
            let options = database.get_sqlite_connection_pool().connect_options();
            StoreFault::of_file(format_args!("SQLite file {}", options.get_filename().display()), reason)
        }
    }
}
