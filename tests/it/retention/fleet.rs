//! Several collectors on one PostgreSQL: one of them removes rows, and storing waits for it only briefly.

use sea_orm::{ConnectionTrait as _, DatabaseTransaction, TransactionTrait as _};
use serde_json::json;
use weir_database::advisory_lock::AdvisoryLock;
use weir_testkit::{Storage, Weir, events::Sender, eventually};

use super::{keeping, removed, store_contents::StoreContents, stored};

#[tokio::test(flavor = "multi_thread")]
async fn only_the_collector_with_the_lock_removes_rows() {
    let weir = fleet().await;
    let store = weir.store().await;
    let right = store.begin().await.unwrap();
    take(&right, &AdvisoryLock::Retention.lock_transaction_sql()).await;
    stored(&weir, &Sender::new("fleet", 11).events(500)).await;
    told(&weir, "another collector removes", 9).await;
    assert_eq!(StoreContents::of_store(&store).await.rows, 500);

    right.commit().await.unwrap();
    removed(&weir, 500).await;
    let left = StoreContents::of_store(&store).await;
    assert_eq!((left.keys, left.horizons, left.rolled_up), (500, 2, [500; 3]));
}

#[tokio::test(flavor = "multi_thread")]
async fn storing_continues_while_removal_waits_for_a_storing_transaction() {
    let weir = fleet().await;
    let store = weir.store().await;
    let slow = store.begin().await.unwrap();
    take(&slow, &AdvisoryLock::Store.share_transaction_sql()).await;
    let mut sender = Sender::new("slow", 12);
    stored(&weir, &sender.events(100)).await;
    told(&weir, "removing waits until the store takes it", 1).await;
    stored(&weir, &sender.events(100)).await;
    assert_eq!(StoreContents::of_store(&store).await.rows, 200);

    slow.commit().await.unwrap();
    removed(&weir, 200).await;
    told(&weir, "removing goes on after an outage", 1).await;
    weir.post(&json!(sender.events(1))).await.expect_accepted(1, 0);
    weir.drained(201).await;
}

async fn fleet() -> Weir {
    let mut settings = keeping("1s", "400d");
    settings.push(("LOG_LEVEL", "info,weir_collectors=debug".to_owned()));
    Weir::fleet_with(Storage::servers().await, settings).await
}

async fn take(transaction: &DatabaseTransaction, lock: &str) {
    transaction.execute_unprepared(lock).await.unwrap();
}

/// Waits until the processes have logged a message so many times.
async fn told(weir: &Weir, message: &str, times: usize) {
    eventually(async || match weir.log().matches(message).count() {
        told if told >= times => Ok(()),
        told => Err(format!("{message}: {told} times")),
    })
    .await;
}
