//! Upgrades: this build on the schema of the next one.

mod carried_over;

use sea_orm::ConnectionTrait as _;
use weir_testkit::{Weir, eventually};

on_files_and_on_servers!(a_build_runs_on_the_schema_of_the_next_one);

/// The migration of a next build. It only adds, so that this build works with it.
const EXPAND: [&str; 4] = [
    "ALTER TABLE events ADD COLUMN of_the_next_build TEXT",
    "ALTER TABLE frames ADD COLUMN of_the_next_build BIGINT DEFAULT 0 NOT NULL",
    "CREATE TABLE next_build (event_id TEXT PRIMARY KEY)",
    "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29990101_000001_next_build', 0)",
];

async fn a_build_runs_on_the_schema_of_the_next_one(mut weir: Weir) {
    let before = published(&weir, "before").await;
    weir.stop().await;
    let store = weir.store().await;
    for step in EXPAND {
        store.execute_unprepared(step).await.unwrap();
    }
    store.close().await.unwrap();
    weir.start_again().await;
    assert!(weir.log().contains("a newer build has migrated the store"), "{}", weir.log());

    let after = published(&weir, "after").await;
    for ledger in [&before, &after] {
        let (status, output) = weir.run(&["verify", "--ledger", ledger], &[]).await;
        assert!(status.success(), "{output}");
    }
    eventually(async || match weir.reported_events().await {
        0 => Err("nothing is reported"),
        _ => Ok(()),
    })
    .await;
    let (status, output) = weir.run(&["migrate", "status"], &[]).await;
    assert!(status.success() && output.contains("unknown to this one"), "{output}");

    weir.stop().await;
    let (status, output) = weir.run(&["migrate", "down"], &[]).await;
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(output.contains("m29990101_000001_next_build"), "{output}");
    weir.start_again().await;
    let (status, output) = weir.run(&["verify", "--ledger", &after], &[]).await;
    assert!(status.success(), "{output}");
}

/// Publishes for a moment and returns the ledger.
async fn published(weir: &Weir, name: &str) -> String {
    let ledger = weir.folder().join(name).display().to_string();
    let sizes = ["--min", "50", "--max", "300", "--interval-ms", "100", "--duration", "1s"];
    let shares = ["--duplicates", "0.1", "--ledger", &ledger];
    let (status, output) = weir.run(&[&["publish"][..], &sizes, &shares].concat(), &[]).await;
    assert!(status.success(), "{output}");
    ledger
}
