//! PostgreSQL has no connection left for Weir.

use std::time::Duration;

use reqwest::StatusCode;
use sqlx::{Connection as _, PgConnection};
use tokio::time::Instant;
use weir_testkit::{
    Ground, Weir,
    events::Sender,
    eventually,
    load::Load,
    nats::Nats,
    postgres::{Postgres, Setup},
    soak,
};

use super::store::outage_is_felt;

/// Few enough that a test can take all of them, and enough for the pools of a fleet, which all open again at once, and
/// for who compares afterwards.
const SETTING: &str = "max_connections=32";
/// `too_many_connections`
const TOO_MANY: &str = "53300";
/// How much slower an answer may be: a request does not touch the database.
const SLOWER: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread")]
async fn the_database_has_no_connection_left_and_senders_do_not_notice() {
    let setup = Setup { settings: &[SETTING], ..Setup::default() };
    let postgres = Postgres::start_with(setup).await;
    let database_url = postgres.fresh_address().await;
    let ground = Ground::Servers { nats: Nats::start().await, database_url: database_url.clone() };
    let mut weir = Weir::fleet_with(ground, vec![("JOURNAL_ACK_WAIT_MS", "2000".to_owned())]).await;
    let load = Load::start(&weir);
    load.answered(10).await;
    let before = latency(&weir).await;
    let others = take_all(&database_url).await;
    outage_is_felt(&weir, if soak() { 12.0 } else { 2.0 }).await;
    assert!(postgres.log().contains("too many clients already"), "{}", postgres.log());
    let report = weir.report("events", &[]).await;
    report.expect_problem(StatusCode::SERVICE_UNAVAILABLE);
    assert!(report.header("retry-after").parse::<u64>().is_ok(), "{report:?}");
    let meanwhile = latency(&weir).await;
    assert!(meanwhile < before + SLOWER, "an answer took {before:?} before and {meanwhile:?} meanwhile");
    eprintln!("an answer took {before:.1?} before and {meanwhile:.1?} meanwhile");
    drop(others);
    weir.recovers().await;
    let proof = load.prove(&weir).await;
    assert_eq!((proof.parked, proof.unanswered_requests), (0, 0), "{proof}");
}

/// Other sessions take every connection that there is, also those that Weir has.
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

/// The median of a few requests, one after the other.
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
