//! PgBouncer in front of the database.

use weir_event::Source;
use weir_testkit::{
    Storage, Weir,
    events::with_id,
    eventually,
    nats::Nats,
    postgres::{Pooler, Postgres},
};

use super::{fails_at_once, one_source};

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_session_mode_is_as_good_as_the_server() {
    let server = Postgres::start().await;
    let database_url = server.fresh_database_url().await;
    let pooler = Pooler::start(&server, "session", "default_pool_size = 60").await;
    let mut weir = one_source(&pooler.before(&server, &database_url)).await;
    weir.ready().await;
    weir.join("reporting", &["reporting"], &[]).await;
    assert_eq!(weir.post(&with_id(Source::Facebook, "pooled")).await.status, 202);
    eventually(async || match weir.reported_events().await {
        1 => Ok(()),
        other => Err(other),
    })
    .await;
    weir.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_transaction_mode_is_refused_with_the_setting_to_change() {
    const SENTENCE: [&str; 3] = ["transaction mode", "pool_mode = session", "DATABASE_URL"];
    let server = Postgres::start().await;
    let database_url = server.fresh_database_url().await;
    for settings in [
        "ignore_startup_parameters = extra_float_digits",
        "ignore_startup_parameters = extra_float_digits\nserver_round_robin = 1\nmin_pool_size = 5",
        "ignore_startup_parameters = extra_float_digits\ndefault_pool_size = 1",
    ] {
        for mode in ["transaction", "statement"] {
            let pooler = Pooler::start(&server, mode, settings).await;
            let database_url = pooler.before(&server, &database_url);
            let ground = Storage::Servers { nats: Nats::start().await, database_url: database_url.clone() };
            let roles: &[(&str, &[&str])] = &[
                ("reporting", &["reporting"]),
                ("collect-facebook", &["collect", "facebook"]),
                ("ingest", &["ingest"]),
            ];
            let mut weir = Weir::launch(ground, Vec::new(), roles);
            for role in ["reporting", "collect-facebook"] {
                let log = eventually(async || match weir.log_of(role) {
                    log if log.contains("this process failed") => Ok(log),
                    log => Err(log),
                })
                .await;
                assert!(SENTENCE.iter().all(|word| log.contains(word)), "{settings}: {log}");
                assert_eq!(weir.exit_of(role).await.code(), Some(1));
            }
            fails_at_once(&weir, &["migrate", "up"], &database_url, &SENTENCE).await;
        }
    }
}
