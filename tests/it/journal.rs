//! The conformance suite of the journal: every story runs on both adapters.

#![expect(clippy::unwrap_used, reason = "a test that panics says what is wrong")]

mod ack_floor;
mod backlog;
mod dead_letters;
mod fixture;
mod jetstream_only;
mod retention;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use ack_floor::{
    present_frames_are_found_by_their_sequences, the_ack_floor_is_before_the_first_unacknowledged_frame,
};
use backlog::{a_frame_is_in_the_backlog_as_soon_as_it_is_appended, usage_and_backlog_count_the_frames};
use dead_letters::{
    a_letter_that_comes_again_after_its_removal_is_appended_again,
    a_letter_that_is_parked_again_outlives_the_removal_of_the_first_one,
    a_rejected_letter_that_is_appended_again_is_one_letter, a_removed_letter_is_gone_and_its_neighbours_stay,
    concurrent_appends_of_one_letter_make_one_letter, letters_are_read_page_by_page_across_gaps,
};
use fixture::{
    Fixture, SOON, events, frame, frame_of, frames, ids, origin, settings, take, take_one, usage_after_purge,
};
use retention::{
    age_removes_acknowledged_frames_and_never_unacknowledged_ones,
    unacknowledged_frames_are_recorded_and_lost_with_their_journal,
};
use weir_event::{Source, Violation};
use weir_journal::{
    AppendError, Backlog, Content, DeadLetter, DeadLetterStream, Erasure, Framer, Journal, MediaType,
    SealedFrame, Settings,
};

/// An acknowledgement deadline that does not pass during a story.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(500);

macro_rules! run_on_both_adapters {
    ($($story:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                super::$story(super::Fixture::embedded().await).await;
            })+
        }
        mod jetstream {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                super::$story(super::Fixture::jetstream().await).await;
            })+
        }
    };
}

run_on_both_adapters!(
    an_appended_frame_is_delivered_to_its_source_s_consumer,
    an_erasure_is_delivered_to_its_source_s_consumer_unchanged,
    an_unacknowledged_frame_is_delivered_again,
    an_acknowledged_frame_is_never_delivered_again,
    a_frame_that_was_put_back_is_delivered_after_its_delay,
    a_frame_that_was_put_back_without_delay_is_delivered_at_once,
    the_same_frame_appended_twice_is_delivered_once,
    two_consumers_share_the_frames,
    progress_extends_the_acknowledgement_deadline,
    frames_of_a_source_are_delivered_in_the_order_of_the_appends,
    an_append_wakes_a_waiting_consumer,
    a_full_journal_refuses_appends_until_frames_are_acknowledged,
    unacknowledged_frames_are_never_purged,
    age_removes_acknowledged_frames_and_never_unacknowledged_ones,
    unacknowledged_frames_are_recorded_and_lost_with_their_journal,
    a_frame_larger_than_the_journal_is_refused,
    dead_letters_are_read_back_exactly,
    a_rejected_letter_that_is_appended_again_is_one_letter,
    a_letter_that_is_parked_again_outlives_the_removal_of_the_first_one,
    concurrent_appends_of_one_letter_make_one_letter,
    a_removed_letter_is_gone_and_its_neighbours_stay,
    a_letter_that_comes_again_after_its_removal_is_appended_again,
    letters_are_read_page_by_page_across_gaps,
    the_newest_dead_letter_of_an_identity_is_found,
    a_restart_keeps_unacknowledged_frames_and_dead_letters,
    usage_and_backlog_count_the_frames,
    a_frame_is_in_the_backlog_as_soon_as_it_is_appended,
    the_ack_floor_is_before_the_first_unacknowledged_frame,
    present_frames_are_found_by_their_sequences,
    a_closed_journal_is_unreachable,
);

async fn an_appended_frame_is_delivered_to_its_source_s_consumer(fixture: Fixture) {
    let journal = fixture.journal(settings(LONG)).await;
    let mut framer = Framer::default();
    let sent = [events(Source::Facebook, 20), events(Source::Tiktok, 20)].concat();
    let origin = origin();
    for event in sent.clone() {
        framer.push(event, &origin, 2);
    }
    journal.append(&framer.finish()).await.unwrap();
    let mut received = Vec::new();
    for source in Source::ALL {
        let delivery = take_one(&mut journal.consumer(*source).await.unwrap()).await;
        let frame = frame_of(&delivery);
        assert_eq!((frame.source, frame.accepted(), delivery.attempt()), (*source, 60, 1));
        assert_eq!(frame.origins, std::slice::from_ref(&origin));
        received.extend(frame.events.iter().map(|framed| framed.event.clone()));
    }
    assert_eq!(received, sent);
}

