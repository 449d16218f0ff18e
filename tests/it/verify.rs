//! A ledger against the system: what is as it was promised is said to be, and whatever is not is found.

use sea_orm::ConnectionTrait as _;
use weir_testkit::Weir;

on_files_and_on_servers!(
    what_was_answered_yes_is_stored_as_it_was_sent,
    what_is_missing_spurious_or_altered_is_found,
);

/// Mistakes in the data, and what `weir verify` calls each.
const FAULTS: [(&str, &str); 3] = [
    ("DELETE FROM events WHERE event_id = (SELECT min(event_id) FROM events)", "missing"),
    (
        "UPDATE events SET purchase_amount = purchase_amount + 1 \
         WHERE event_id = (SELECT min(event_id) FROM events WHERE purchase_amount IS NOT NULL)",
        "altered",
    ),
    (
        "UPDATE events SET event_id = substr(event_id, 1, 22) || '-0123-0123456789ab' \
         WHERE event_id = (SELECT max(event_id) FROM events)",
        "spurious",
    ),
];

async fn what_was_answered_yes_is_stored_as_it_was_sent(weir: Weir) {
    let ledger = published(&weir).await;
    let (status, told) = verify(&weir, &ledger).await;
    assert!(status.success(), "{told}");
    assert_eq!(count(&told, "accepted"), count(&told, "stored"), "{told}");
    assert!(count(&told, "accepted") > 0 && count(&told, "rejected") > 0, "{told}");
}

async fn what_is_missing_spurious_or_altered_is_found(weir: Weir) {
    let ledger = published(&weir).await;
    let (status, told) = verify(&weir, &ledger).await;
    assert!(status.success(), "{told}");
    let store = weir.store().await;
    for (fault, name) in FAULTS {
        let changed = store.execute_unprepared(fault).await.unwrap();
        assert_eq!(changed.rows_affected(), 1, "{fault}");
        let (status, told) = verify(&weir, &ledger).await;
        assert_eq!(status.code(), Some(1), "{told}");
        assert!(count(&told, name) > 0, "{name} is not found in: {told}");
    }
}

/// Publishes for a moment and returns the ledger.
async fn published(weir: &Weir) -> String {
    let ledger = weir.folder().join("ledger").display().to_string();
    let sizes = ["--min", "50", "--max", "300", "--interval-ms", "100", "--duration", "2s"];
    let shares = ["--corrupt", "0.9", "--duplicates", "0.1", "--late", "0.1", "--ledger", &ledger];
    let (status, told) = weir.run(&[&["publish"][..], &sizes, &shares].concat(), &[]).await;
    assert!(status.success(), "{told}");
    ledger
}

async fn verify(weir: &Weir, ledger: &str) -> (std::process::ExitStatus, String) {
    weir.run(&["verify", "--ledger", ledger], &[]).await
}

/// The number in a line of the table.
fn count(told: &str, name: &str) -> u64 {
    let line = told.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("no {name} in {told}"));
    line.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap()
}
