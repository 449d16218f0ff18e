//! Tests of the embedded journal alone: its file, its limits and crashes.

use chrono::{SubsecRound as _, Utc};
use tempfile::TempDir;
use weir_event::{Origin, Violation};
use weir_process::CorrelationId;

use super::*;
use crate::{
    consumer::{Consumer, Delivery},
    dead_letter::MediaType,
    frame::FrameError,
};

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

/// Frames of a newer version. Their contents do not matter here.
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

async fn open(folder: &TempDir, limits: FileLimits) -> EmbeddedJournal {
    EmbeddedJournal::open_with_limits(folder.path(), limits, LONG).await.unwrap()
}

async fn take(journal: &EmbeddedJournal, count: usize) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    let mut consumer = Consumer::Embedded(journal.consumer(Source::Facebook));
    while deliveries.len() < count {
        let next = consumer.next(count - deliveries.len(), SOON).await.unwrap();
        assert!(!next.is_empty(), "a frame is missing");
        deliveries.extend(next);
    }
    deliveries
}

/// A copy of the files on the disk now, as a killed process would leave them.
fn crash(folder: &TempDir) -> TempDir {
    let left = tempfile::tempdir().unwrap();
    for name in ["journal.db", "journal.db-wal"] {
        std::fs::copy(folder.path().join(name), left.path().join(name)).unwrap();
    }
    left
}

#[tokio::test]
async fn a_crash_loses_no_frame_and_ends_every_lease() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, FileLimits::new(1 << 20)).await;
    let sent = frames(3);
    journal.append(&sent).await.unwrap();
    let mut deliveries = take(&journal, 3).await;
    deliveries.remove(0).ack().await.unwrap();
    let left = crash(&folder);
    let after = open(&left, FileLimits::new(1 << 20)).await;
    let again = take(&after, 2).await;
    let payloads: Vec<&bytes::Bytes> = again.iter().map(Delivery::raw).collect();
    assert_eq!(payloads, [sent[1].payload(), sent[2].payload()]);
    assert!(
        again.iter().all(|delivery| delivery.attempt() == 2),
        "the deliveries are counted with the acknowledgement"
    );
}

#[tokio::test]
async fn a_frame_of_a_newer_version_is_delivered_with_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, FileLimits::new(1 << 20)).await;
    let sent = frames(1);
    journal.append(&sent).await.unwrap();
    let delivery = take(&journal, 1).await.remove(0);
    assert_eq!(delivery.content(), Err(&FrameError::Newer(3)));
    assert_eq!(delivery.raw(), sent[0].payload());
    delivery.retry_in(Duration::ZERO).await.unwrap();
    assert_eq!(take(&journal, 1).await[0].attempt(), 2);
}

#[tokio::test]
async fn concurrent_appends_are_all_kept() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, FileLimits::new(1 << 20)).await;
    let appends = (0..100).map(|_| {
        let journal = journal.clone();
        async move { journal.append(&frames(2)).await }
    });
    assert!(futures::future::join_all(appends).await.iter().all(Result::is_ok));
    assert_eq!(take(&journal, 200).await.len(), 200);
    assert_eq!(journal.usage().unwrap().frames, 200);
}

#[tokio::test]
async fn a_second_process_can_not_open_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, FileLimits::new(1 << 20)).await;
    let refused =
        EmbeddedJournal::open_with_limits(folder.path(), FileLimits::new(1 << 20), LONG).await.unwrap_err();
    assert!(matches!(refused, JournalError::Unusable(_)), "{refused}");
    journal.close(SOON).await;
    open(&folder, FileLimits::new(1 << 20)).await;
}

#[tokio::test]
async fn a_file_that_is_no_journal_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("journal.db"), "a letter to my aunt".repeat(100)).unwrap();
    let refused =
        EmbeddedJournal::open_with_limits(folder.path(), FileLimits::new(1 << 20), LONG).await.unwrap_err();
    assert!(matches!(refused, JournalError::Unusable(_)), "{refused}");
}

