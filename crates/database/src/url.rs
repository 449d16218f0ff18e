//! DATABASE_URL, read once: which database, and where, without its password in anything that is printed.

mod postgres;

use std::{fmt, path::Path, str::FromStr};

pub(crate) use postgres::PostgresUrl;
use sqlx::{postgres::PgConnectOptions, sqlite::SqliteConnectOptions};

/// Where the store is: `postgres://`, `postgresql://` or `sqlite://path`.
///
/// `Display` and `Debug` name the place and never the password.
#[derive(Clone)]
pub struct DatabaseUrl(pub(crate) Place);

#[derive(Clone)]
pub(crate) enum Place {
    Postgres(Box<PostgresUrl>),
    Sqlite(Box<SqliteConnectOptions>),
}

/// Why a DATABASE_URL can't be one. The text never repeats the URL, which may carry a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Something else than the two databases.
    #[error("must start with postgres://, postgresql:// or sqlite://")]
    Scheme,
    /// The scheme is right and the rest is not.
    #[error("is not a valid {database} URL")]
    Malformed { database: &'static str },
    /// One part is wrong, or not supported.
    #[error("{part} {problem}")]
    Part { part: &'static str, problem: String },
    /// Each connection would have a database of its own, and all of them would be gone at exit.
    #[error("must name a file: SQLite in memory keeps nothing")]
    InMemory,
}

impl DatabaseUrl {
    /// The SQLite file at `path`, whatever characters that path has.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        Self(Place::Sqlite(Box::new(SqliteConnectOptions::new().filename(path))))
    }

    /// Whether only one connection at a time can write: true of SQLite.
    #[must_use]
    pub fn has_one_writer(&self) -> bool {
        matches!(self.0, Place::Sqlite(_))
    }

    /// Whether it is an SQLite file that is not there.
    #[must_use]
    pub fn is_missing_file(&self) -> bool {
        matches!(&self.0, Place::Sqlite(options) if !options.get_filename().exists())
    }

    /// The names of parameters that mean nothing here; their values may be secrets.
    #[must_use]
    pub fn ignored_parameters(&self) -> &[String] {
        match &self.0 {
            Place::Postgres(url) => &url.ignored,
            Place::Sqlite(_) => &[],
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
                Ok(Self(Place::Postgres(Box::new(PostgresUrl::parse(rest)?))))
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
        Ok(options) if !path.is_empty() => Ok(DatabaseUrl(Place::Sqlite(Box::new(options)))),
        _ => Err(UrlError::Malformed { database: "SQLite" }),
    }
}

/// A server's database by its place.
pub(crate) struct Named<'a>(pub(crate) &'a PgConnectOptions);

impl fmt::Display for Named<'_> {
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

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Postgres(url) => Named(&url.options).fmt(formatter),
            Place::Sqlite(options) => write!(formatter, "SQLite file {}", options.get_filename().display()),
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
    fn both_databases_are_told_by_their_place() {
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
    fn what_names_no_database_is_refused_with_a_reason() {
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
