//! Causes that ingest reports: servers without JetStream, accounts with too few limits or rights, and addresses without
//! a nats-server.

use tokio::net::TcpListener;
use weir_testkit::ports;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_or_an_account_without_jetstream_is_reported_at_once() {
    let weir = ingest(Nats::without_jetstream().await, vec![]).await;
    expect_reported_at_once(&weir, "ingest", &["has no JetStream", "--jetstream"]).await;

    let accounts = r#"accounts {
        KEEPS { jetstream: enabled, users: [ { user: "keeper", password: "right" } ] }
        LACKS { users: [ { user: "weir", password: "right" } ] }
    }"#;
    let nats = Nats::configured("", accounts).await;
    let url = nats.url_with("weir:right");
    let weir = ingest(nats, vec![("NATS_URL", url)]).await;
    expect_reported_at_once(&weir, "ingest", &["account", "enable JetStream"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_an_account_are_reported_with_their_remedy() {
    for (limits, parts) in [
        ("{ max_file: 1G }", ["EVENTS", "JOURNAL_MAX_BYTES"]),
        ("{ max_file: 64G, max_streams: 2 }", ["streams", "raise the account's limits"]),
        ("{ max_file: 64G, max_consumers: 1 }", ["consumers", "raise the account's limits"]),
    ] {
        let users = r#"users: [ { user: "weir", password: "right" } ]"#;
        let nats = Nats::configured(
            "max_file_store: 64G",
            &format!("accounts {{ W {{ jetstream: {limits}, {users} }} }}"),
        )
        .await;
        let url = nats.url_with("weir:right");
        let weir = ingest(nats, vec![("NATS_URL", url)]).await;
        expect_reported_at_once(&weir, "ingest", &parts).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_of_a_user_is_reported_by_name() {
    for (rights, subject) in [
        (r#"publish: { deny: "$JS.API.STREAM.INFO.*" }"#, "$JS.API.STREAM.INFO.EVENTS"),
        (r#"publish: { deny: "$JS.API.STREAM.CREATE.*" }"#, "$JS.API.STREAM.CREATE.EVENTS"),
        (r#"subscribe: { deny: "_INBOX.>" }"#, "_INBOX"),
    ] {
        let user = format!(
            r#"authorization {{ users: [ {{ user: weir, password: right, permissions: {{ {rights} }} }} ] }}"#
        );
        let nats = Nats::configured("", &user).await;
        let url = nats.url_with("weir:right");
        let weir = ingest(nats, vec![("NATS_URL", url)]).await;
        expect_reported_at_once(
            &weir,
            "ingest",
            &["Permissions Violation", &subject.replace('"', ""), "docs/runbook.md"],
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_without_a_nats_server_is_reported_at_once() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nats = Nats::start().await;
    let (monitor, silent) = (nats.monitor_url(), silent.local_addr().unwrap().port());
    let http = monitor.rsplit(':').next().unwrap().to_owned();
    for (host, parts) in [
        (format!("127.0.0.1:{}", ports::free()), ["refuses connections", "start nats-server"]),
        (format!("127.0.0.1:{http}"), ["answers HTTP", "client port"]),
        (format!("127.0.0.1:{silent}"), ["says nothing", "no nats-server"]),
        ("nowhere.invalid:4222".to_owned(), ["can't be resolved", "NATS_URL"]),
    ] {
        let weir = ingest(Nats::start().await, vec![("NATS_URL", format!("nats://{host}"))]).await;
        expect_reported_at_once(&weir, "ingest", &[&host, parts[0], parts[1]]).await;
        // A command reports the same, and ends.
        let (status, output) = weir.run(&["journal", "status"], &[]).await;
        assert!(!status.success() && output.contains(parts[0]), "{output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_monitor_is_reported_with_its_answer() {
    for (path, parts) in [("/elsewhere/", ["/elsewhere/varz", "404"]), ("/healthz?", ["varz", "404"])] {
        let nats = Nats::start().await;
        let url = format!("{}{}", nats.monitor_url(), path.trim_end_matches('?'));
        let weir = ingest(nats, vec![("NATS_MONITOR_URL", url)]).await;
        expect_warning(&weir, &[parts[0], parts[1], "NATS_MONITOR_URL"]).await;
    }
    let nats = Nats::start().await;
    let url = format!("http://127.0.0.1:{}", nats.port());
    let weir = ingest(nats, vec![("NATS_MONITOR_URL", url)]).await;
    expect_warning(&weir, &["no HTTP", "NATS_MONITOR_URL"]).await;
    let weir = ingest(
        Nats::start().await,
        vec![("NATS_MONITOR_URL", format!("http://127.0.0.1:{}", ports::free()))],
    )
    .await;
    expect_warning(&weir, &["refuses connections", "NATS_MONITOR_URL"]).await;
}

/// Expects that ingest is ready all the same, and reports all parts in its log and its ready probe.
async fn expect_warning(weir: &Weir, parts: &[&str]) {
    eventually(async || {
        let url = format!("http://{}/health/ready", weir.addresses.admin_of("ingest"));
        let answer = reqwest::get(url).await.map_err(|error| error.to_string())?;
        let ready = answer.status().is_success();
        let probed = answer.text().await.map_err(|error| error.to_string())?;
        let log = weir.log();
        let has_all = |text: &str| parts.iter().all(|part| text.contains(part));
        if ready && has_all(&probed) && log.lines().any(has_all) {
            Ok(())
        } else {
            Err(format!("{parts:?} are not reported: {probed} {log}"))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_of_a_jetstream_domain_is_found_by_its_name() {
    let nats = Nats::configured("domain: hub", "").await;
    let weir = up(nats, vec![("NATS_JETSTREAM_DOMAIN", "hub".to_owned())]).await;
    expect_stored(&weir, "in-a-domain").await;
    let weir = ingest(
        Nats::configured("domain: hub", "").await,
        vec![("NATS_JETSTREAM_DOMAIN", "other".to_owned())],
    )
    .await;
    expect_reported_at_once(&weir, "ingest", &["NATS_JETSTREAM_DOMAIN"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_that_may_not_append_is_not_ready_and_names_the_missing_right() {
    let user = r#"authorization { users: [ { user: weir, password: right, permissions: { publish: { deny: "events.>" } } } ] }"#;
    let nats = Nats::configured("", user).await;
    let url = nats.url_with("weir:right");
    let roles: &[(&str, &[&str])] = &[("edge", &["edge"]), ("ingest", &["ingest"])];
    let mut weir = Weir::launch(storage(nats).await, vec![("NATS_URL", url)], roles);
    weir.ready().await;
    let refused = weir.post(&with_id(Source::Facebook, "refused")).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    expect_reported_at_once(
        &weir,
        "ingest",
        &["Permissions Violation", "events.facebook", "docs/runbook.md"],
    )
    .await;
}
