//! Causes are reported at once: in the log, in the ready probe and by the tools.

use tokio::net::TcpListener;
use weir_testkit::{
    nats::Nats,
    ports,
    postgres::{Postgres, Setup},
};

use super::{becomes_ready, errors, fails_at_once, reporting, reporting_with, reports_cause};

/// Every role but the owner needs a password; the role `foreign` is not admitted.
const ADMITS: &[&str] = &[
    "local all all trust",
    "host all weir all trust",
    "host all foreign all reject",
    "host all all all scram-sha-256",
];

const SECRET: &str = "se-cr-et";

async fn server() -> Postgres {
    let server = Postgres::start_with(Setup { hba_lines: ADMITS, ..Setup::default() }).await;
    server.psql(
        "postgres",
        "CREATE ROLE known LOGIN PASSWORD 'right'; CREATE ROLE locked NOLOGIN PASSWORD 'right'; CREATE ROLE foreign_role; \
         CREATE ROLE limited LOGIN PASSWORD 'right' CONNECTION LIMIT 0; CREATE DATABASE weir; \
         CREATE DATABASE closed; REVOKE CONNECT ON DATABASE closed FROM PUBLIC; \
         CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0; \
         CREATE DATABASE bytes ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;",
    );
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn each_cause_is_reported_at_once_with_location_and_remedy() {
    let server = server().await;
    let at = |user: &str, database: &str| {
        format!("postgres://{user}:{SECRET}@127.0.0.1:{}/{database}", server.port())
    };
    let right = |user: &str, database: &str| at(user, database).replace(SECRET, "right");
    let place = format!("127.0.0.1:{}", server.port());
    let nats = Nats::start().await;
    let http = ports::free();
    let serving = bad_request_server(http).await;
    let port_of = |url: String| url.rsplit(':').next().unwrap().trim_matches('/').to_owned();
    let cases: Vec<(String, Vec<&str>)> = vec![
        (at("known", "weir"), vec![&place, "password authentication failed", "DATABASE_URL"]),
        (at("nobody", "weir"), vec!["password authentication failed", "nobody"]),
        (right("locked", "weir"), vec!["not permitted to log in", "LOGIN"]),
        (right("foreign", "weir"), vec!["pg_hba.conf", "foreign"]),
        (right("limited", "weir"), vec!["too many connections"]),
        (right("known", "closed"), vec!["permission denied for database"]),
        (right("weir", "nowhere"), vec!["nowhere", "does not exist", "create the database"]),
        (
            format!("postgres://weir@127.0.0.1:{}/weir", ports::free()),
            vec!["connection refused", "start the server"],
        ),
        ("postgres://weir@no-such-host.invalid/weir".to_owned(), vec!["no-such-host.invalid", "unknown"]),
        (format!("postgres://weir@127.0.0.1:{http}/weir"), vec!["not PostgreSQL", "HTTP"]),
        (format!("postgres://weir@127.0.0.1:{}/weir", port_of(nats.url())), vec!["not PostgreSQL", "NATS"]),
        ("postgres://weir@%2Fnowhere/weir".to_owned(), vec!["/nowhere", "socket"]),
    ];
    for (database_url, words) in &cases {
        let weir = reporting(database_url).await;
        let reason = reports_cause(&weir, "reporting", words).await;
        assert!(!weir.log().contains(SECRET) && !reason.contains(SECRET), "{}", weir.log());
        assert_eq!(errors(&weir, "reporting").len(), 1, "logged once: {}", weir.log());
        let output = fails_at_once(&weir, &["migrate", "up"], database_url, words).await;
        assert!(!output.contains(SECRET), "{output}");
    }
    let weir = reporting(&cases[0].0).await;
    fails_at_once(&weir, &["reconcile"], &cases[7].0, &cases[7].1).await;
    let reason = reports_cause(&weir, "reporting", &cases[0].1).await;
    assert!(reason.contains(&place));
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cause_that_an_operator_removes_needs_no_restart() {
    let server = server().await;
    // No line has a secret, at any log level.
    let verbose = vec![("LOG_LEVEL", "trace,sqlx=trace,sea_orm=trace".to_owned())];
    let database_url = format!("postgres://known:{SECRET}@127.0.0.1:{}/weir", server.port());
    let weir = reporting_with(&database_url, verbose).await;
    reports_cause(&weir, "reporting", &["password authentication failed"]).await;
    server.psql("weir", &format!("ALTER ROLE known PASSWORD '{SECRET}';"));
    reports_cause(&weir, "reporting", &["weir migrate up"]).await;
    let owner = format!("postgres://weir@127.0.0.1:{}/weir", server.port());
    let (status, output) = weir.run(&["migrate", "up"], &[("DATABASE_URL", &owner)]).await;
    assert!(status.success(), "{output}");
    server.psql("weir", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO known;");
    becomes_ready(&weir, "reporting").await;
    assert!(!weir.log().contains(SECRET), "{}", weir.log());
    server.psql("weir", "ALTER ROLE known PASSWORD 'rotated';");
    server.end_sessions("weir");
    reports_cause(&weir, "reporting", &["password authentication failed"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_encoding_is_refused_by_every_role_and_tool() {
    let server = server().await;
    for (database, encoding) in [("latin", "LATIN1"), ("bytes", "SQL_ASCII")] {
        let database_url = format!("postgres://weir@127.0.0.1:{}/{database}", server.port());
        let mut weir = super::one_source(&database_url).await;
        assert_eq!(weir.exit_of("collect-facebook").await.code(), Some(1));
        let words = [encoding, "UTF8", "DATABASE_URL"];
        for tool in [&["migrate", "up"][..], &["reconcile"], &["reporting"], &["collect", "all"], &["up"]] {
            fails_at_once(&weir, tool, &database_url, &words).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_names_the_wrong_part_of_an_address_and_a_warning_each_unknown_parameter() {
    let database_url = Postgres::shared().await.fresh_database_url().await;
    let weir = reporting(&format!("{database_url}?connect_timeout=3&sslpassword={SECRET}&foo=1")).await;
    reports_cause(&weir, "reporting", &["no tables"]).await;
    let log = weir.log();
    for name in ["connect_timeout", "sslpassword", "foo"] {
        let warned = log
            .lines()
            .any(|line| line.contains(r#""level":"warn""#) && line.contains(&format!("parameter {name} ")));
        assert!(warned, "{name}: {log}");
    }
    assert!(!log.contains(SECRET), "{log}");
    for (wrong, words) in [
        (format!("postgres://weir:{SECRET}/x@db/weir"), ["password", "%2F"]),
        (format!("postgres://weir:12/{SECRET}@db/weir"), ["password", "%2F"]),
        (format!("postgres://weir:{SECRET}#x@db/weir"), ["password", "%23"]),
        ("postgres://weir@one,two/weir".to_owned(), ["DATABASE_URL", "several hosts"]),
        (
            "postgres://weir@db/weir?target_session_attrs=read-write".to_owned(),
            ["target_session_attrs", "primary"],
        ),
        ("postgres://weir@db:x/weir".to_owned(), ["DATABASE_URL", "port"]),
    ] {
        for command in [&["reporting"][..], &["migrate", "up"]] {
            let (status, output) = weir.run(command, &[("DATABASE_URL", &wrong)]).await;
            assert_eq!(status.code(), Some(64), "{wrong}: {output}");
            assert!(
                words.iter().all(|word| output.contains(word)) && !output.contains(SECRET),
                "{wrong}: {output}"
            );
        }
    }
}

/// A server that answers every request with an HTTP error.
async fn bad_request_server(port: u16) -> tokio::task::JoinHandle<()> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 8];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
        }
    })
}
