//! A nats-server that comes back with an older copy of its streams, or with none: the missing frames are counted as
//! lost.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};
use tokio::time::sleep;
use weir_testkit::{eventually, eventually::within, nats::Nats, process::Process};

use super::{
    NOTE_INTERVAL, expect_lost_frames, expect_reported, expect_stored, ids, lock_store, lost, one_source,
    post_each,
};

/// The time until collectors have copied the state of the journal into the database, or have compared the two.
const COMPARISON_DEADLINE: Duration = Duration::from_secs(90);
/// The number of frames that wait when the folder is wiped. No other figure of the journal has this value.
const WAITING: usize = 23;

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_a_restored_copy_lacks_are_lost_and_those_that_it_has_are_stored() {
    let mut weir = one_source().await;
    let (store, operator) = (weir.store().await, weir.operator().await);
    let copy = weir.folder().join("copy");
    weir.stop_process("collect-facebook").await;
    post_each(&weir, ids("copied", 5)).await;
    let copied = operator.waiting("facebook").await;
    weir.nats().kill();
    weir.nats().back_up(&copy);
    weir.nats().start_again().await;
    post_each(&weir, ids("newer", 7)).await;
    let newer = eventually(async || {
        let info = operator.consumer("collector-facebook").await?;
        let newer = (info.num_pending + info.num_ack_pending as u64).saturating_sub(copied);
        if newer > 0 { Ok(newer) } else { Err("no newer frame waits".to_owned()) }
    })
    .await;
    sleep(NOTE_INTERVAL).await;
    weir.nats().kill();
    weir.nats().restore(&copy);
    weir.nats().start_again().await;

    weir.start_process("collect-facebook");
    expect_stored(&store, ids("copied", 5)).await;
    expect_lost_frames(&weir, &["ingest", "collect-facebook"], newer).await;
    expect_reported(&weir, "collect-facebook", "frames_lost").await;
    post_each(&weir, ids("after", 5)).await;
    expect_stored(&store, ids("copied", 5).chain(ids("after", 5))).await;
    expect_lost_frames(&weir, &["ingest", "collect-facebook"], newer).await;
}

/// The remedy of docs/runbook.md#weirframeslost: a collector stores the frames in a copy of the server's folder.
#[tokio::test(flavor = "multi_thread")]
async fn frames_of_a_stream_that_was_deleted_are_stored_from_a_copy_and_are_lost_no_more() {
    let mut weir = one_source().await;
    let (store, operator) = (weir.store().await, weir.operator().await);
    let copy = weir.folder().join("lost");
    weir.stop_process("collect-facebook").await;
    post_each(&weir, ids("copied", 9)).await;
    let copied = operator.waiting("facebook").await;
    sleep(NOTE_INTERVAL).await;
    weir.nats().kill();
    weir.nats().back_up(&copy);
    weir.nats().start_again().await;
    operator.context.delete_stream("EVENTS").await.unwrap();
    expect_lost_frames(&weir, &["ingest"], copied).await;
    weir.start_process("collect-facebook");
    weir.ready().await;
    expect_lost_frames(&weir, &["collect-facebook"], copied).await;

    let beside = Nats::start_in(copy).await;
    let mut collect = weir.tool(&["collect", "all"]);
    collect.env("NATS_URL", beside.url()).env("ADMIN_LISTEN", "127.0.0.1:0");
    let collecting = Process::start("beside", weir.folder(), collect);
    expect_stored(&store, ids("copied", 9)).await;
    expect_lost_frames(&weir, &["collect-facebook"], 0).await;
    collecting.signal("TERM").await;
    drop((collecting, beside));
    expect_lost_frames(&weir, &["ingest", "collect-facebook"], 0).await;
    post_each(&weir, ids("after", 5)).await;
    expect_stored(&store, ids("copied", 9).chain(ids("after", 5))).await;
    expect_lost_frames(&weir, &["ingest", "collect-facebook"], 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_waited_on_a_server_whose_folder_was_wiped_are_counted_from_the_database() {
    let mut weir = one_source().await;
    let (store, operator) = (weir.store().await, weir.operator().await);
    post_each(&weir, ids("stored", 5)).await;
    expect_stored(&store, ids("stored", 5)).await;
    let lock = lock_store(&store).await;
    post_each(&weir, ids("lost", WAITING)).await;
    let frames = operator.waiting("facebook").await;
    wait_until_copied(&weir.store().await, frames).await;
    weir.crash().await;
    lock.rollback().await.unwrap();
    weir.nats().kill();
    weir.nats().start_again_empty().await;

    for name in ["edge", "ingest", "collect-facebook"] {
        weir.start_process(name);
    }
    weir.ready().await;
    within(COMPARISON_DEADLINE, async || match lost(&weir, "collect-facebook").await {
        Some(lost) if lost == frames as f64 => Ok(()),
        other => Err(format!("the collector shows {other:?} lost frames, not {frames}")),
    })
    .await;
    expect_reported(&weir, "collect-facebook", "frames_lost").await;
    post_each(&weir, ids("after", 5)).await;
    expect_stored(&store, ids("stored", 5).chain(ids("after", 5))).await;
}

/// Waits until collectors have copied this number of waiting frames into the database.
async fn wait_until_copied(store: &DatabaseConnection, frames: u64) {
    let noted = Statement::from_string(
        store.get_database_backend(),
        "SELECT coalesce(string_agg(to_jsonb(journal_states)::text, ' '), '') AS noted FROM journal_states",
    );
    within(COMPARISON_DEADLINE, async || {
        let row = store.query_one_raw(noted.clone()).await.map_err(|error| error.to_string())?;
        let noted: String = row.unwrap().try_get("", "noted").unwrap();
        let mut numbers = noted.split(|character: char| !character.is_ascii_digit());
        if numbers.any(|number| number == frames.to_string()) { Ok(()) } else { Err(noted) }
    })
    .await;
}
