//! What only the embedded journal can be asked: its file, its bounds, and a crash in the middle.

use chrono::{SubsecRound as _, Utc};
use tempfile::TempDir;
use weir_event::{Origin, Violation};
use weir_process::CorrelationId;

use super::*;
use crate::{Delivery, FrameError, JournalState, MediaType};

const LONG: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(10);

fn origin() -> Origin {
    Origin {
        correlation_id: CorrelationId::generate(),
        traceparent: String::new(),
        tracestate: String::new(),
        arrived_at: Utc::now().trunc_subsecs(6),
    }
}

/// Frames that no build of this version reads: what is in them does not matter here.
fn frames(count: usize) -> Vec<SealedFrame> {
    (0..count).map(|_| SealedFrame::of_version(3, Source::Facebook, origin())).collect()
}

fn letters(count: usize) -> Vec<DeadLetter> {
    (0..count)
        .map(|index| {
            let raw = format!("{index}").into();
            DeadLetter::new(raw, MediaType::Json, vec![Violation::new("", "no")], None, None, origin())
        })
        .collect()
}

async fn open(folder: &TempDir, bounds: Bounds) -> Embedded {
    Embedded::bounded(folder.path(), bounds, LONG).await.unwrap()
}

async fn take(journal: &Embedded, count: usize) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    let mut consumer = journal.consumer(Source::Facebook);
    while deliveries.len() < count {
        let next = consumer.next(count - deliveries.len(), SOON).await.unwrap();
        assert!(!next.is_empty(), "a frame is missing");
        deliveries.extend(next);
    }
    deliveries
}

/// What lies on the disk at this moment, as a process that is killed now would leave it.
fn crash(folder: &TempDir) -> TempDir {
    let left = tempfile::tempdir().unwrap();
    for name in ["journal.db", "journal.db-wal"] {
        std::fs::copy(folder.path().join(name), left.path().join(name)).unwrap();
    }
    left
}

#[tokio::test]
async fn a_crash_loses_nothing_and_frees_what_was_held() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, Bounds::new(1 << 20)).await;
    let sent = frames(3);
    journal.append(&sent).await.unwrap();
    let mut held = take(&journal, 3).await;
    held.remove(0).ack().await.unwrap();
    let left = crash(&folder);
    let after = open(&left, Bounds::new(1 << 20)).await;
    let again = take(&after, 2).await;
    let payloads: Vec<&bytes::Bytes> = again.iter().map(Delivery::raw).collect();
    assert_eq!(payloads, [sent[1].payload(), sent[2].payload()]);
    assert!(
        again.iter().all(|delivery| delivery.attempt() == 2),
        "the offers are written with the acknowledgement"
    );
}

#[tokio::test]
async fn a_frame_of_a_newer_version_is_offered_with_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, Bounds::new(1 << 20)).await;
    let sent = frames(1);
    journal.append(&sent).await.unwrap();
    let delivery = take(&journal, 1).await.remove(0);
    assert_eq!(delivery.content(), Err(&FrameError::Newer(3)));
    assert_eq!(delivery.raw(), sent[0].payload());
    delivery.retry_in(Duration::ZERO).await.unwrap();
    assert_eq!(take(&journal, 1).await[0].attempt(), 2);
}

#[tokio::test]
async fn appends_that_come_together_are_all_kept() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, Bounds::new(1 << 20)).await;
    let appends = (0..100).map(|_| {
        let journal = journal.clone();
        async move { journal.append(&frames(2)).await }
    });
    assert!(futures::future::join_all(appends).await.iter().all(Result::is_ok));
    assert_eq!(take(&journal, 200).await.len(), 200);
    assert_eq!(journal.usage().unwrap().frames, 200);
}

#[tokio::test]
async fn a_second_process_is_kept_out() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, Bounds::new(1 << 20)).await;
    let refused = Embedded::bounded(folder.path(), Bounds::new(1 << 20), LONG).await.unwrap_err();
    assert!(matches!(refused, JournalError::Unusable(_)), "{refused}");
    journal.close(SOON).await;
    open(&folder, Bounds::new(1 << 20)).await;
}

#[tokio::test]
async fn a_file_that_is_no_journal_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("journal.db"), "a letter to my aunt".repeat(100)).unwrap();
    let refused = Embedded::bounded(folder.path(), Bounds::new(1 << 20), LONG).await.unwrap_err();
    assert!(matches!(refused, JournalError::Unusable(_)), "{refused}");
}