#[tokio::test]
async fn a_file_of_the_first_format_is_upgraded() {
    const FIRST_FORMAT: &str = "
        DROP INDEX rejected_fingerprint; ALTER TABLE rejected DROP COLUMN fingerprint;
        DROP INDEX parked_fingerprint; ALTER TABLE parked DROP COLUMN fingerprint;
        PRAGMA user_version = 1;
    ";
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, FileLimits::new(1 << 20)).await;
    let letters = letters(2);
    journal.append_dead_letters(DeadLetterStream::Rejected, &letters[..1]).await.unwrap();
    journal.close(SOON).await;
    let mut file = file::open(folder.path()).await.unwrap();
    sqlx::raw_sql(FIRST_FORMAT).execute(&mut file.writer).await.unwrap();
    drop(file);
    let journal = open(&folder, FileLimits::new(1 << 20)).await;
    journal.append_dead_letters(DeadLetterStream::Rejected, &letters[1..]).await.unwrap();
    let kept = journal.dead_letters(DeadLetterStream::Rejected, 0, 10).await.unwrap();
    assert!(kept.iter().map(|stored| &stored.letter).eq(&letters));
}

#[tokio::test]
async fn a_full_rejected_stream_drops_its_oldest_letters_and_a_full_dead_letter_stream_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, FileLimits { letter_bytes: 10_000, ..FileLimits::new(1 << 20) }).await;
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
async fn a_full_disk_refuses_appends_and_loses_no_frame() {
    /// SQLite refuses to grow a file beyond its page count as it does on a full disk.
    const SMALL_DISK: &str = "PRAGMA max_page_count = 40";
    let folder = tempfile::tempdir().unwrap();
    let mut file = file::open(folder.path()).await.unwrap();
    sqlx::query(SMALL_DISK).execute(&mut file.writer).await.unwrap();
    let (usage, _receiver) = watch::channel(Usage::default());
    let clock = FileClock::open(&mut file.writer).await.unwrap();
    let (limits, queues) = (FileLimits::new(1 << 30), SourceQueues::default());
    let writer = Writer::start(file.writer, file.lock, limits, queues, usage, clock).await.unwrap();
    let append = |frames: &[SealedFrame]| {
        writer.execute(Operation::Append(frames.iter().map(NewFrame::from).collect()))
    };
    let mut taken = 0;
    while append(&frames(10)).await.is_ok() {
        taken += 10;
    }
    assert_eq!(append(&frames(1000)).await, Err(AppendError::Full));
    writer.acknowledge(1).await.unwrap();
    writer.close().await;
    let journal = open(&folder, FileLimits::new(1 << 30)).await;
    assert_eq!(journal.usage().unwrap().frames, taken);
    journal.append(&frames(1000)).await.unwrap();
    assert_eq!(take(&journal, taken as usize + 999).await.len(), taken as usize + 999);
}

/// Limits under which every row has expired.
fn expired() -> FileLimits {
    FileLimits { frame_age: Duration::ZERO, letter_age: Duration::ZERO, ..FileLimits::new(1 << 20) }
}

