//! Logins at NATS: users, passwords, tokens, credentials files and keys that are right, wrong, expired, or replaced
//! while Weir runs.

use std::fs;

use chrono::{TimeDelta, Utc};
use nkeys::KeyPair;
use weir_testkit::nats::Users;

use super::*;

/// A password with every character that has a meaning in a URL.
const PASSWORD: &str = "p/a:s@s%w?o#r,d";
const ENCODED: &str = "p%2Fa%3As%40s%25w%3Fo%23r%2Cd";

#[tokio::test(flavor = "multi_thread")]
async fn a_user_and_a_password_in_the_url_are_decoded_and_never_logged() {
    let nats = Nats::configured("", &user_and_password("we@ir", PASSWORD)).await;
    let url = nats.url_with(&format!("we%40ir:{ENCODED}"));
    let levels = "trace,async_nats=trace,sqlx=info,h2=info,hyper=info".to_owned();
    let weir = up(nats, vec![("NATS_URL", url), ("LOG_LEVEL", levels)]).await;
    expect_stored(&weir, "by-password").await;
    let log = weir.log();
    assert!(log.contains("async_nats"), "async-nats logs nothing");
    for secret in [PASSWORD, ENCODED] {
        assert!(!log.contains(secret), "the password is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_the_url_is_a_token() {
    let nats = Nats::configured("", "authorization { token: \"to/ken\" }").await;
    let url = nats.url_with("to%2Fken");
    let weir = up(nats, vec![("NATS_URL", url)]).await;
    expect_stored(&weir, "by-token").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_server_of_a_list_has_its_own_login() {
    let nats = Nats::configured("", &user_and_password("weir", "right")).await;
    let gone = format!("nats://other:secret@127.0.0.1:{}", weir_testkit::ports::free());
    let url = format!("{gone},{}", nats.url_with("weir:right"));
    let mut weir = up(nats, vec![("NATS_URL", url)]).await;
    expect_stored(&weir, "from-a-list").await;
    weir.nats().kill();
    weir.nats().start_again().await;
    expect_stored(&weir, "after-a-restart").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_or_missing_login_is_reported_at_once() {
    for (login, parts) in [
        ("weir:wrong@", ["127.0.0.1", "user or password in NATS_URL"]),
        ("wrong@", ["127.0.0.1", "token in NATS_URL"]),
        ("", ["127.0.0.1", "NATS_CREDS"]),
    ] {
        let nats = Nats::configured("", &user_and_password("weir", "right")).await;
        let url = format!("nats://{login}127.0.0.1:{}", nats.port());
        let weir = ingest(nats, vec![("NATS_URL", url)]).await;
        expect_reported_at_once(&weir, "ingest", &parts).await;
        assert!(!weir.log().contains("wrong@"), "a secret is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_of_a_known_key_is_a_login_and_an_unknown_key_is_reported() {
    let (known, unknown) = (KeyPair::new_user(), KeyPair::new_user());
    let users = format!("authorization {{ users: [ {{ nkey: {} }} ] }}", known.public_key());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weir.nk");
    fs::write(&file, unknown.seed().unwrap()).unwrap();
    let nats = Nats::configured("", &users).await;
    let settings = vec![("NATS_NKEY", file.display().to_string())];
    let mut weir = Weir::launch(storage(nats).await, settings, &[("up", &["up"])]);
    expect_reported_at_once(&weir, "up", &["NATS_NKEY", "weir.nk", "is unknown"]).await;
    fs::write(&file, known.seed().unwrap()).unwrap();
    weir.ready().await;
    expect_stored(&weir, "by-key").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_credentials_are_reported_and_replaced_while_weir_runs() {
    let (users, folder) = (Users::generate(), tempfile::tempdir().unwrap());
    let soon = Utc::now() + TimeDelta::seconds(15);
    let file = users.credentials(folder.path(), Some(soon));
    let nats = Nats::configured("", &users.configuration()).await;
    let weir = up(nats, vec![("NATS_CREDS", file.display().to_string())]).await;
    expect_stored(&weir, "before-the-end").await;
    eventually(async || if Utc::now() > soon { Ok(()) } else { Err("the credentials are valid") }).await;
    expect_reported_at_once(&weir, "up", &["127.0.0.1", "NATS_CREDS", "expired at"]).await;
    users.credentials(folder.path(), None);
    expect_stored(&weir, "after-the-replacement").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_file_and_a_file_of_another_kind_are_named_with_their_setting() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.txt");
    fs::write(&other, "something else").unwrap();
    let other = other.display().to_string();
    for (variable, path, reason) in [
        ("NATS_CREDS", "/nowhere/weir.creds", "No such file"),
        ("NATS_NKEY", "/nowhere/weir.nk", "No such file"),
        ("NATS_CA", "/nowhere/ca.pem", "No such file"),
        ("NATS_CREDS", &other, "no user JWT"),
        ("NATS_NKEY", &other, "no seed"),
        ("NATS_CA", &other, "no certificate"),
    ] {
        let weir = ingest(Nats::start().await, vec![(variable, path.to_owned())]).await;
        expect_reported_at_once(&weir, "ingest", &[variable, path, reason]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_ways_to_log_in_and_half_a_certificate_are_refused_together() {
    let settings = vec![
        ("NATS_URL", "nats://weir:secret@127.0.0.1:1,".to_owned()),
        ("NATS_CERT", "weir.pem".to_owned()),
    ];
    let mut weir = ingest(Nats::start().await, settings).await;
    assert_eq!(weir.exit_codes().await, [Some(64)]);
    assert!(weir.log().contains("NATS_URL: server 2 of 2 is empty"), "{}", weir.log());
    let settings = vec![
        ("NATS_URL", "nats://weir:secret@127.0.0.1:1".to_owned()),
        ("NATS_CREDS", "weir.creds".to_owned()),
        ("NATS_CERT", "weir.pem".to_owned()),
        ("NATS_JETSTREAM_DOMAIN", "a.b".to_owned()),
    ];
    let mut weir = ingest(Nats::start().await, settings).await;
    assert_eq!(weir.exit_codes().await, [Some(64)]);
    for reason in ["several ways to log in", "NATS_CERT: needs NATS_KEY", "NATS_JETSTREAM_DOMAIN"] {
        assert!(weir.log().contains(reason), "{reason} is missing in {}", weir.log());
    }
    assert!(!weir.log().contains("secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_of_the_runbook_are_enough_for_each_role() {
    let runbook = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/runbook.md")).unwrap();
    let users = runbook.split("```").find(|block| block.trim_start().starts_with("authorization {"));
    let nats = Nats::configured("", &users.unwrap().replace("CHANGE-ME", "secret")).await;
    let [of_ingest, of_collectors] =
        ["ingest", "collector"].map(|user| nats.url_with(&format!("{user}:secret")));
    let ingest_alone: &[(&str, &[&str])] = &[("edge", &["edge"]), ("ingest", &["ingest"])];
    let mut weir = Weir::launch(storage(nats).await, vec![("NATS_URL", of_ingest)], ingest_alone);
    weir.join("collect-facebook", &["collect", "facebook"], &[("NATS_URL", &of_collectors)]).await;
    weir.ready().await;
    expect_stored(&weir, "with-few-rights").await;
    let mut refused = with_id(Source::Facebook, "refused");
    refused["timestamp"] = "never".into();
    assert_eq!(weir.post(&refused).await.status, 400);
    for process in ["ingest", "collect-facebook"] {
        let log = weir.log_of(process);
        assert!(!log.contains("Permissions Violation"), "{process}: {log}");
    }
}
