//! The build before an upgrade, beside and after the one that follows it.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DatabaseConnection};
use weir_database::{Access, DatabaseUrl, connect};
use weir_testkit::{Ground, Weir, eventually};

on_files_and_on_servers!(a_build_runs_on_the_schema_of_the_next_one);

/// What the next build's migration would do: it adds, and nothing of the present build has to know.
const EXPAND: [&str; 4] = [
    "ALTER TABLE events ADD COLUMN of_the_next_build TEXT",
    "ALTER TABLE frames ADD COLUMN of_the_next_build BIGINT DEFAULT 0 NOT NULL",
    "CREATE TABLE next_build (event_id TEXT PRIMARY KEY)",
    "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29990101_000001_next_build', 0)",
];

async fn a_build_runs_on_the_schema_of_the_next_one(mut weir: Weir) {
    let before = published(&weir, "before").await;
    weir.stop().await;
    let store = store(&weir).await;
    for step in EXPAND {
        store.execute_unprepared(step).await.unwrap();
    }
    store.close().await.unwrap();
    weir.start_again().await;
    assert!(weir.log().contains("a newer build has migrated the store"), "{}", weir.log());

    let after = published(&weir, "after").await;
    for ledger in [&before, &after] {
        let (status, told) = weir.run(&["verify", "--ledger", ledger], &[]).await;
        assert!(status.success(), "{told}");
    }
    eventually(async || match weir.reported_events().await {
        0 => Err("nothing is reported"),
        _ => Ok(()),
    })
    .await;
    let (status, told) = weir.run(&["migrate", "status"], &[]).await;
    assert!(status.success() && told.contains("unknown to this one"), "{told}");

    weir.stop().await;
    let (status, told) = weir.run(&["migrate", "down"], &[]).await;
    assert_eq!(status.code(), Some(1), "{told}");
    assert!(told.contains("m29990101_000001_next_build"), "{told}");
    weir.start_again().await;
    let (status, told) = weir.run(&["verify", "--ledger", &after], &[]).await;
    assert!(status.success(), "{told}");
}

/// Publishes for a moment and returns the ledger.
async fn published(weir: &Weir, name: &str) -> String {
    let ledger = weir.folder().join(name).display().to_string();
    let sizes = ["--min", "50", "--max", "300", "--interval-ms", "100", "--duration", "1s"];
    let shares = ["--duplicates", "0.1", "--ledger", &ledger];
    let (status, told) = weir.run(&[&["publish"][..], &sizes, &shares].concat(), &[]).await;
    assert!(status.success(), "{told}");
    ledger
}

async fn store(weir: &Weir) -> DatabaseConnection {
    let url: DatabaseUrl = match weir.ground() {
        Ground::Servers { database_url, .. } => database_url.parse().unwrap(),
        Ground::Files => DatabaseUrl::file(&weir.store_file()),
    };
    connect(&url, Access::Write, Duration::ZERO).await.unwrap()
}
