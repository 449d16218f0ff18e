//! Stories of the acknowledgement floor, and of the frames that are still in the journal.

use weir_event::Source;
use weir_journal::{AckFloor, Delivery, PresentFrame};

use super::{
    LONG,
    fixture::{Fixture, frame, frames, settings, take, take_one},
};

pub(super) async fn the_ack_floor_is_before_the_first_unacknowledged_frame(mut fixture: Fixture) {
    let journal = fixture.journal(settings(LONG)).await;
    let floor = |through| AckFloor { journal: journal.identity(), through };
    assert_eq!(journal.ack_floor().await.unwrap(), floor(0));
    for source in [Source::Facebook, Source::Tiktok, Source::Facebook, Source::Tiktok, Source::Facebook] {
        journal.append(&[frame(source)]).await.unwrap();
    }
    let mut facebook = take(&mut journal.consumer(Source::Facebook).await.unwrap(), 3).await;
    let mut tiktok = take(&mut journal.consumer(Source::Tiktok).await.unwrap(), 2).await;
    let sequences = |deliveries: &[Delivery]| deliveries.iter().map(Delivery::sequence).collect::<Vec<_>>();
    assert_eq!((sequences(&facebook), sequences(&tiktok)), (vec![1, 3, 5], vec![2, 4]));
    for (delivery, through) in [
        (tiktok.remove(0), 0),
        (facebook.remove(0), 2),
        (facebook.remove(1), 2),
        (facebook.remove(0), 3),
        (tiktok.remove(0), 5),
    ] {
        delivery.ack().await.unwrap();
        assert_eq!(journal.ack_floor().await.unwrap(), floor(through));
    }
    let identity = journal.identity();
    let journal = fixture.restart(journal, settings(LONG)).await;
    assert_eq!(journal.identity(), identity);
    assert_ne!(Fixture::embedded().await.journal(settings(LONG)).await.identity(), identity);
}

pub(super) async fn present_frames_are_found_by_their_sequences(fixture: Fixture) {
    let journal = fixture.journal(settings(LONG)).await;
    let appended = [frames(Source::Facebook, 2), frames(Source::Tiktok, 1)].concat();
    journal.append(&appended).await.unwrap();
    take_one(&mut journal.consumer(Source::Facebook).await.unwrap()).await.ack().await.unwrap();
    let present = journal.present_frames(&[1, 3, 17]).await.unwrap();
    let expected = [1, 3].map(|sequence: u64| PresentFrame {
        sequence,
        id: appended[usize::try_from(sequence).unwrap() - 1].id().to_owned(),
    });
    assert_eq!(present, expected);
}
