//! Stories of retention: age removes acknowledged frames only, and checkpoints count the frames of a lost journal.

use std::time::Duration;

use weir_event::Source;
use weir_journal::Settings;
use weir_testkit::eventually;

use super::{
    LONG,
    fixture::{Fixture, SOON, frames, settings, take, take_one},
};

pub(super) async fn age_removes_acknowledged_frames_and_never_unacknowledged_ones(fixture: Fixture) {
    let journal = fixture.journal(settings(LONG)).await;
    let sent = frames(Source::Facebook, 3);
    journal.append(&sent).await.unwrap();
    let mut consumer = journal.consumer(Source::Facebook).await.unwrap();
    let mut deliveries = take(&mut consumer, 3).await;
    deliveries.remove(2).ack().await.unwrap();
    deliveries.remove(0).ack().await.unwrap();
    drop((deliveries, consumer));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let aged = Settings { acknowledged_frame_age: Duration::from_millis(1), ..settings(LONG) };
    journal.close(SOON).await;
    let journal = fixture.journal(aged).await;
    eventually(async || match journal.usage().await.unwrap().frames {
        // The third frame stays, because the second before it is not acknowledged.
        2 => Ok(()),
        frames => Err(frames),
    })
    .await;
    let present = journal.present_frames(&[1, 2, 3]).await.unwrap();
    assert_eq!(present.iter().map(|frame| frame.sequence).collect::<Vec<_>>(), [2, 3]);
}

pub(super) async fn unacknowledged_frames_are_recorded_and_lost_with_their_journal(fixture: Fixture) {
    let journal = fixture.journal(settings(LONG)).await;
    journal.append(&frames(Source::Facebook, 4)).await.unwrap();
    journal.append(&frames(Source::Tiktok, 2)).await.unwrap();
    take_one(&mut journal.consumer(Source::Facebook).await.unwrap()).await.ack().await.unwrap();
    let recorded = journal.update_checkpoints(Vec::new()).await.unwrap();
    let [checkpoint] = recorded.as_slice() else { panic!("{recorded:?}") };
    let waiting = (checkpoint.facebook.waiting, checkpoint.tiktok.waiting);
    assert_eq!((checkpoint.last_sequence, waiting), (6, (3, 2)));
    assert_eq!((checkpoint.journal, checkpoint.lost()), (journal.identity(), 0));
    let elsewhere = Fixture::embedded().await;
    let another = elsewhere.journal(settings(LONG)).await;
    let after = another.update_checkpoints(recorded).await.unwrap();
    let ended = after.iter().find(|checkpoint| checkpoint.ended).expect("the first journal has ended");
    assert_eq!((ended.facebook.lost, ended.tiktok.lost), (3, 2));
}
