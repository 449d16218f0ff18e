//! Ages remove acknowledged frames alone, and a journal that is gone tells what went with it.

use std::time::Duration;

use weir_event::Source;
use weir_journal::Settings;
use weir_testkit::eventually;

use super::{
    LONG,
    fixture::{Ground, SOON, frames, settings, take, take_one},
};

pub(super) async fn age_removes_acknowledged_frames_and_never_those_that_wait(ground: Ground) {
    let journal = ground.journal(settings(LONG)).await;
    let sent = frames(Source::Facebook, 3);
    journal.append(&sent).await.unwrap();
    let mut consumer = journal.consumer(Source::Facebook).await.unwrap();
    let mut held = take(&mut consumer, 3).await;
    held.remove(2).ack().await.unwrap();
    held.remove(0).ack().await.unwrap();
    drop((held, consumer));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let aged = Settings { acknowledged_frame_age: Duration::from_millis(1), ..settings(LONG) };
    journal.close(SOON).await;
    let journal = ground.journal(aged).await;
    eventually(async || match journal.usage().await.unwrap().frames {
        // The third is behind the second, which waits.
        2 => Ok(()),
        frames => Err(frames),
    })
    .await;
    let held = journal.present_frames(&[1, 2, 3]).await.unwrap();
    assert_eq!(held.iter().map(|frame| frame.sequence).collect::<Vec<_>>(), [2, 3]);
}

pub(super) async fn what_waits_is_noted_and_lost_with_its_journal(ground: Ground) {
    let journal = ground.journal(settings(LONG)).await;
    journal.append(&frames(Source::Facebook, 4)).await.unwrap();
    journal.append(&frames(Source::Tiktok, 2)).await.unwrap();
    take_one(&mut journal.consumer(Source::Facebook).await.unwrap()).await.ack().await.unwrap();
    let noted = journal.states(Vec::new()).await.unwrap();
    let [state] = noted.as_slice() else { panic!("{noted:?}") };
    assert_eq!((state.last_sequence, state.facebook.waiting, state.tiktok.waiting), (6, 3, 2));
    assert_eq!((state.journal, state.lost()), (journal.identity(), 0));
    let elsewhere = Ground::embedded().await;
    let another = elsewhere.journal(settings(LONG)).await;
    let after = another.states(noted).await.unwrap();
    let ended = after.iter().find(|state| state.ended).expect("the first journal has ended");
    assert_eq!((ended.facebook.lost, ended.tiktok.lost), (3, 2));
}
