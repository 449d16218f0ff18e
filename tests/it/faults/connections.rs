//! A PostgreSQL server whose connections are all taken by other sessions.

use std::time::Duration;

use reqwest::StatusCode;
use sqlx::{Connection as _, PgConnection};
use tokio::time::Instant;
use weir_testkit::{
    Storage, Weir,
    events::Sender,
    eventually,
    load::Load,
    nats::Nats,
    postgres::{Postgres, Setup},
    soak,
};

use super::store::wait_for_failures;

/// Few enough that the story can take all of them. Enough for the pools of a fleet, which all open again at once, and
/// for the verification afterwards.
const SETTING: &str = "max_connections=40";
/// The SQLSTATE `too_many_connections`.
const TOO_MANY: &str = "53300";
/// The limit on how much slower an answer may be. A request does not touch the database.
const SLOWER: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread")]
async fn the_database_has_no_connection_left_and_senders_do_not_notice() {
    let setup = Setup { settings: &[SETTING], ..Setup::default() };
    let postgres = Postgres::start_with(setup).await;
    let database_url = postgres.fresh_database_url().await;
    let storage = Storage::Servers { nats: Nats::start().await, database_url: database_url.clone() };
    let mut weir = Weir::fleet_with(storage, vec![("JOURNAL_ACK_WAIT_MS", "2000".to_owned())]).await;
    let load = Load::start(&weir);
    load.wait_for_accepted(10).await;
    let before = latency(&weir).await;
    let others = take_all(&database_url).await;
    wait_for_failures(&weir, if soak() { 12.0 } else { 2.0 }).await;
    assert!(postgres.log().contains("too many clients already"), "{}", postgres.log());
    let report = weir.report("events", &[]).await;
    report.expect_problem(StatusCode::SERVICE_UNAVAILABLE);
    assert!(report.header("retry-after").parse::<u64>().is_ok(), "{report:?}");
    let meanwhile = latency(&weir).await;
    assert!(meanwhile < before + SLOWER, "an answer took {before:?} before and {meanwhile:?} meanwhile");
    eprintln!("an answer took {before:.1?} before and {meanwhile:.1?} meanwhile");
    drop(others);
    weir.expect_recovery().await;
    let verification = load.verify(&weir).await;
    assert_eq!((verification.parked, verification.unanswered_requests), (0, 0), "{verification}");
}

/// Takes every connection of the server, those of Weir too.
async fn take_all(database_url: &str) -> Vec<PgConnection> {
    let mut others = vec![PgConnection::connect(database_url).await.unwrap()];
    eventually(async || {
        let ended =
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'weir'";
        let ended: i64 = sqlx::query_scalar(ended).fetch_one(&mut others[0]).await.unwrap();
        let refused = loop {
            match PgConnection::connect(database_url).await {
                Ok(other) => others.push(other),
                Err(refused) => break refused,
            }
        };
        let code = refused.as_database_error().and_then(|error| error.code());
        assert_eq!(code.as_deref(), Some(TOO_MANY), "{refused}");
        if ended == 0 { Ok(()) } else { Err("Weir had connections") }
    })
    .await;
    others
}

/// The median latency of 21 requests, one after the other.
async fn latency(weir: &Weir) -> Duration {
    let mut sender = Sender::new("latency", 5);
    let mut answers = Vec::new();
    for _ in 0..21 {
        let events = sender.events(10);
        let started = Instant::now();
        weir.post(&serde_json::json!(events)).await.expect_accepted(10, 0);
        answers.push(started.elapsed());
    }
    answers.sort_unstable();
    answers[answers.len() / 2]
}
