//! The database dies, is locked, refuses to write, or refuses one event.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DatabaseConnection, TransactionTrait as _};
use weir_database::{Access, connect};
use weir_testkit::{Ground, Weir, eventually, load::Load, nats::Nats, postgres::Postgres, soak};

/// A fleet with a short acknowledgement deadline, on a database of this story's own.
async fn fleet(database_url: &str) -> Weir {
    let ground = Ground::Servers { nats: Nats::start().await, database_url: database_url.to_owned() };
    Weir::fleet_with(ground, vec![("JOURNAL_ACK_WAIT_MS", "2000".to_owned())]).await
}

async fn owner(database_url: &str) -> DatabaseConnection {
    connect(&database_url.parse().unwrap(), Access::Write, Postgres::PATIENCE).await.unwrap()
}

/// Waits until collectors of both sources have tried in vain, several times.
pub(super) async fn outage_is_felt(weir: &Weir, times: f64) {
    for name in ["collect-facebook", "collect-tiktok"] {
        let transient =
            async || weir.metric_of(name, "events_failed_total", &[("error_type", "transient")]).await;
        let (mut seen, mut failures) = (transient().await, 0.0);
        eventually(async || {
            let now = transient().await;
            failures += f64::from(u8::from(now > seen));
            seen = now;
            if failures >= times { Ok(()) } else { Err(format!("{name}: {failures} failures")) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_killed_for_longer_than_any_deadline_and_nothing_is_parked() {
    let mut postgres = Postgres::start().await;
    let mut weir = fleet(&postgres.fresh_address().await).await;
    let load = Load::start(&weir);
    load.answered(10).await;
    postgres.kill();
    outage_is_felt(&weir, if soak() { 12.0 } else { 4.0 }).await;
    load.answered(20).await;
    postgres.start_again().await;
    weir.recovers().await;
    let proof = load.prove(&weir).await;
    assert_eq!((proof.parked, proof.unanswered_requests), (0, 0), "{proof}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_locked_and_senders_do_not_notice() {
    let database_url = Postgres::shared().await.fresh_address().await;
    let mut weir = fleet(&database_url).await;
    let (load, owner) = (Load::start(&weir), owner(&database_url).await);
    load.answered(10).await;
    let lock = owner.begin().await.unwrap();
    lock.execute_unprepared("LOCK TABLE events IN ACCESS EXCLUSIVE MODE").await.unwrap();
    // A statement gives up after 10 s.
    load.answered(if soak() { 600 } else { 40 }).await;
    outage_is_felt(&weir, 1.0).await;
    lock.commit().await.unwrap();
    weir.recovers().await;
    let proof = load.prove(&weir).await;
    assert_eq!((proof.parked, proof.unanswered_requests), (0, 0), "{proof}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_refuses_to_write_or_to_be_reached_is_waited_for() {
    let database_url = Postgres::shared().await.fresh_address().await;
    let mut weir = fleet(&database_url).await;
    let (load, owner) = (Load::start(&weir), owner(&database_url).await);
    let name = database_url.rsplit('/').next().unwrap();
    let elsewhere =
        connect(&database_url.replace(name, "postgres").parse().unwrap(), Access::Write, Duration::ZERO)
            .await
            .unwrap();
    drop(owner);
    for (begin, end) in [
        ("SET default_transaction_read_only = on", "RESET default_transaction_read_only"),
        ("ALLOW_CONNECTIONS false", "ALLOW_CONNECTIONS true"),
    ] {
        load.answered(5).await;
        let alter = async |what: &str| {
            elsewhere.execute_unprepared(&format!("ALTER DATABASE {name} {what}")).await.unwrap();
            let end_sessions =
                format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
            elsewhere.execute_unprepared(&end_sessions).await.unwrap();
        };
        alter(begin).await;
        outage_is_felt(&weir, 2.0).await;
        alter(end).await;
        weir.recovers().await;
    }
    let proof = load.prove(&weir).await;
    assert_eq!((proof.parked, proof.unanswered_requests), (0, 0), "{proof}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_the_database_refuses_are_parked_and_their_neighbours_stored() {
    let database_url = Postgres::shared().await.fresh_address().await;
    let mut weir = fleet(&database_url).await;
    let owner = owner(&database_url).await;
    let rule = "ALTER TABLE events ADD CONSTRAINT nobody_is_77 CHECK (age <> 77)";
    owner.execute_unprepared(rule).await.unwrap();
    let load = Load::start(&weir);
    load.answered(40).await;
    weir.recovers().await;
    let proof = load.prove(&weir).await;
    assert!(proof.parked > 0, "{proof}");
    // An event that was sent twice and refused twice has two letters.
    assert!(proof.stored + proof.parked >= proof.accepted, "{proof}");
}
