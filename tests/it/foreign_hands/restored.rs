//! nats-server comes back with an older copy of what it stored, or with nothing: what is missing is counted.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};
use tokio::time::sleep;
use weir_testkit::{eventually, eventually::within, nats::Nats, process::Process};

use super::{NOTED, held, ids, lost, lost_is, named, one_source, post_each, stored_are};

/// What collectors copied into the database is compared with the journal now and then.
const COMPARED: Duration = Duration::from_secs(90);
/// How many frames wait when the folder is wiped: a number that nothing else about the journal has.
const WAITING: usize = 23;

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_a_restored_copy_lacks_are_lost_and_those_that_it_has_are_stored() {
    let mut weir = one_source().await;
    let (store, operator) = (weir.store().await, weir.operator().await);
    let copy = weir.folder().join("copy");
    weir.retire("collect-facebook").await;
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
    sleep(NOTED).await;
    weir.nats().kill();
    weir.nats().restore(&copy);
    weir.nats().start_again().await;

    weir.revive("collect-facebook");
    stored_are(&store, ids("copied", 5)).await;
    lost_is(&weir, &["ingest", "collect-facebook"], newer).await;
    named(&weir, "collect-facebook", "frames_lost").await;
    post_each(&weir, ids("after", 5)).await;
    stored_are(&store, ids("copied", 5).chain(ids("after", 5))).await;
    lost_is(&weir, &["ingest", "collect-facebook"], newer).await;
}

/// The remedy of docs/runbook.md, WeirFramesLost: a collector stores what a copy of the server's folder has.
#[tokio::test(flavor = "multi_thread")]
async fn frames_of_a_stream_that_was_deleted_are_stored_from_a_copy_and_are_lost_no_more() {
    let mut weir = one_source().await;
    let (store, operator) = (weir.store().await, weir.operator().await);
    let copy = weir.folder().join("lost");
    weir.retire("collect-facebook").await;
    post_each(&weir, ids("copied", 9)).await;
    let copied = operator.waiting("facebook").await;
    sleep(NOTED).await;
    weir.nats().kill();
    weir.nats().back_up(&copy);
    weir.nats().start_again().await;
    operator.context.delete_stream("EVENTS").await.unwrap();
    lost_is(&weir, &["ingest"], copied).await;
    weir.revive("collect-facebook");
    weir.ready().await;
    lost_is(&weir, &["collect-facebook"], copied).await;

    let beside = Nats::start_in(copy).await;
    let mut collect = weir.tool(&["collect", "all"]);
    collect.env("NATS_URL", beside.url()).env("ADMIN_LISTEN", "127.0.0.1:0");
    let collecting = Process::start("beside", weir.folder(), collect);
    stored_are(&store, ids("copied", 9)).await;
    lost_is(&weir, &["collect-facebook"], 0).await;
    collecting.signal("TERM").await;
    drop((collecting, beside));
    lost_is(&weir, &["ingest", "collect-facebook"], 0).await;
    post_each(&weir, ids("after", 5)).await;
    stored_are(&store, ids("copied", 9).chain(ids("after", 5))).await;
    lost_is(&weir, &["ingest", "collect-facebook"], 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_waited_on_a_server_whose_folder_was_wiped_are_counted_from_the_database() {
    let mut weir = one_source().await;
    let (store, operator) = (weir.store().await, weir.operator().await);
    post_each(&weir, ids("stored", 5)).await;
    stored_are(&store, ids("stored", 5)).await;
    let hold = held(&store).await;
    post_each(&weir, ids("lost", WAITING)).await;
    let frames = operator.waiting("facebook").await;
    is_copied(&weir.store().await, frames).await;
    weir.crash().await;
    hold.rollback().await.unwrap();
    weir.nats().kill();
    weir.nats().start_again_empty().await;

    for name in ["edge", "ingest", "collect-facebook"] {
        weir.revive(name);
    }
    weir.ready().await;
    within(COMPARED, async || match lost(&weir, "collect-facebook").await {
        Some(lost) if lost == frames as f64 => Ok(()),
        other => Err(format!("the collector shows {other:?} lost frames, not {frames}")),
    })
    .await;
    named(&weir, "collect-facebook", "frames_lost").await;
    post_each(&weir, ids("after", 5)).await;
    stored_are(&store, ids("stored", 5).chain(ids("after", 5))).await;
}

/// Waits until collectors have copied into the database how many frames wait.
async fn is_copied(store: &DatabaseConnection, frames: u64) {
    let noted = Statement::from_string(
        store.get_database_backend(),
        "SELECT coalesce(string_agg(to_jsonb(journal_states)::text, ' '), '') AS noted FROM journal_states",
    );
    within(COMPARED, async || {
        let row = store.query_one_raw(noted.clone()).await.map_err(|error| error.to_string())?;
        let noted: String = row.unwrap().try_get("", "noted").unwrap();
        let mut numbers = noted.split(|character: char| !character.is_ascii_digit());
        if numbers.any(|number| number == frames.to_string()) { Ok(()) } else { Err(noted) }
    })
    .await;
}