async fn an_erasure_is_delivered_to_its_source_s_consumer_unchanged(fixture: Fixture) {
    let journal = fixture.journal(settings(LONG)).await;
    let erasure = Erasure::new(Source::Tiktok, "u-17".to_owned(), true, origin());
    journal.append(&[erasure.seal()]).await.unwrap();
    let delivery = take_one(&mut journal.consumer(Source::Tiktok).await.unwrap()).await;
    assert_eq!(delivery.content(), Ok(&Content::Erasure(erasure)));
}

async fn an_unacknowledged_frame_is_delivered_again(fixture: Fixture) {
    let journal = fixture.journal(settings(SHORT)).await;
    journal.append(&[frame(Source::Facebook)]).await.unwrap();
    let mut consumer = journal.consumer(Source::Facebook).await.unwrap();
    let first = take_one(&mut consumer).await;
    let again = take_one(&mut consumer).await;
    assert_eq!((first.attempt(), again.attempt()), (1, 2));
    assert_eq!(ids(&[first]), ids(&[again]));
}

async fn an_acknowledged_frame_is_never_delivered_again(fixture: Fixture) {
    let journal = fixture.journal(settings(SHORT)).await;
    journal.append(&frames(Source::Tiktok, 3)).await.unwrap();
    let mut consumer = journal.consumer(Source::Tiktok).await.unwrap();
    for delivery in take(&mut consumer, 3).await {
        delivery.ack().await.unwrap();
    }
    assert_eq!(consumer.backlog().await.unwrap(), Backlog::default());
    assert!(consumer.next(10, SHORT * 4).await.unwrap().is_empty());
}

async fn a_frame_that_was_put_back_is_delivered_after_its_delay(fixture: Fixture) {
    let journal = fixture.journal(settings(LONG)).await;
    journal.append(&[frame(Source::Tiktok)]).await.unwrap();
    let mut consumer = journal.consumer(Source::Tiktok).await.unwrap();
    let put_back = Instant::now();
    take_one(&mut consumer).await.retry_in(Duration::from_secs(1)).await.unwrap();
    let again = take_one(&mut consumer).await;
    assert_eq!(again.attempt(), 2);
    let waited = put_back.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(10)).contains(&waited), "{waited:?}");
}

async fn a_frame_that_was_put_back_without_delay_is_delivered_at_once(fixture: Fixture) {
    let journal = fixture.journal(settings(LONG)).await;
    journal.append(&[frame(Source::Tiktok)]).await.unwrap();
    take_one(&mut journal.consumer(Source::Tiktok).await.unwrap())
        .await
        .retry_in(Duration::ZERO)
        .await
        .unwrap();
    let another = &mut journal.consumer(Source::Tiktok).await.unwrap();
    assert_eq!(take_one(another).await.attempt(), 2);
}

async fn the_same_frame_appended_twice_is_delivered_once(fixture: Fixture) {
    let journal = fixture.journal(settings(LONG)).await;
    let (twice, once) = (frame(Source::Facebook), frame(Source::Facebook));
    journal.append(std::slice::from_ref(&twice)).await.unwrap();
    journal.append(&[twice.clone(), twice.clone(), once.clone()]).await.unwrap();
    let deliveries = take(&mut journal.consumer(Source::Facebook).await.unwrap(), 2).await;
    assert_eq!(ids(&deliveries), [twice.id(), once.id()]);
    assert_eq!(journal.usage().await.unwrap().frames, 2);
}

async fn two_consumers_share_the_frames(fixture: Fixture) {
    let journal = fixture.journal(settings(LONG)).await;
    let sent = frames(Source::Facebook, 40);
    journal.append(&sent).await.unwrap();
    let mut one = journal.consumer(Source::Facebook).await.unwrap();
    let mut other = journal.consumer(Source::Facebook).await.unwrap();
    let (ones, others) = tokio::join!(take(&mut one, 20), take(&mut other, 20));
    let received: BTreeSet<String> = ids(&ones).into_iter().chain(ids(&others)).collect();
    assert_eq!(received, sent.iter().map(|frame| frame.id().to_owned()).collect());
}

async fn progress_extends_the_acknowledgement_deadline(fixture: Fixture) {
    let journal = fixture.journal(settings(Duration::from_secs(1))).await;
    journal.append(&[frame(Source::Facebook)]).await.unwrap();
    let delivery = take_one(&mut journal.consumer(Source::Facebook).await.unwrap()).await;
    let mut other = journal.consumer(Source::Facebook).await.unwrap();
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(3) {
        delivery.progress().await.unwrap();
        assert!(other.next(1, Duration::from_millis(300)).await.unwrap().is_empty());
    }
    assert_eq!(take_one(&mut other).await.attempt(), 2);
}

