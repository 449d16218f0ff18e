//! Faults of the database: it dies, is locked, refuses writes, or refuses one event.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DatabaseConnection, TransactionTrait as _};
use weir_database::{Access, connect};
use weir_testkit::{Storage, Weir, eventually, load::Load, nats::Nats, postgres::Postgres, soak};

/// A fleet with a short acknowledgement deadline on this database.
async fn fleet(database_url: &str) -> Weir {
    let storage = Storage::Servers { nats: Nats::start().await, database_url: database_url.to_owned() };
    Weir::fleet_with(storage, vec![("JOURNAL_ACK_WAIT_MS", "2000".to_owned())]).await
}

/// A connection of the database's owner.
async fn owner(database_url: &str) -> DatabaseConnection {
    connect(&database_url.parse().unwrap(), Access::Write, Postgres::START_TIMEOUT).await.unwrap()
}

/// Waits until collectors of both sources have failed to store so many times.
pub(super) async fn wait_for_failures(weir: &Weir, times: f64) {
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
    let mut weir = fleet(&postgres.fresh_database_url().await).await;
    let load = Load::start(&weir);
    load.wait_for_accepted(10).await;
    postgres.kill();
    wait_for_failures(&weir, if soak() { 12.0 } else { 4.0 }).await;
    load.wait_for_accepted(20).await;
    postgres.start_again().await;
    weir.expect_recovery().await;
    let verification = load.verify(&weir).await;
    assert_eq!((verification.parked, verification.unanswered_requests), (0, 0), "{verification}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_locked_and_senders_do_not_notice() {
    let database_url = Postgres::shared().await.fresh_database_url().await;
    let mut weir = fleet(&database_url).await;
    let (load, owner) = (Load::start(&weir), owner(&database_url).await);
    load.wait_for_accepted(10).await;
    let lock = owner.begin().await.unwrap();
    lock.execute_unprepared("LOCK TABLE events IN ACCESS EXCLUSIVE MODE").await.unwrap();
    // The timeout of a statement is 10 s.
    load.wait_for_accepted(if soak() { 600 } else { 40 }).await;
    wait_for_failures(&weir, 1.0).await;
    lock.commit().await.unwrap();
    weir.expect_recovery().await;
    let verification = load.verify(&weir).await;
    assert_eq!((verification.parked, verification.unanswered_requests), (0, 0), "{verification}");
}

#[tokio::test(flavor = "multi_thread")]
async fn collectors_wait_for_a_database_that_refuses_writes_or_connections() {
    let database_url = Postgres::shared().await.fresh_database_url().await;
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
        load.wait_for_accepted(5).await;
        let alter = async |what: &str| {
            elsewhere.execute_unprepared(&format!("ALTER DATABASE {name} {what}")).await.unwrap();
            let end_sessions =
                format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
            elsewhere.execute_unprepared(&end_sessions).await.unwrap();
        };
        alter(begin).await;
        wait_for_failures(&weir, 2.0).await;
        alter(end).await;
        weir.expect_recovery().await;
    }
    let verification = load.verify(&weir).await;
    assert_eq!((verification.parked, verification.unanswered_requests), (0, 0), "{verification}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_the_database_refuses_are_parked_and_their_neighbours_stored() {
    let database_url = Postgres::shared().await.fresh_database_url().await;
    let mut weir = fleet(&database_url).await;
    let owner = owner(&database_url).await;
    let rule = "ALTER TABLE events ADD CONSTRAINT no_user_is_77 CHECK (age <> 77)";
    owner.execute_unprepared(rule).await.unwrap();
    let load = Load::start(&weir);
    load.wait_for_accepted(40).await;
    weir.expect_recovery().await;
    let verification = load.verify(&weir).await;
    assert!(verification.parked > 0, "{verification}");
    // An event that was sent twice and refused twice has two dead letters.
    assert!(verification.stored + verification.parked >= verification.accepted, "{verification}");
}
