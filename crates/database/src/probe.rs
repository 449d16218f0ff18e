//! The first look at a server: whether it can be reached, is PostgreSQL, has a database in UTF-8, and gives each session
//! a connection of its own. A database that can never work is told here, and not by the first statement that fails.

use std::{fs, io, time::Duration};

use sqlx::{
    Connection as _, PgConnection, Row as _,
    postgres::{PgConnectOptions, PgSslMode},
};
use tokio::time::timeout;

use crate::{
    fault::{Cause, Outlook, POOLER, StoreFault},
    url::{Named, PostgresUrl},
};

/// A server that is well connects within milliseconds; a cause has to be told within 5 s.
const LIMIT: Duration = Duration::from_secs(3);
/// Simple statements: what is prepared may be on another connection by the time it is executed.
const SESSION: &str = "SELECT pg_backend_pid(), current_setting('server_encoding')";

/// Looks at the server.
///
/// # Errors
/// What is wrong with it.
pub(crate) async fn probe(url: &PostgresUrl) -> Result<(), StoreFault> {
    let options = &url.options;
    check_files(url)?;
    let mut session = reach(options, LIMIT).await?;
    let looked = timeout(LIMIT, look(&mut session, options)).await;
    let cause =
        looked.unwrap_or_else(|_| Err(silent())).map_err(|error| StoreFault::of_server(options, &error))?;
    drop(timeout(LIMIT, session.close()).await);
    cause.map_or(Ok(()), |cause| Err(StoreFault::new(Named(options), cause)))
}

/// A session of its own, in time.
///
/// # Errors
/// Why there is none.
pub(crate) async fn reach(options: &PgConnectOptions, limit: Duration) -> Result<PgConnection, StoreFault> {
    let reached = timeout(limit, PgConnection::connect_with(options)).await;
    reached.unwrap_or_else(|_| Err(silent())).map_err(|error| StoreFault::of_server(options, &error))
}

fn silent() -> sqlx::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the server does not answer").into()
}

/// sqlx reads them where it needs them alone, and names neither file nor parameter. A file without a certificate it takes
/// for no certificates.
fn check_files(url: &PostgresUrl) -> Result<(), StoreFault> {
    if matches!(url.options.get_ssl_mode(), PgSslMode::Disable | PgSslMode::Allow) {
        return Ok(());
    }
    for (name, path) in &url.files {
        let (kind, mark) = match *name {
            "sslkey" => ("private key", "PRIVATE KEY-----"),
            _ => ("certificate", "-----BEGIN CERTIFICATE-----"),
        };
        let problem = match fs::read(path) {
            Ok(content) if String::from_utf8_lossy(&content).contains(mark) => continue,
            Ok(_) => format!("holds no {kind} in PEM"),
            Err(error) => format!("can't be read ({error})"),
        };
        let what = format!("the file {} {problem}", path.display());
        let cause = Cause::new(Outlook::Refused, what, format!("correct {name} in DATABASE_URL"));
        return Err(StoreFault::new(Named(&url.options), cause));
    }
    Ok(())
}

async fn look(session: &mut PgConnection, options: &PgConnectOptions) -> Result<Option<Cause>, sqlx::Error> {
    let (connection, encoding) = connection_of(session).await?;
    if encoding != "UTF8" {
        let what = format!("its encoding is {encoding}, and Weir needs UTF8");
        let remedy = "create a database WITH ENCODING 'UTF8' TEMPLATE template0, and name it in DATABASE_URL";
        return Ok(Some(Cause::new(Outlook::Never, what, remedy)));
    }
    // One session alone is told nothing: a pooler gives it what was free last.
    let Ok(mut other) = reach(options, LIMIT).await else { return Ok(None) };
    let (others, _) = connection_of(&mut other).await?;
    let mut is_shared = others == connection;
    for _ in 0..2 {
        is_shared |= connection_of(session).await?.0 != connection;
    }
    other.close().await?;
    Ok(is_shared.then(|| Cause::new(Outlook::Never, "sessions share connections", POOLER)))
}

/// The server's process behind a session, and the database's encoding.
async fn connection_of(session: &mut PgConnection) -> Result<(i32, String), sqlx::Error> {
    let rows = sqlx::raw_sql(SESSION).fetch_all(session).await?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}
