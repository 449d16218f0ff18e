//! Start, stop, crash and restart, and the events that survive them.

use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::tempdir;
use weir_testkit::{Weir, events::Sender, eventually, weir::command};

use crate::{
    model::{Model, Query},
    reports::expect_reports,
};

on_files_and_on_servers!(
    a_restart_keeps_the_stored_events,
    accepted_events_are_reported_after_sigterm,
    accepted_events_are_reported_after_sigkill,
);

/// `EX_USAGE` of sysexits.h.
const MISCONFIGURED: Option<i32> = Some(64);

async fn a_restart_keeps_the_stored_events(mut weir: Weir) {
    let (mut sender, mut model) = (Sender::new("restart", 10), Model::default());
    for _ in 0..2 {
        let events = sender.events(500);
        model.accept(&events);
        weir.post(&json!(events)).await.expect_accepted(500, 0);
        weir.drained(500).await;
        weir.restart().await;
        expect_reports(&weir, &model, &Query::default()).await;
    }
    weir.stop().await;
}

async fn accepted_events_are_reported_after_sigterm(mut weir: Weir) {
    let accepted = interrupted(&weir, "TERM").await;
    weir.stopped().await;
    expect_all(weir, accepted).await;
}

async fn accepted_events_are_reported_after_sigkill(mut weir: Weir) {
    let accepted = interrupted(&weir, "KILL").await;
    weir.wait_for_exits().await;
    expect_all(weir, accepted).await;
}

/// Posts arrays, four at a time, and sends the signal after some answers. Returns the accepted events.
async fn interrupted(weir: &Weir, signal: &str) -> Model {
    let mut senders = ["a", "b", "c", "d"].map(|name| Sender::new(name, 11));
    let (mut accepted, mut answered) = (Model::default(), 0);
    loop {
        let arrays = senders.each_mut().map(|sender| sender.events(400));
        let posts = arrays.iter().map(|array| weir.request("/events").json(array).send());
        let (answers, ()) = tokio::join!(futures::future::join_all(posts), async {
            if answered == 12 {
                weir.signal(signal).await;
            }
        });
        for (array, answer) in arrays.iter().zip(answers) {
            if answer.is_ok_and(|answer| answer.status() == StatusCode::ACCEPTED) {
                accepted.accept(array);
            }
        }
        if answered == 12 {
            return accepted;
        }
        answered += arrays.len();
    }
}

/// Starts again. At least the accepted events are reported, and at most the arrays of the last moment
/// besides.
async fn expect_all(mut weir: Weir, accepted: Model) {
    weir.start_again().await;
    let least = accepted.len() as u64;
    eventually(async || match weir.reported_events().await {
        reported if reported >= least => Ok(()),
        reported => Err(reported),
    })
    .await;
    let most = least + 4 * 400;
    assert!(weir.reported_events().await <= most);
}

#[tokio::test]
async fn all_errors_of_a_configuration_are_reported_at_once() {
    let folder = tempdir().unwrap();
    let mistaken = [
        ("APP_ENV", "home"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("EDGE_LISTEN", "nowhere:x"),
        ("INGEST_LISTEN", "localhost:99999"),
        ("ADMIN_LISTEN", "somewhere:y"),
        ("DATABASE_URL", "mysql://localhost/weir"),
        ("NATS_URL", "http://localhost"),
        ("JOURNAL_MAX_BYTES", "-1"),
        ("DEFAULT_CURRENCY", "dollars"),
    ];
    let mut weir = command(&["up"]);
    let output = weir.envs(mistaken).env("WEIR_DATA_DIR", folder.path()).output().await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), MISCONFIGURED, "{stderr}");
    for (variable, _) in mistaken {
        assert!(stderr.contains(variable), "{variable} is missing in: {stderr}");
    }
}

#[tokio::test]
async fn a_single_role_names_the_addresses_that_it_needs() {
    for (role, needed) in [
        (vec!["edge"], vec!["INGEST_URL"]),
        (vec!["ingest"], vec!["NATS_URL"]),
        (vec!["collect", "facebook"], vec!["NATS_URL", "DATABASE_URL"]),
        (vec!["reporting"], vec!["DATABASE_URL"]),
        (vec!["up", "--no-such-flag"], vec!["--no-such-flag"]),
    ] {
        let output = command(&role).output().await.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), MISCONFIGURED, "{role:?}: {stderr}");
        for variable in needed {
            assert!(stderr.contains(variable), "{role:?}: {variable} is missing in: {stderr}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_belongs_to_one_process() {
    let weir = Weir::on_files().await;
    let (status, stderr) = weir.run(&["up"], &[("EDGE_LISTEN", "0"), ("ADMIN_LISTEN", "0")]).await;
    assert!(!status.success(), "{stderr}");
    assert!(stderr.contains("WEIR_DATA_DIR"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_json_with_the_role_and_without_people_s_data() {
    let mut weir = Weir::on_files().await;
    let mut event = Sender::new("logged", 12).events(1).remove(0);
    event["data"]["user"]["userId"] = json!("a-very-private-id");
    weir.post(&json!([event, {"data": {"user": {"userId": "another-private-id"}}}]))
        .await
        .expect_accepted(1, 1);
    weir.drained(1).await;
    weir.stop().await;
    let log = weir.log();
    assert!(!log.contains("private-id"), "{log}");
    for line in log.lines() {
        let entry: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        assert!(
            ["timestamp", "level", "role", "message"].iter().all(|field| entry[field].is_string()),
            "{line}"
        );
    }
}
