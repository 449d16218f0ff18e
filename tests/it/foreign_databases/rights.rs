//! Database roles with the rights that the runbook lists, and with fewer.

use std::fs;

use weir_event::Source;
use weir_testkit::repository::repository;
use weir_testkit::{Weir, events::with_id, eventually, postgres::Postgres};

use super::{becomes_ready, one_source, one_source_with, reporting, reports_cause};

/// The statements of the runbook: before the first migration, and where the tables exist.
fn statements() -> [String; 2] {
    let runbook = fs::read_to_string(repository("docs/runbook.md")).unwrap();
    let (_, section) = runbook.split_once("\n## PostgreSQL: roles and rights\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let blocks: Vec<String> = section
        .split("```sql\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap().to_owned())
        .collect();
    blocks.try_into().unwrap()
}

fn address(server: &Postgres, role: &str) -> String {
    format!("postgres://{role}@127.0.0.1:{}/weir", server.port())
}

/// A server with the runbook's roles.
async fn server() -> Postgres {
    let server = Postgres::start().await;
    server.psql("postgres", &statements()[0]);
    server
}

async fn migrate(weir: &Weir, server: &Postgres) {
    let owner = address(server, "weir_owner");
    let (status, output) = weir.run(&["migrate", "up"], &[("DATABASE_URL", &owner)]).await;
    assert!(status.success(), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_runs_with_the_rights_that_the_runbook_lists_and_changes_no_schema() {
    let server = server().await;
    let mut weir = one_source(&address(&server, "weir_collectors")).await;
    reports_cause(&weir, "collect-facebook", &["weir migrate up", "permission denied", "m20261122_000001"])
        .await;
    migrate(&weir, &server).await;
    becomes_ready(&weir, "collect-facebook").await;
    let before = server.log().lines().filter(|line| line.contains("permission denied")).count();
    let reader = address(&server, "weir_reporting");
    weir.join("reporting", &["reporting"], &[("DATABASE_URL", &reader)]).await;

    for id in ["one", "two", "one"] {
        assert_eq!(weir.post(&with_id(Source::Facebook, id)).await.status, 202);
    }
    eventually(async || match weir.reported_events().await {
        2 => Ok(()),
        other => Err(other),
    })
    .await;
    let read_only =
        server.psql("weir", "SET ROLE weir_reporting; SELECT has_table_privilege('events', 'INSERT');");
    assert_eq!(read_only.trim(), "f");
    let (status, output) = weir.run(&["reconcile"], &[("DATABASE_URL", &reader)]).await;
    assert!(status.success(), "{output}");
    let person = with_id(Source::Facebook, "one")["data"]["user"]["userId"].as_str().unwrap().to_owned();
    let (status, output) = weir.run(&["erase", "facebook", &person], &[]).await;
    assert!(status.success(), "{output}");
    let refused = server.log().lines().filter(|line| line.contains("permission denied")).count();
    assert_eq!(refused, before, "{}", server.log());
    weir.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_right_is_reported_until_it_is_granted_again() {
    let server = server().await;
    let mut weir = one_source(&address(&server, "weir_collectors")).await;
    becomes_live(&weir).await;
    migrate(&weir, &server).await;
    weir.ready().await;
    for (taken, given, named) in [
        (
            "REVOKE INSERT ON events FROM weir_collectors;",
            "GRANT INSERT ON events TO weir_collectors;",
            "events",
        ),
        (
            "REVOKE USAGE ON SCHEMA public FROM weir_collectors;",
            "GRANT USAGE ON SCHEMA public TO weir_collectors;",
            "schema",
        ),
    ] {
        server.psql("weir", taken);
        reports_cause(&weir, "collect-facebook", &["weir_collectors", named, "docs/runbook.md"]).await;
        server.psql("weir", given);
        weir.ready().await;
    }
    weir.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_may_not_open_segments_stores_on_and_names_the_right() {
    let server = server().await;
    let retention = vec![("EVENT_RETENTION", "5s".to_owned())];
    let mut weir = one_source_with(&address(&server, "weir_collectors"), retention).await;
    becomes_live(&weir).await;
    migrate(&weir, &server).await;
    server.psql("weir", "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM weir_collectors;");
    weir.ready().await;
    weir.post(&with_id(Source::Facebook, "one")).await.expect_accepted(1, 0);
    eventually(async || match weir.log() {
        log if log.contains("GRANT EXECUTE") && log.contains("docs/runbook.md") => Ok(()),
        _ => Err("the log does not name the right"),
    })
    .await;
    weir.post(&with_id(Source::Facebook, "two")).await.expect_accepted(1, 0);
    let rows = || server.psql("weir", "SELECT count(*) FROM events;").trim().to_owned();
    eventually(async || if rows() == "2" { Ok(()) } else { Err(rows()) }).await;
    server.psql("weir", &statements()[1]);
    // Segments are opened and removed again.
    eventually(async || if rows() == "0" { Ok(()) } else { Err(rows()) }).await;
    weir.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reporting_waits_for_its_rights_and_names_them() {
    let server = server().await;
    let weir = reporting(&address(&server, "weir_reporting")).await;
    reports_cause(&weir, "reporting", &["weir migrate up"]).await;
    let reader = "ALTER DEFAULT PRIVILEGES FOR ROLE weir_owner IN SCHEMA public REVOKE SELECT ON TABLES FROM weir_reporting;";
    server.psql("weir", reader);
    migrate(&weir, &server).await;
    reports_cause(&weir, "reporting", &["SELECT", "events", "weir_reporting"]).await;
    server.psql("weir", &statements()[1]);
    becomes_ready(&weir, "reporting").await;
}

async fn becomes_live(weir: &Weir) {
    reports_cause(weir, "collect-facebook", &["weir migrate up"]).await;
}