#[tokio::test]
async fn expiry_removes_acknowledged_frames_and_never_unacknowledged_ones() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, FileLimits::new(1 << 20)).await;
    let sent = frames(4);
    journal.append(&sent).await.unwrap();
    journal.append_dead_letters(DeadLetterStream::Rejected, &letters(3)).await.unwrap();
    let mut deliveries = take(&journal, 4).await;
    // Acknowledges the first and the third. The third is kept, because the second before it is not acknowledged.
    deliveries.remove(2).ack().await.unwrap();
    deliveries.remove(0).ack().await.unwrap();
    journal.close(SOON).await;
    let journal = open(&folder, expired()).await;
    assert_eq!(journal.usage().unwrap().frames, 3);
    let waiting = take(&journal, 2).await;
    let payloads: Vec<&bytes::Bytes> = waiting.iter().map(Delivery::raw).collect();
    assert_eq!(payloads, [sent[1].payload(), sent[3].payload()]);
    assert!(journal.dead_letters(DeadLetterStream::Rejected, 0, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_leap_of_the_clock_holds_all_removal_by_age() {
    const WEEKS_AGO: &str = "UPDATE clock SET wall = wall - 3 * 7 * 86400 * 1000000";
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, FileLimits::new(1 << 20)).await;
    assert_eq!(journal.clock(), Clock::Local { held: None });
    journal.append(&frames(1)).await.unwrap();
    take(&journal, 1).await.remove(0).ack().await.unwrap();
    journal.append_dead_letters(DeadLetterStream::Rejected, &letters(1)).await.unwrap();
    journal.close(SOON).await;
    let mut file = file::open(folder.path()).await.unwrap();
    sqlx::raw_sql(WEEKS_AGO).execute(&mut file.writer).await.unwrap();
    drop(file);
    // Every start finds the leap again.
    for _ in 0..2 {
        let journal = open(&folder, expired()).await;
        let Clock::Local { held: Some(reason) } = journal.clock() else { panic!("removal is not held") };
        assert!(reason.contains("21d ahead") && reason.contains("removal by age is held"), "{reason}");
        assert_eq!(journal.usage().unwrap().frames, 1);
        assert_eq!(journal.dead_letters(DeadLetterStream::Rejected, 0, 10).await.unwrap().len(), 1);
        journal.close(SOON).await;
    }
}

#[tokio::test]
async fn a_file_without_a_clock_takes_the_time_of_its_last_write() {
    const OLD: &str = "DELETE FROM clock; UPDATE frame SET stored_at = stored_at - 2 * 86400 * 1000000;";
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, FileLimits::new(1 << 20)).await;
    journal.append(&frames(1)).await.unwrap();
    journal.close(SOON).await;
    let mut file = file::open(folder.path()).await.unwrap();
    sqlx::raw_sql(OLD).execute(&mut file.writer).await.unwrap();
    drop(file);
    let journal = open(&folder, FileLimits::new(1 << 20)).await;
    assert!(matches!(journal.clock(), Clock::Local { held: Some(reason) } if reason.contains("2d ahead")));
}

#[tokio::test]
async fn unacknowledged_frames_of_a_file_that_is_gone_are_lost_except_those_in_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, FileLimits::new(1 << 20)).await;
    journal.append(&frames(2)).await.unwrap();
    let copy = crash(&folder);
    journal.append(&frames(3)).await.unwrap();
    take(&journal, 1).await.remove(0).ack().await.unwrap();
    let recorded = journal.update_checkpoints(Vec::new()).await.unwrap();
    assert_eq!((recorded[0].last_sequence, recorded[0].facebook.waiting, recorded[0].lost()), (5, 4, 0));

    let restored = open(&copy, FileLimits::new(1 << 20)).await;
    let after = restored.update_checkpoints(recorded.clone()).await.unwrap();
    assert_eq!((after.len(), after[0].facebook.lost, after[0].tiktok.lost), (1, 3, 0));

    let another = tempfile::tempdir().unwrap();
    let replacement = open(&another, FileLimits::new(1 << 20)).await;
    let after = replacement.update_checkpoints(recorded).await.unwrap();
    assert_eq!(after.iter().map(JournalCheckpoint::lost).sum::<u64>(), 4);
    let again = replacement.update_checkpoints(after.clone()).await.unwrap();
    assert_eq!(again, after, "the frames are counted twice");
}

#[tokio::test]
async fn a_removed_letter_leaves_no_bytes_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, FileLimits::new(1 << 20)).await;
    let letters = ["to be forgotten", "to be kept"].map(|raw| {
        // Long enough to fill overflow pages too.
        let raw = raw.repeat(1_000).into();
        DeadLetter::new(raw, MediaType::Json, vec![Violation::new("", "no")], None, None, origin())
    });
    journal.append_dead_letters(DeadLetterStream::Rejected, &letters).await.unwrap();
    journal.remove_dead_letters(DeadLetterStream::Rejected, &[1]).await.unwrap();
    let path = folder.path().join("journal.db");
    let url = format!("sqlite://{}", path.display());
    let mut beside = <sqlx::SqliteConnection as sqlx::Connection>::connect(&url).await.unwrap();
    // The write-ahead log keeps earlier writes until it starts anew.
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut beside).await.unwrap();
    let file = std::fs::read(path).unwrap();
    let holds = |text: &[u8]| file.windows(text.len()).any(|window| window == text);
    assert!(holds(b"to be kept"));
    assert!(!holds(b"to be forgotten"));
}