#[tokio::test]
async fn a_file_of_the_first_format_is_brought_up_to_date() {
    const FIRST_FORMAT: &str = "
        DROP INDEX rejected_fingerprint; ALTER TABLE rejected DROP COLUMN fingerprint;
        DROP INDEX parked_fingerprint; ALTER TABLE parked DROP COLUMN fingerprint;
        PRAGMA user_version = 1;
    ";
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, Bounds::new(1 << 20)).await;
    let letters = letters(2);
    journal.append_dead_letters(DeadLetterStream::Rejected, &letters[..1]).await.unwrap();
    journal.close(SOON).await;
    let mut file = file::open(folder.path()).await.unwrap();
    sqlx::raw_sql(FIRST_FORMAT).execute(&mut file.writer).await.unwrap();
    drop(file);
    let journal = open(&folder, Bounds::new(1 << 20)).await;
    journal.append_dead_letters(DeadLetterStream::Rejected, &letters[1..]).await.unwrap();
    let kept = journal.dead_letters(DeadLetterStream::Rejected, 0, 10).await.unwrap();
    assert!(kept.iter().map(|stored| &stored.letter).eq(&letters));
}

#[tokio::test]
async fn full_rejected_drops_its_oldest_and_full_dead_letters_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, Bounds { letter_bytes: 10_000, ..Bounds::new(1 << 20) }).await;
    let letters = letters(100);
    for letter in &letters {
        journal.append_dead_letters(DeadLetterStream::Rejected, std::slice::from_ref(letter)).await.unwrap();
    }
    let kept = journal.dead_letters(DeadLetterStream::Rejected, 0, 1000).await.unwrap();
    assert!((10..100).contains(&kept.len()), "{}", kept.len());
    let newest = &letters[100 - kept.len()..];
    assert!(kept.iter().map(|stored| &stored.letter).eq(newest));
    assert_eq!(kept.last().unwrap().sequence, 100);
    let stats = journal.dead_letter_stats(DeadLetterStream::Rejected).await.unwrap();
    assert_eq!((stats.letters, stats.gone), (kept.len() as u64, 100 - kept.len() as u64));
    assert_eq!(journal.append_dead_letters(DeadLetterStream::Parked, &letters).await, Err(AppendError::Full));
    journal.append_dead_letters(DeadLetterStream::Parked, &letters[..10]).await.unwrap();
    assert_eq!(journal.dead_letters(DeadLetterStream::Parked, 0, 1000).await.unwrap().len(), 10);
}

#[tokio::test]
async fn a_full_disk_is_a_refusal_and_loses_nothing() {
    /// SQLite refuses to grow a file beyond its page count as it does on a full disk.
    const SMALL_DISK: &str = "PRAGMA max_page_count = 40";
    let folder = tempfile::tempdir().unwrap();
    let mut file = file::open(folder.path()).await.unwrap();
    sqlx::query(SMALL_DISK).execute(&mut file.writer).await.unwrap();
    let (fill, _shown) = watch::channel(Usage::default());
    let clock = FileClock::open(&mut file.writer).await.unwrap();
    let writing =
        Writer::start(file.writer, file.lock, Bounds::new(1 << 30), Lanes::new(), fill, clock).await.unwrap();
    let append =
        |frames: &[SealedFrame]| writing.ask(Work::Append(frames.iter().map(Record::from).collect()));
    let mut taken = 0;
    while append(&frames(10)).await.is_ok() {
        taken += 10;
    }
    assert_eq!(append(&frames(1000)).await, Err(AppendError::Full));
    writing.acknowledge(1).await.unwrap();
    writing.close().await;
    let journal = open(&folder, Bounds::new(1 << 30)).await;
    assert_eq!(journal.usage().unwrap().frames, taken);
    journal.append(&frames(1000)).await.unwrap();
    assert_eq!(take(&journal, taken as usize + 999).await.len(), taken as usize + 999);
}

/// Everything is past its age.
fn aged() -> Bounds {
    Bounds { frame_age: Duration::ZERO, letter_age: Duration::ZERO, ..Bounds::new(1 << 20) }
}

