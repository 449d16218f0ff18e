//! The frames in a journal and in its backlogs.

use chrono::Utc;
use weir_event::Source;
use weir_journal::Backlog;

use super::{
    LONG, SMALL,
    fixture::{Fixture, frame, frames, settings, take, take_one},
    small,
};

pub(super) async fn usage_and_backlog_count_the_frames(fixture: Fixture) {
    let journal = fixture.journal(small()).await;
    assert_eq!(journal.usage().await.unwrap().bytes, 0);
    let before = Utc::now();
    journal.append(&frames(Source::Facebook, 5)).await.unwrap();
    let mut consumer = journal.consumer(Source::Facebook).await.unwrap();
    let deliveries = take(&mut consumer, 2).await;
    let usage = journal.usage().await.unwrap();
    assert_eq!((usage.frames, usage.max_bytes), (5, SMALL));
    assert!(usage.bytes > 5 * 1000, "{usage:?}");
    let backlog = Backlog { waiting: 3, in_flight: deliveries.len() as u64 };
    assert_eq!(consumer.backlog().await.unwrap(), backlog);
    assert_eq!(journal.backlog(Source::Facebook).await.unwrap(), backlog);
    assert_eq!(journal.backlog(Source::Tiktok).await.unwrap(), Backlog::default());
    let oldest = journal.oldest_unacknowledged(Source::Facebook).await.unwrap();
    assert!(oldest.is_some_and(|oldest| (before..=Utc::now()).contains(&oldest)), "{oldest:?}");
    assert_eq!(journal.oldest_unacknowledged(Source::Tiktok).await.unwrap(), None);
}

/// A server may count frames a moment after it acknowledged them.
pub(super) async fn a_frame_is_in_the_backlog_as_soon_as_it_is_appended(fixture: Fixture) {
    let journal = fixture.journal(settings(LONG)).await;
    let mut consumer = journal.consumer(Source::Facebook).await.unwrap();
    for frames in 0..400 {
        journal.append(&[frame(Source::Facebook)]).await.unwrap();
        assert_ne!(journal.backlog(Source::Facebook).await.unwrap(), Backlog::default(), "frame {frames}");
        take_one(&mut consumer).await.ack().await.unwrap();
    }
}
