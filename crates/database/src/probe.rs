//! The probe of a server before its first use: it can be reached, is PostgreSQL, has a database in UTF-8, and gives
//! each session a connection of its own. The probe reports a database that can never work before a statement fails on
//! it.

use std::{fs, io, time::Duration};

use sqlx::{
    Connection as _, PgConnection, Row as _,
    postgres::{PgConnectOptions, PgSslMode},
};
use tokio::time::timeout;

use crate::{
    fault::{Cause, FaultKind, POOLER, StoreFault},
    url::{PostgresUrl, ServerName},
};

/// A healthy server connects within milliseconds; a cause must be reported within 5 s.
const LIMIT: Duration = Duration::from_secs(3);
/// A simple query: a pooler may execute a prepared statement on another connection.
const SESSION: &str = "SELECT pg_backend_pid(), current_setting('server_encoding')";

/// Probes the server within a few seconds.
///
/// # Errors
/// The fault that was found.
pub(crate) async fn probe(url: &PostgresUrl) -> Result<(), StoreFault> {
    let options = &url.options;
    check_files(url)?;
    let mut session = connect_within(options, LIMIT).await?;
    let found = timeout(LIMIT, find_cause(&mut session, options)).await;
    let cause =
        found.unwrap_or_else(|_| Err(no_answer())).map_err(|error| StoreFault::of_server(options, &error))?;
    drop(timeout(LIMIT, session.close()).await);
    cause.map_or(Ok(()), |cause| Err(StoreFault::new(ServerName(options), cause)))
}

/// Opens a session outside every pool, within `limit`.
///
/// # Errors
/// The server refuses it or does not answer in time.
pub(crate) async fn connect_within(
    options: &PgConnectOptions,
    limit: Duration,
) -> Result<PgConnection, StoreFault> {
    let connected = timeout(limit, PgConnection::connect_with(options)).await;
    connected.unwrap_or_else(|_| Err(no_answer())).map_err(|error| StoreFault::of_server(options, &error))
}

fn no_answer() -> sqlx::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the server does not answer").into()
}

/// Checks the files of TLS. sqlx reads them only where it needs them, and its errors name neither file nor parameter.
/// It takes a file without a certificate for an empty list.
fn check_files(url: &PostgresUrl) -> Result<(), StoreFault> {
    if matches!(url.options.get_ssl_mode(), PgSslMode::Disable | PgSslMode::Allow) {
        return Ok(());
    }
    for (name, path) in &url.files {
        let (kind, marker) = match *name {
            "sslkey" => ("private key", "PRIVATE KEY-----"),
            _ => ("certificate", "-----BEGIN CERTIFICATE-----"),
        };
        let problem = match fs::read(path) {
            Ok(content) if String::from_utf8_lossy(&content).contains(marker) => continue,
            Ok(_) => format!("holds no {kind} in PEM"),
            Err(error) => format!("can't be read ({error})"),
        };
        let text = format!("the file {} {problem}", path.display());
        let cause = Cause::new(FaultKind::Refused, text, format!("correct {name} in DATABASE_URL"));
        return Err(StoreFault::new(ServerName(&url.options), cause));
    }
    Ok(())
}

/// Finds an encoding or a pooler that Weir can't work with; `None` where there is neither.
async fn find_cause(
    session: &mut PgConnection,
    options: &PgConnectOptions,
) -> Result<Option<Cause>, sqlx::Error> {
    let (connection, encoding) = connection_of(session).await?;
    if encoding != "UTF8" {
        let text = format!("its encoding is {encoding}, and Weir needs UTF8");
        let remedy = "create a database WITH ENCODING 'UTF8' TEMPLATE template0, and name it in DATABASE_URL";
        return Ok(Some(Cause::new(FaultKind::Permanent, text, remedy)));
    }
    // One session alone shows nothing: a pooler gives it the connection that was free last.
    let Ok(mut other) = connect_within(options, LIMIT).await else { return Ok(None) };
    let (others, _) = connection_of(&mut other).await?;
    let mut is_shared = others == connection;
    for _ in 0..2 {
        is_shared |= connection_of(session).await?.0 != connection;
    }
    other.close().await?;
    Ok(is_shared.then(|| Cause::new(FaultKind::Permanent, "sessions share connections", POOLER)))
}

/// The server process behind a session, and the encoding of the database.
async fn connection_of(session: &mut PgConnection) -> Result<(i32, String), sqlx::Error> {
    let rows = sqlx::raw_sql(SESSION).fetch_all(session).await?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}
