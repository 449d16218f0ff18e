//! TLS to NATS: certificates of servers and clients, and servers that demand or lack them.

use std::{fs, path::Path};

use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;
use weir_testkit::nats::{Authority, Certificate};

use super::*;

const LOOPBACK: &str = "127.0.0.1";

fn in_a_year() -> DateTime<Utc> {
    Utc::now() + TimeDelta::days(365)
}

/// The configuration of a server with TLS. With `clients` the server demands a certificate of that authority.
fn tls(server: &Certificate, clients: Option<&Authority>) -> String {
    let verify = clients
        .map_or_else(String::new, |authority| format!(", ca_file: {:?}, verify: true", authority.file()));
    format!("tls {{ cert_file: {:?}, key_file: {:?}{verify} }}", server.certificate, server.key)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn url(scheme: &str, host: &str, nats: &Nats) -> (&'static str, String) {
    ("NATS_URL", format!("{scheme}://{host}:{}", nats.port()))
}

fn authority() -> (TempDir, Authority) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ours");
    (folder, authority)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_verified_by_the_ca_of_nats_ca_and_a_client_by_its_certificate() {
    let (_folder, authority) = authority();
    let (server, client) =
        (authority.certify(&[LOOPBACK], in_a_year()), authority.certify(&["weir"], in_a_year()));
    let nats = Nats::configured("", &tls(&server, Some(&authority))).await;
    let settings = vec![
        url("tls", LOOPBACK, &nats),
        ("NATS_CA", shown(&authority.file())),
        ("NATS_CERT", shown(&client.certificate)),
        ("NATS_KEY", shown(&client.key)),
    ];
    let weir = up(nats, settings).await;
    expect_stored(&weir, "by-certificate").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_changes_is_read_again_at_the_next_connection() {
    let (folder, ours) = authority();
    let theirs = Authority::new(folder.path(), "theirs");
    let file = folder.path().join("trusted.pem");
    fs::copy(ours.file(), &file).unwrap();
    let server = ours.certify(&[LOOPBACK], in_a_year());
    let nats = Nats::configured("", &tls(&server, None)).await;
    let settings = vec![url("nats", LOOPBACK, &nats), ("NATS_CA", shown(&file))];
    let mut weir = up(nats, settings).await;
    expect_stored(&weir, "of-the-first-ca").await;
    let other = theirs.certify(&[LOOPBACK], in_a_year());
    weir.nats().kill();
    fs::copy(&other.certificate, &server.certificate).unwrap();
    fs::copy(&other.key, &server.key).unwrap();
    weir.nats().start_again().await;
    expect_reported_at_once(&weir, "up", &[LOOPBACK, "unknown CA", "NATS_CA"]).await;
    fs::copy(theirs.file(), &file).unwrap();
    expect_stored(&weir, "of-the-second-ca").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_tls_are_reported_at_once() {
    let (folder, ours) = authority();
    let theirs = Authority::new(folder.path(), "theirs");
    let right = ours.certify(&[LOOPBACK], in_a_year());
    let ca = || ("NATS_CA", shown(&ours.file()));
    let shows = |client: &Certificate| {
        vec![ca(), ("NATS_CERT", shown(&client.certificate)), ("NATS_KEY", shown(&client.key))]
    };
    for (lines, scheme, settings, parts) in [
        (tls(&right, None), "nats", vec![], ["unknown CA", "NATS_CA"]),
        (tls(&right, None), "tls", vec![("NATS_CA", shown(&theirs.file()))], ["unknown CA", "NATS_CA"]),
        (
            tls(&ours.certify(&["elsewhere"], in_a_year()), None),
            "nats",
            vec![ca()],
            ["another name", "NATS_URL"],
        ),
        (
            tls(&ours.certify(&[LOOPBACK, "late"], Utc::now() - TimeDelta::days(2)), None),
            "nats",
            vec![ca()],
            ["expired", "renew"],
        ),
        (tls(&right, Some(&ours)), "nats", vec![ca()], ["client certificate", "NATS_CERT"]),
        (
            tls(&right, Some(&ours)),
            "nats",
            shows(&theirs.certify(&["weir"], in_a_year())),
            ["client", "NATS_CERT"],
        ),
        (String::new(), "tls", vec![], ["offers no TLS", "nats://"]),
        (String::new(), "nats", vec![ca()], ["offers no TLS", "NATS_CA"]),
    ] {
        let nats = Nats::configured("", &lines).await;
        let mut settings: Settings = settings;
        settings.push(url(scheme, LOOPBACK, &nats));
        let weir = ingest(nats, settings).await;
        expect_reported_at_once(&weir, "ingest", &[LOOPBACK, parts[0], parts[1]]).await;
    }
}
