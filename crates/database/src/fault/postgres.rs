//! Refusals by a PostgreSQL server, or by a pooler in front of it.

use sqlx::postgres::{PgConnectOptions, PgDatabaseError};

use super::cause::{Cause, FaultKind, POOLER, RIGHTS};

/// The cause of a refusal, by its SQLSTATE (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
pub(super) fn cause(refusal: &PgDatabaseError, options: &PgConnectOptions) -> Cause {
    let (code, message) = (refusal.code(), refusal.message());
    let detail = refusal.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
    let what = format!("{message}{detail} [{code}]");
    let (outlook, remedy) = match code {
        "28P01" => (FaultKind::Refused, "set the right user and password in DATABASE_URL".to_owned()),
        "28000" => (FaultKind::Refused, authorization(message)),
        "3D000" => {
            let database = options.get_database().unwrap_or(options.get_username());
            (
                FaultKind::Refused,
                format!("create the database {database}, or name another one in DATABASE_URL"),
            )
        }
        "42501" | "3F000" => (FaultKind::Schema, RIGHTS.to_owned()),
        "53300" => (
            FaultKind::Unavailable,
            "raise max_connections or the role's limit, or end other sessions".to_owned(),
        ),
        "57P03" | "57P01" | "57P02" => (FaultKind::Unavailable, "it is waited for".to_owned()),
        "55000" => (FaultKind::Refused, "allow connections to the database".to_owned()),
        "42P01" => (FaultKind::Schema, "run `weir migrate up` as the owner of the tables".to_owned()),
        "25006" => (FaultKind::Schema, "name the primary, with a session that may write".to_owned()),
        // The pooler holds a prepared statement of another session, or left this session's on another connection.
        "42P05" | "26000" => return Cause::new(FaultKind::Permanent, what, POOLER),
        _ if message.contains("startup parameter") => (
            FaultKind::Refused,
            "take it out of DATABASE_URL, or list it in the pooler's ignore_startup_parameters".to_owned(),
        ),
        _ => (FaultKind::Refused, "see the server's log".to_owned()),
    };
    Cause::new(outlook, what, remedy)
}

fn authorization(message: &str) -> String {
    let remedy = if message.contains("certificate") {
        "name a client certificate and its key by sslcert and sslkey in DATABASE_URL"
    } else if message.contains("no encryption") {
        "TLS is demanded: set sslmode=require in DATABASE_URL, or let pg_hba.conf admit connections without it"
    } else if message.contains("pg_hba.conf") {
        "admit this user, database and address in pg_hba.conf"
    } else {
        "create the role with LOGIN, or name another user in DATABASE_URL"
    };
    remedy.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refused_authorization_has_its_remedy() {
        for (message, remedy) in [
            ("connection requires a valid client certificate", "sslcert"),
            (
                "no pg_hba.conf entry for host \"::1\", user \"a\", database \"b\", no encryption",
                "sslmode=require",
            ),
            (
                "no pg_hba.conf entry for host \"::1\", user \"a\", database \"b\", SSL encryption",
                "pg_hba.conf",
            ),
            ("role \"a\" is not permitted to log in", "LOGIN"),
        ] {
            assert!(authorization(message).contains(remedy), "{message}");
        }
    }
}