#[tokio::test]
async fn age_removes_what_is_acknowledged_and_never_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, Bounds::new(1 << 20)).await;
    let sent = frames(4);
    journal.append(&sent).await.unwrap();
    journal.append_dead_letters(DeadLetterStream::Rejected, &letters(3)).await.unwrap();
    let mut held = take(&journal, 4).await;
    // The first and the third: behind the second, the third is kept too.
    held.remove(2).ack().await.unwrap();
    held.remove(0).ack().await.unwrap();
    journal.close(SOON).await;
    let journal = open(&folder, aged()).await;
    assert_eq!(journal.usage().unwrap().frames, 3);
    let waiting = take(&journal, 2).await;
    let payloads: Vec<&bytes::Bytes> = waiting.iter().map(Delivery::raw).collect();
    assert_eq!(payloads, [sent[1].payload(), sent[3].payload()]);
    assert!(journal.dead_letters(DeadLetterStream::Rejected, 0, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_leap_of_the_clock_holds_all_removal_and_says_so() {
    const WEEKS_AGO: &str = "UPDATE clock SET wall = wall - 3 * 7 * 86400 * 1000000";
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, Bounds::new(1 << 20)).await;
    assert_eq!(journal.clock(), Clock::Alone { held: None });
    journal.append(&frames(1)).await.unwrap();
    take(&journal, 1).await.remove(0).ack().await.unwrap();
    journal.append_dead_letters(DeadLetterStream::Rejected, &letters(1)).await.unwrap();
    journal.close(SOON).await;
    let mut file = file::open(folder.path()).await.unwrap();
    sqlx::raw_sql(WEEKS_AGO).execute(&mut file.writer).await.unwrap();
    drop(file);
    // However often it is started again.
    for _ in 0..2 {
        let journal = open(&folder, aged()).await;
        let Clock::Alone { held: Some(reason) } = journal.clock() else { panic!("nothing is held") };
        assert!(reason.contains("21d ahead") && reason.contains("removal by age is held"), "{reason}");
        assert_eq!(journal.usage().unwrap().frames, 1);
        assert_eq!(journal.dead_letters(DeadLetterStream::Rejected, 0, 10).await.unwrap().len(), 1);
        journal.close(SOON).await;
    }
}

#[tokio::test]
async fn a_file_of_a_build_that_noted_no_time_tells_it_by_what_was_written_last() {
    const OLD: &str = "DELETE FROM clock; UPDATE frame SET stored_at = stored_at - 2 * 86400 * 1000000;";
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, Bounds::new(1 << 20)).await;
    journal.append(&frames(1)).await.unwrap();
    journal.close(SOON).await;
    let mut file = file::open(folder.path()).await.unwrap();
    sqlx::raw_sql(OLD).execute(&mut file.writer).await.unwrap();
    drop(file);
    let journal = open(&folder, Bounds::new(1 << 20)).await;
    assert!(matches!(journal.clock(), Clock::Alone { held: Some(reason) } if reason.contains("2d ahead")));
}

#[tokio::test]
async fn what_waited_in_a_file_that_is_gone_is_lost_and_a_copy_brings_part_of_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, Bounds::new(1 << 20)).await;
    journal.append(&frames(2)).await.unwrap();
    let copy = crash(&folder);
    journal.append(&frames(3)).await.unwrap();
    take(&journal, 1).await.remove(0).ack().await.unwrap();
    let noted = journal.states(Vec::new()).await.unwrap();
    assert_eq!((noted[0].last_sequence, noted[0].facebook.waiting, noted[0].lost()), (5, 4, 0));

    let restored = open(&copy, Bounds::new(1 << 20)).await;
    let after = restored.states(noted.clone()).await.unwrap();
    assert_eq!((after.len(), after[0].facebook.lost, after[0].tiktok.lost), (1, 3, 0));

    let another = tempfile::tempdir().unwrap();
    let anew = open(&another, Bounds::new(1 << 20)).await;
    let after = anew.states(noted).await.unwrap();
    assert_eq!(after.iter().map(JournalState::lost).sum::<u64>(), 4);
    let again = anew.states(after.clone()).await.unwrap();
    assert_eq!(again, after, "counted again");
}

#[tokio::test]
async fn a_letter_that_is_removed_leaves_nothing_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, Bounds::new(1 << 20)).await;
    let letters = ["to be forgotten", "to be kept"].map(|raw| {
        // Long enough for pages of its own besides.
        let raw = raw.repeat(1_000).into();
        DeadLetter::new(raw, MediaType::Json, vec![Violation::new("", "no")], None, None, origin())
    });
    journal.append_dead_letters(DeadLetterStream::Rejected, &letters).await.unwrap();
    journal.remove_dead_letters(DeadLetterStream::Rejected, &[1]).await.unwrap();
    let path = folder.path().join("journal.db");
    let url = format!("sqlite://{}", path.display());
    let mut beside = <sqlx::SqliteConnection as sqlx::Connection>::connect(&url).await.unwrap();
    // What was written before stands in the log until it goes round.
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut beside).await.unwrap();
    let file = std::fs::read(path).unwrap();
    let holds = |text: &[u8]| file.windows(text.len()).any(|window| window == text);
    assert!(holds(b"to be kept"));
    assert!(!holds(b"to be forgotten"));
}
