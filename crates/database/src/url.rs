//! DATABASE_URL: the database and its location. No printed text has the password.

mod postgres;

use std::{fmt, path::Path, str::FromStr};

pub(crate) use postgres::PostgresUrl;
use sqlx::{postgres::PgConnectOptions, sqlite::SqliteConnectOptions};

/// The location of the store: `postgres://`, `postgresql://` or `sqlite://path`.
///
/// `Display` and `Debug` name the location and never the password.
///
/// ```
/// use weir_database::DatabaseUrl;
///
/// let url: DatabaseUrl = "postgres://weir:secret@db/events".parse()?;
/// assert_eq!(url.to_string(), "PostgreSQL database events at db:5432");
/// # Ok::<(), weir_database::UrlError>(())
/// ```
#[derive(Clone)]
pub struct DatabaseUrl(pub(crate) Location);

#[derive(Clone)]
pub(crate) enum Location {
    Postgres(Box<PostgresUrl>),
    Sqlite(Box<SqliteConnectOptions>),
}

/// Errors of a DATABASE_URL. No text repeats the URL, which may have a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The scheme names no database that Weir runs on.
    #[error("must start with postgres://, postgresql:// or sqlite://")]
    Scheme,
    /// The scheme is right and the rest is not a URL.
    #[error("is not a valid {database} URL")]
    Malformed { database: &'static str },
    /// One part is wrong, or not supported.
    #[error("{part} {problem}")]
    Part { part: &'static str, problem: String },
    /// Each connection would have a database of its own, and all of them would end with the process.
    #[error("must name a file: SQLite in memory keeps nothing")]
    InMemory,
}

impl DatabaseUrl {
    /// The SQLite file at `path`, which may have any characters.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        Self(Location::Sqlite(Box::new(SqliteConnectOptions::new().filename(path))))
    }

    /// Whether only one connection at a time can write. True of SQLite.
    #[must_use]
    pub fn has_one_writer(&self) -> bool {
        matches!(self.0, Location::Sqlite(_))
    }

    /// The SQLite file that the URL names; `None` for PostgreSQL.
    #[must_use]
    pub fn file_path(&self) -> Option<&Path> {
        match &self.0 {
            Location::Sqlite(options) => Some(options.get_filename()),
            Location::Postgres(_) => None,
        }
    }

    /// Whether the URL names an SQLite file that does not exist.
    #[must_use]
    pub fn is_missing_file(&self) -> bool {
        self.file_path().is_some_and(|file| !file.exists())
    }

    /// The names of parameters that Weir ignores, without their values, which may be secrets.
    #[must_use]
    pub fn ignored_parameters(&self) -> &[String] {
        match &self.0 {
            Location::Postgres(url) => &url.ignored,
            Location::Sqlite(_) => &[],
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        let (scheme, rest) = text.split_once(':').ok_or(UrlError::Scheme)?;
        match scheme {
            "postgres" | "postgresql" => {
                let rest = rest.strip_prefix("//").ok_or(UrlError::Malformed { database: "PostgreSQL" })?;
                Ok(Self(Location::Postgres(Box::new(PostgresUrl::parse(rest)?))))
            }
            "sqlite" => parse_sqlite(text, rest),
            _ => Err(UrlError::Scheme),
        }
    }
}

fn parse_sqlite(text: &str, rest: &str) -> Result<DatabaseUrl, UrlError> {
    let path = rest.trim_start_matches("//").split('?').next().unwrap_or_default();
    if path == ":memory:" || rest.contains("mode=memory") {
        return Err(UrlError::InMemory);
    }
    match text.parse() {
        Ok(options) if !path.is_empty() => Ok(DatabaseUrl(Location::Sqlite(Box::new(options)))),
        _ => Err(UrlError::Malformed { database: "SQLite" }),
    }
}

/// Names a database of a server and its location, never its password.
pub(crate) struct ServerName<'a>(pub(crate) &'a PgConnectOptions);

impl fmt::Display for ServerName<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = self.0;
        let database = options.get_database().unwrap_or(options.get_username());
        match options.get_socket() {
            Some(folder) => write!(formatter, "PostgreSQL database {database} in {}", folder.display()),
            None => {
                let (host, port) = (options.get_host(), options.get_port());
                write!(formatter, "PostgreSQL database {database} at {host}:{port}")
            }
        }
    }
}

/// Names an SQLite file by its path.
pub(crate) struct FileName<'a>(pub(crate) &'a SqliteConnectOptions);

impl fmt::Display for FileName<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SQLite file {}", self.0.get_filename().display())
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Location::Postgres(url) => ServerName(&url.options).fmt(formatter),
            Location::Sqlite(options) => FileName(options).fmt(formatter),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_databases_are_named_by_their_location() {
        for (text, shown) in [
            ("postgres://weir:secret@db:6432/events", "PostgreSQL database events at db:6432"),
            ("postgresql://weir@db/events\n", "PostgreSQL database events at db:5432"),
            ("postgres://weir@[::1]:6432/events", "PostgreSQL database events at ::1:6432"),
            ("postgres://weir:pw@/events?host=/run/pg", "PostgreSQL database events in /run/pg"),
            ("postgres://weir@%2Frun%2Fpostgresql/events", "PostgreSQL database events in /run/postgresql"),
            ("sqlite://data/weir.sqlite", "SQLite file data/weir.sqlite"),
            ("sqlite:///var/lib/weir.sqlite?mode=rwc", "SQLite file /var/lib/weir.sqlite"),
        ] {
            assert_eq!(text.parse::<DatabaseUrl>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn a_password_is_never_printed() {
        let url: DatabaseUrl = "postgres://weir:secret@db/events?password=secret".parse().unwrap();
        assert!(!format!("{url} {url:?}").contains("secret"));
        let error = "postgres://weir:secret@db:port/events".parse::<DatabaseUrl>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }

    #[test]
    fn a_url_without_a_database_is_refused_with_a_reason() {
        for (text, error) in [
            ("", UrlError::Scheme),
            ("events", UrlError::Scheme),
            ("mysql://db/events", UrlError::Scheme),
            ("postgres:events", UrlError::Malformed { database: "PostgreSQL" }),
            ("sqlite://", UrlError::Malformed { database: "SQLite" }),
            ("sqlite://weir.sqlite?mode=maybe", UrlError::Malformed { database: "SQLite" }),
            ("sqlite::memory:", UrlError::InMemory),
            ("sqlite://:memory:", UrlError::InMemory),
            ("sqlite://weir.sqlite?mode=memory", UrlError::InMemory),
        ] {
            assert_eq!(text.parse::<DatabaseUrl>().unwrap_err(), error, "{text}");
        }
    }
}
