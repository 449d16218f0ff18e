//! Stories of the dead-letter streams: each letter once, in order, until it is removed.

use weir_event::{Source, Violation};
use weir_journal::{DeadLetter, DeadLetterStream, Journal, MediaType, StoredDeadLetter};

use super::{
    LONG,
    fixture::{Fixture, origin, settings},
};

pub(super) async fn a_rejected_letter_that_is_appended_again_is_one_letter(fixture: Fixture) {
    let journal = fixture.journal(settings(LONG)).await;
    let (first, other) = (letter("one", "{}"), letter("one", "{\"other\":1}"));
    journal
        .append_dead_letters(DeadLetterStream::Rejected, &[first.clone(), first.clone(), other.clone()])
        .await
        .unwrap();
    // Another call brings the same item.
    for again in [letter("one", "{}"), letter("one", "{\"other\":1}")] {
        assert_ne!(again.origin, first.origin);
        journal.append_dead_letters(DeadLetterStream::Rejected, &[again]).await.unwrap();
    }
    let stored = all(&journal, DeadLetterStream::Rejected).await;
    assert_eq!(stored.iter().map(|stored| &stored.letter).collect::<Vec<_>>(), [&first, &other]);
    assert_eq!(journal.dead_letter_stats(DeadLetterStream::Rejected).await.unwrap().gone, 0);
}

pub(super) async fn a_letter_that_is_parked_again_outlives_the_removal_of_the_first_one(fixture: Fixture) {
    let journal = fixture.journal(settings(LONG)).await;
    let letters = [letter("one", "{}")];
    journal.append_dead_letters(DeadLetterStream::Parked, &letters).await.unwrap();
    let redriven = all(&journal, DeadLetterStream::Parked).await[0].sequence;
    journal.append_dead_letters(DeadLetterStream::Parked, &letters).await.unwrap();
    journal.remove_dead_letters(DeadLetterStream::Parked, &[redriven]).await.unwrap();
    assert_eq!(all(&journal, DeadLetterStream::Parked).await.len(), 1);
}

pub(super) async fn concurrent_appends_of_one_letter_make_one_letter(fixture: Fixture) {
    let journal = fixture.journal(settings(LONG)).await;
    let appends = (0..20).map(|_| {
        let journal = journal.clone();
        async move { journal.append_dead_letters(DeadLetterStream::Rejected, &[letter("one", "{}")]).await }
    });
    assert!(futures::future::join_all(appends).await.iter().all(Result::is_ok));
    assert_eq!(all(&journal, DeadLetterStream::Rejected).await.len(), 1);
}

pub(super) async fn a_removed_letter_is_gone_and_its_neighbours_stay(fixture: Fixture) {
    let journal = fixture.journal(settings(LONG)).await;
    let letters: Vec<_> = ["a", "b", "c"].map(|id| letter(id, "{}")).into();
    for stream in DeadLetterStream::ALL {
        journal.append_dead_letters(stream, &letters).await.unwrap();
        let middle = all(&journal, stream).await[1].sequence;
        assert_eq!(journal.dead_letter(stream, middle).await.unwrap().unwrap().letter, letters[1]);
        for _ in 0..2 {
            journal.remove_dead_letters(stream, &[middle]).await.unwrap();
        }
        assert_eq!(journal.dead_letter(stream, middle).await.unwrap(), None);
        let left = all(&journal, stream).await;
        let left: Vec<_> = left.iter().map(|stored| stored.letter.event_id.as_deref()).collect();
        assert_eq!(left, [Some("a"), Some("c")]);
        let stats = journal.dead_letter_stats(stream).await.unwrap();
        assert_eq!((stats.letters, stats.last_sequence, stats.gone), (2, 3, 1));
    }
    assert_eq!(journal.dead_letter(DeadLetterStream::Parked, 0).await.unwrap(), None);
    assert_eq!(journal.dead_letter(DeadLetterStream::Parked, 99).await.unwrap(), None);
    journal.remove_dead_letters(DeadLetterStream::Parked, &[0, 99]).await.unwrap();
}

pub(super) async fn a_letter_that_comes_again_after_its_removal_is_appended_again(fixture: Fixture) {
    let journal = fixture.journal(settings(LONG)).await;
    let letters = [letter("one", "{}")];
    journal.append_dead_letters(DeadLetterStream::Rejected, &letters).await.unwrap();
    let first = all(&journal, DeadLetterStream::Rejected).await[0].sequence;
    journal.remove_dead_letters(DeadLetterStream::Rejected, &[first]).await.unwrap();
    journal.append_dead_letters(DeadLetterStream::Rejected, &letters).await.unwrap();
    let again = all(&journal, DeadLetterStream::Rejected).await;
    assert_eq!((again.len(), again[0].sequence > first), (1, true));
}

pub(super) async fn letters_are_read_page_by_page_across_gaps(fixture: Fixture) {
    let journal = fixture.journal(settings(LONG)).await;
    let letters: Vec<_> = (0..700).map(|number| letter(&format!("{number:03}"), "{}")).collect();
    journal.append_dead_letters(DeadLetterStream::Rejected, &letters).await.unwrap();
    let removed: Vec<u64> = (100..400).collect();
    journal.remove_dead_letters(DeadLetterStream::Rejected, &removed).await.unwrap();
    let mut read: Vec<StoredDeadLetter> = Vec::new();
    loop {
        let after = read.last().map_or(0, |last| last.sequence);
        let page = journal.dead_letters(DeadLetterStream::Rejected, after, 150).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() == 150 || read.len() + page.len() == 400, "only the last page is short");
        read.extend(page);
    }
    let kept = letters.iter().enumerate().filter(|(index, _)| !(99..399).contains(index));
    assert!(read.iter().map(|stored| &stored.letter).eq(kept.map(|(_, letter)| letter)));
}

async fn all(journal: &Journal, stream: DeadLetterStream) -> Vec<StoredDeadLetter> {
    journal.dead_letters(stream, 0, 1000).await.unwrap()
}

fn letter(event_id: &str, raw: &'static str) -> DeadLetter {
    let violations = vec![Violation::new("/timestamp", "is required")];
    let event_id = Some(event_id.to_owned());
    DeadLetter::new(raw.into(), MediaType::Json, violations, Some(Source::Facebook), event_id, origin())
}