async fn frames_of_a_source_are_delivered_in_the_order_of_the_appends(fixture: Fixture) {
    let journal = fixture.journal(settings(LONG)).await;
    let mut appended = Vec::new();
    for _ in 0..10 {
        let together = [frames(Source::Facebook, 8), frames(Source::Tiktok, 8)].concat();
        journal.append(&together).await.unwrap();
        appended.extend(together);
    }
    for source in Source::ALL {
        let deliveries = take(&mut journal.consumer(*source).await.unwrap(), 80).await;
        let of_source = appended.iter().filter(|frame| frame.source() == *source);
        assert_eq!(ids(&deliveries), of_source.map(SealedFrame::id).collect::<Vec<_>>());
    }
}

async fn an_append_wakes_a_waiting_consumer(fixture: Fixture) {
    let journal = fixture.journal(settings(LONG)).await;
    let mut consumer = journal.consumer(Source::Tiktok).await.unwrap();
    let waiting = tokio::spawn(async move { consumer.next(100, SOON).await.unwrap().len() });
    tokio::task::yield_now().await;
    let started = Instant::now();
    journal.append(&[frame(Source::Facebook), frame(Source::Tiktok)]).await.unwrap();
    assert_eq!(waiting.await.unwrap(), 1);
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "the call returns with the first frame: {:?}",
        started.elapsed()
    );
}

/// Appends until the journal refuses. Returns the appended frames.
async fn fill_up(journal: &Journal, source: Source) -> Vec<SealedFrame> {
    let mut taken = Vec::new();
    loop {
        let next = frame(source);
        match journal.append(std::slice::from_ref(&next)).await {
            Ok(()) => taken.push(next),
            Err(error) => {
                assert_eq!(error, AppendError::Full);
                return taken;
            }
        }
        assert!(taken.len() < 1000, "the journal never refuses");
    }
}

const SMALL: u64 = 128 * 1024;

fn small() -> Settings {
    Settings { max_bytes: SMALL, ..settings(LONG) }
}

