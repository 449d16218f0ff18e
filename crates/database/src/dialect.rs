//! Dialects of SQL that Weir runs on, and the pool of connections behind a SeaORM connection.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};
use sqlx::{PgPool, SqlitePool};

/// A database that Weir runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// A server with many writers.
    Postgres,
    /// A file with one writer.
    Sqlite,
}

impl Dialect {
    /// The dialect of a connection or a transaction. `connect` opens no other database, so that the rest is SQLite.
    #[must_use]
    pub fn of(connection: &impl ConnectionTrait) -> Self {
        match connection.get_database_backend() {
            DbBackend::Postgres => Self::Postgres,
            _ => Self::Sqlite,
        }
    }

    /// The same as SeaORM names it.
    #[must_use]
    pub const fn backend(self) -> DbBackend {
        match self {
            Self::Postgres => DbBackend::Postgres,
            Self::Sqlite => DbBackend::Sqlite,
        }
    }

    /// The value of `db.system.name` in OpenTelemetry's conventions for databases.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgresql",
            Self::Sqlite => "sqlite",
        }
    }
}

/// The pool of sqlx behind a SeaORM connection. Cheap to clone; all clones share the connections.
#[derive(Clone, Debug)]
pub enum Pool {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

impl Pool {
    /// The pool that `database` takes its connections from.
    #[must_use]
    pub fn of(database: &DatabaseConnection) -> Self {
        match Dialect::of(database) {
            Dialect::Postgres => Self::Postgres(database.get_postgres_connection_pool().clone()),
            Dialect::Sqlite => Self::Sqlite(database.get_sqlite_connection_pool().clone()),
        }
    }

    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// Connections that are open, in use or idle.
    #[must_use]
    pub fn size(&self) -> u32 {
        match self {
            Self::Postgres(pool) => pool.size(),
            Self::Sqlite(pool) => pool.size(),
        }
    }

    /// Open connections that no statement uses.
    #[must_use]
    pub fn idle(&self) -> u32 {
        let idle = match self {
            Self::Postgres(pool) => pool.num_idle(),
            Self::Sqlite(pool) => pool.num_idle(),
        };
        u32::try_from(idle).unwrap_or(u32::MAX)
    }

    /// Connections that may be open at most.
    #[must_use]
    pub fn max_connections(&self) -> u32 {
        match self {
            Self::Postgres(pool) => pool.options().get_max_connections(),
            Self::Sqlite(pool) => pool.options().get_max_connections(),
        }
    }
}

/// Whether a table exists and this user can see it. `name` is a name of ours: it goes into the statement as it is.
pub(crate) async fn has_table(connection: &impl ConnectionTrait, name: &str) -> Result<bool, DbErr> {
    let dialect = Dialect::of(connection);
    let query = match dialect {
        Dialect::Postgres => format!("SELECT to_regclass('{name}') IS NOT NULL AS found"),
        Dialect::Sqlite => format!(
            "SELECT COUNT(*) > 0 AS found FROM sqlite_master WHERE type = 'table' AND name = '{name}'"
        ),
    };
    let row = connection.query_one_raw(Statement::from_string(dialect.backend(), query)).await?;
    row.map_or(Ok(false), |row| row.try_get("", "found"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Access, DatabaseUrl, connect};

    #[tokio::test]
    async fn a_file_has_one_writing_connection_and_four_reading_ones() {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::file(&folder.path().join("store.sqlite"));
        for (access, connections) in [(Access::Write, 1), (Access::Read, 4)] {
            let database = connect(&url, access, Duration::ZERO).await.unwrap();
            assert_eq!(Dialect::of(&database), Dialect::Sqlite);
            let pool = Pool::of(&database);
            assert_eq!((pool.dialect(), pool.max_connections()), (Dialect::Sqlite, connections));
            assert!(pool.idle() <= pool.size() && pool.size() <= connections);
        }
    }

    #[test]
    fn a_dialect_is_its_backend() {
        for dialect in [Dialect::Postgres, Dialect::Sqlite] {
            assert_eq!(dialect.backend() == DbBackend::Postgres, dialect == Dialect::Postgres);
        }
    }
}
