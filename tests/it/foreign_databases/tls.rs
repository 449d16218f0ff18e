//! PostgreSQL with TLS: certificates of a private authority, and clients that must present one.

use weir_testkit::{
    Weir,
    postgres::{Certificates, Postgres, Setup},
};

use super::{becomes_ready, fails_at_once, reporting_with, reports_cause};

/// Every role must use TLS; the role `shown` needs a certificate.
const ADMITS: &[&str] = &[
    "hostssl all shown all cert",
    "hostssl all weir all trust",
    "hostnossl postgres weir all trust",
    "local all all trust",
];

async fn server(names: &str) -> (Postgres, Certificates) {
    let certificates = Certificates::of(names);
    let setup = Setup { certificates: Some(certificates.clone()), hba_lines: ADMITS, ..Setup::default() };
    let server = Postgres::start_with(setup).await;
    server.psql("postgres", "CREATE ROLE shown LOGIN; CREATE DATABASE weir;");
    (server, certificates)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_certificate_of_a_known_authority_is_used() {
    let (server, certificates) = server("DNS:localhost,IP:127.0.0.1").await;
    let root = certificates.path("ca.crt").display().to_string();
    let plain = format!("postgres://weir@127.0.0.1:{}/weir", server.port());
    let by_name = plain.replace("127.0.0.1", "localhost");
    let none = Vec::new();
    let mut migrated = false;
    for (query, address, settings) in [
        (format!("sslmode=verify-full&sslrootcert={root}"), &plain, none.clone()),
        (format!("sslmode=verify-ca&sslrootcert={root}"), &by_name, none.clone()),
        (format!("sslmode=require&sslrootcert={root}"), &by_name, none.clone()),
        ("sslmode=verify-full".to_owned(), &by_name, vec![("SSL_CERT_FILE", root.clone())]),
        ("sslmode=verify-full&sslrootcert=system".to_owned(), &plain, vec![("SSL_CERT_FILE", root.clone())]),
        ("sslmode=require".to_owned(), &plain, none.clone()),
    ] {
        let weir = reporting_with(&format!("{address}?{query}"), settings).await;
        if !migrated {
            let (status, output) = weir.run(&["migrate", "up"], &[]).await;
            assert!(status.success(), "{query}: {output}");
            migrated = true;
        }
        becomes_ready(&weir, "reporting").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_of_tls_is_reported_with_its_remedy() {
    let (server, certificates) = server("DNS:elsewhere").await;
    let root = certificates.path("ca.crt").display().to_string();
    let strangers = Certificates::of("DNS:stranger");
    let stranger = strangers.path("ca.crt").display().to_string();
    let address =
        |role: &str, query: &str| format!("postgres://{role}@127.0.0.1:{}/weir?{query}", server.port());
    let key = certificates.path("server.key").display().to_string();
    let cases: [(String, &[&str]); 9] = [
        (address("weir", "sslmode=verify-ca"), &["unknown authority", "sslrootcert", "SSL_CERT_FILE"]),
        (address("weir", &format!("sslmode=verify-full&sslrootcert={stranger}")), &["unknown authority"]),
        (address("weir", &format!("sslmode=require&sslrootcert={stranger}")), &["unknown authority"]),
        (
            address("weir", &format!("sslmode=verify-full&sslrootcert={root}")),
            &["another host name", "verify-ca"],
        ),
        (
            address("weir", "sslmode=verify-full&sslrootcert=/nowhere/ca.crt"),
            &["/nowhere/ca.crt", "sslrootcert"],
        ),
        (
            address("weir", &format!("sslmode=verify-full&sslrootcert={key}")),
            &["no certificate in PEM", "sslrootcert"],
        ),
        (address("weir", "sslmode=disable"), &["no encryption", "sslmode=require"]),
        (address("shown", "sslmode=require"), &["certificate", "sslcert"]),
        (address("weir", "sslcert=/nowhere/a.crt&sslkey=/nowhere/a.key"), &["/nowhere/a.crt", "sslcert"]),
    ];
    let weir = reporting_with(&address("weir", "sslmode=require"), Vec::new()).await;
    for (database_url, words) in &cases {
        fails_at_once(&weir, &["migrate", "status"], database_url, words).await;
    }
    let role = reporting_with(&cases[0].0, Vec::new()).await;
    reports_cause(&role, "reporting", cases[0].1).await;
    let missing = vec![("SSL_CERT_FILE", "/nowhere/roots.pem".to_owned())];
    let role = reporting_with(&cases[0].0, missing).await;
    reports_cause(&role, "reporting", &["unknown authority", "/nowhere/roots.pem"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_shows_its_certificate() {
    let (server, certificates) = server("IP:127.0.0.1").await;
    certificates.sign("shown", "/CN=shown", "DNS:shown");
    certificates.sign("another", "/CN=another", "DNS:another");
    let file = |name: &str| certificates.path(name).display().to_string();
    let address = |name: &str| {
        let files =
            format!("sslcert={}&sslkey={}", file(&format!("{name}.crt")), file(&format!("{name}.key")));
        format!(
            "postgres://shown@127.0.0.1:{}/weir?sslmode=verify-full&sslrootcert={}&{files}",
            server.port(),
            file("ca.crt")
        )
    };
    let weir: Weir = reporting_with(&address("shown"), Vec::new()).await;
    let (status, output) = weir.run(&["migrate", "status"], &[]).await;
    assert!(status.success(), "{output}");
    fails_at_once(&weir, &["migrate", "status"], &address("another"), &["certificate authentication failed"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_reported_where_tls_is_required() {
    let database_url = Postgres::shared().await.fresh_database_url().await + "?sslmode=require";
    let weir = reporting_with(&database_url, Vec::new()).await;
    reports_cause(&weir, "reporting", &["TLS is demanded", "sslmode=prefer", "DATABASE_URL"]).await;
    fails_at_once(&weir, &["reconcile"], &database_url, &["TLS is demanded"]).await;
}