async fn a_full_journal_refuses_appends_until_frames_are_acknowledged(fixture: Fixture) {
    let journal = fixture.journal(small()).await;
    let taken = fill_up(&journal, Source::Tiktok).await;
    let (mut consumer, next) = (journal.consumer(Source::Tiktok).await.unwrap(), frame(Source::Tiktok));
    for delivery in take(&mut consumer, taken.len()).await {
        delivery.ack().await.unwrap();
    }
    let taken_again = async {
        while journal.append(std::slice::from_ref(&next)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, taken_again).await.expect("acknowledged frames make room");
    let usage = usage_after_purge(&journal).await;
    assert!(usage.frames > 1, "the journal purges more than necessary: {usage:?}");
    assert_eq!(ids(&take(&mut consumer, 1).await), [next.id()]);
}

async fn unacknowledged_frames_are_never_purged(fixture: Fixture) {
    let journal = fixture.journal(small()).await;
    let mut unacknowledged = frames(Source::Facebook, 3);
    journal.append(&unacknowledged).await.unwrap();
    let tiktok = fill_up(&journal, Source::Tiktok).await;
    for delivery in take(&mut journal.consumer(Source::Tiktok).await.unwrap(), tiktok.len()).await {
        delivery.ack().await.unwrap();
    }
    let purge = async {
        while journal.usage().await.unwrap().frames == (unacknowledged.len() + tiktok.len()) as u64 {
            journal.append(&[frame(Source::Tiktok)]).await.ok();
        }
    };
    tokio::time::timeout(SOON, purge).await.expect("acknowledged frames make room");
    unacknowledged.extend(fill_up(&journal, Source::Facebook).await);
    let mut consumer = journal.consumer(Source::Facebook).await.unwrap();
    let delivered = take(&mut consumer, unacknowledged.len()).await;
    assert_eq!(ids(&delivered), unacknowledged.iter().map(SealedFrame::id).collect::<Vec<_>>());
}

async fn a_frame_larger_than_the_journal_is_refused(fixture: Fixture) {
    let journal = fixture.journal(Settings { max_bytes: 1024, ..settings(LONG) }).await;
    let refusal = journal.append(&[frame(Source::Facebook)]).await.unwrap_err();
    assert!(matches!(refusal, AppendError::TooLarge { .. } | AppendError::Full), "{refusal:?}");
}

async fn dead_letters_are_read_back_exactly(fixture: Fixture) {
    let journal = fixture.journal(settings(LONG)).await;
    let violations =
        vec![Violation::new("/data/user/gender", "must be one of …"), Violation::new("", "\u{1F4A9}")];
    let raw: [&[u8]; 4] = [b"{\"eventId\":1}", b"\xff\xfe\0", b"", &[b'x'; 100_000]];
    let letters: Vec<DeadLetter> = (0..4)
        .map(|index| {
            let raw = raw[index % raw.len()].to_vec().into();
            let (source, id) =
                [(None, None), (Some(Source::Tiktok), Some("tt 1.*>".to_owned()))][index % 2].clone();
            DeadLetter::new(raw, MediaType::Json, violations.clone(), source, id, origin())
        })
        .collect();
    for stream in DeadLetterStream::ALL {
        assert!(journal.dead_letters(stream, 0, 10).await.unwrap().is_empty());
        journal.append_dead_letters(stream, &letters).await.unwrap();
        let first = journal.dead_letters(stream, 0, 3).await.unwrap();
        let rest = journal.dead_letters(stream, first[2].sequence, 10).await.unwrap();
        let stored = [first, rest].concat();
        assert_eq!(
            stored.iter().map(|stored| &stored.letter).collect::<Vec<_>>(),
            letters.iter().collect::<Vec<_>>()
        );
        assert!(stored.is_sorted_by(|one, next| one.sequence < next.sequence));
        let stats = journal.dead_letter_stats(stream).await.unwrap();
        assert_eq!((stats.letters, stats.gone), (4, 0));
        assert!(stats.bytes > letters.iter().map(|letter| letter.raw.len() as u64).sum());
        let prefix = if stream == DeadLetterStream::Rejected { "rejected." } else { "dead." };
        assert!(stored.iter().all(|stored| stored.subject.starts_with(prefix)));
    }
}

async fn the_newest_dead_letter_of_an_identity_is_found(fixture: Fixture) {
    let journal = fixture.journal(settings(LONG)).await;
    let letter = |raw: &str, source, id: Option<&str>| {
        let raw = raw.to_owned().into_bytes().into();
        let violations = vec![Violation::new("", "no")];
        DeadLetter::new(raw, MediaType::Json, violations, source, id.map(str::to_owned), origin())
    };
    let (facebook, id) = (Some(Source::Facebook), "a/b *.>é");
    let [first, newest] = ["first", "newest"].map(|raw| letter(raw, facebook, Some(id)));
    let sourceless = letter("sourceless", None, Some(id));
    let letters = [first, newest.clone(), sourceless.clone(), letter("nameless", None, None)];
    for stream in DeadLetterStream::ALL {
        let found = async |source, id| {
            let found = journal.last_dead_letter(stream, source, id).await.unwrap();
            found.map(|stored| stored.letter)
        };
        assert_eq!(found(facebook, id).await, None);
        journal.append_dead_letters(stream, &letters).await.unwrap();
        assert_eq!(found(facebook, id).await, Some(newest.clone()));
        assert_eq!(found(None, id).await, Some(sourceless.clone()));
        assert_eq!(found(Some(Source::Tiktok), id).await, None);
        assert_eq!(found(facebook, "a/b").await, None);
        assert_eq!(found(None, "nameless").await, None, "the bytes of an item are no id");
    }
}

async fn a_restart_keeps_unacknowledged_frames_and_dead_letters(mut fixture: Fixture) {
    let journal = fixture.journal(settings(LONG)).await;
    let sent = frames(Source::Facebook, 4);
    journal.append(&sent).await.unwrap();
    let letter =
        DeadLetter::new("{}".into(), MediaType::Json, vec![Violation::new("", "no")], None, None, origin());
    journal.append_dead_letters(DeadLetterStream::Rejected, std::slice::from_ref(&letter)).await.unwrap();
    let mut consumer = journal.consumer(Source::Facebook).await.unwrap();
    take_one(&mut consumer).await.ack().await.unwrap();
    drop(consumer);
    let journal = fixture.restart(journal, settings(LONG)).await;
    let mut consumer = journal.consumer(Source::Facebook).await.unwrap();
    let mut kept = Vec::new();
    // A killed server may forget an acknowledgement, and delivers the frame again.
    while sent[1..].iter().any(|frame| !kept.iter().any(|id| id == frame.id())) {
        kept.extend(ids(&take(&mut consumer, 1).await));
    }
    assert_eq!(journal.dead_letters(DeadLetterStream::Rejected, 0, 10).await.unwrap()[0].letter, letter);
}

async fn a_closed_journal_is_unreachable(fixture: Fixture) {
    let journal = fixture.journal(settings(LONG)).await;
    let mut consumer = journal.consumer(Source::Facebook).await.unwrap();
    journal.clone().close(SOON).await;
    let refusal = journal.append(&[frame(Source::Facebook)]).await.unwrap_err();
    assert!(matches!(refusal, AppendError::Unreachable(_)), "{refusal:?}");
    consumer.next(1, SHORT).await.unwrap_err();
    journal.usage().await.unwrap_err();
}
