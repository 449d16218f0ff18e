//! A journal file that is removed while `weir up` is stopped: the frames that waited in it are counted as lost.

use std::{fs, path::PathBuf, time::Duration};

use sea_orm::{ConnectionTrait as _, Statement};
use weir_database::{Access, DatabaseUrl, connect};
use weir_testkit::Weir;

use super::{expect_lost_frames, expect_reported, expect_stored, ids, lock_store, post_each};

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_waited_in_a_journal_file_that_was_removed_are_counted_as_lost() {
    let mut weir = Weir::on_files().await;
    let store = weir.store().await;
    // The store refuses to account for frames, so that no frame is acknowledged.
    store.execute_unprepared("ALTER TABLE frames RENAME TO away").await.unwrap();
    post_each(&weir, ids("lost", 8)).await;
    weir.stop().await;
    let frames = waiting(&weir).await;
    assert!(frames > 0, "no frame waits");
    remove_journal(&weir);
    store.execute_unprepared("ALTER TABLE away RENAME TO frames").await.unwrap();

    weir.start_again().await;
    expect_lost(&weir, frames).await;
    post_each(&weir, ids("after", 5)).await;
    expect_stored(&store, ids("after", 5)).await;
    expect_lost(&weir, frames).await;
    weir.restart().await;
    expect_lost(&weir, frames).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_waited_for_a_locked_store_are_counted_when_their_file_was_removed() {
    let mut weir = Weir::on_files().await;
    let store = weir.store().await;
    let lock = lock_store(&store).await;
    post_each(&weir, ids("lost", 8)).await;
    weir.stop().await;
    let frames = waiting(&weir).await;
    assert!(frames > 0, "no frame waits");
    remove_journal(&weir);
    lock.rollback().await.unwrap();

    weir.start_again().await;
    expect_lost(&weir, frames).await;
    post_each(&weir, ids("after", 5)).await;
    expect_stored(&store, ids("after", 5)).await;
}

/// Expects this number of lost frames in the metric, and the cause in the ready probe.
async fn expect_lost(weir: &Weir, frames: u64) {
    expect_lost_frames(weir, &["up"], frames).await;
    expect_reported(weir, "up", "collectors.frames_lost").await;
}

/// The number of frames in the journal's file that no collector has acknowledged.
async fn waiting(weir: &Weir) -> u64 {
    let journal =
        connect(&DatabaseUrl::file(&journal_file(weir)), Access::Write, Duration::ZERO).await.unwrap();
    let count =
        Statement::from_string(journal.get_database_backend(), "SELECT count(*) AS frames FROM waiting");
    let row = journal.query_one_raw(count).await.unwrap().unwrap();
    let frames: i64 = row.try_get("", "frames").unwrap();
    journal.close().await.unwrap();
    frames.cast_unsigned()
}

/// Removes the file, and the files that SQLite keeps beside it.
fn remove_journal(weir: &Weir) {
    fs::remove_file(journal_file(weir)).unwrap();
    for beside in ["journal.db-wal", "journal.db-shm"] {
        let _ = fs::remove_file(journal_file(weir).with_file_name(beside));
    }
}

fn journal_file(weir: &Weir) -> PathBuf {
    weir.store_file().with_file_name("journal.db")
}
