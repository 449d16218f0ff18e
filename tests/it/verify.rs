//! `weir verify` against the system: correct data passes, and every fault is found.

use sea_orm::ConnectionTrait as _;
use weir_testkit::{Weir, database::events_by_id};

on_files_and_on_servers!(
    an_accepted_event_is_stored_as_it_was_sent,
    a_missing_spurious_or_altered_row_is_found,
);

/// Faults in the data, and the name that `weir verify` gives each. `{events}` is the relation with the ids as text.
const FAULTS: [(&str, &str); 3] = [
    ("DELETE FROM {events} WHERE event_id = (SELECT min(event_id) FROM {events})", "missing"),
    (
        "UPDATE {events} SET purchase_amount = purchase_amount + 1 \
         WHERE event_id = (SELECT min(event_id) FROM {events} WHERE purchase_amount IS NOT NULL)",
        "altered",
    ),
    (
        "UPDATE events SET event_id = substr(event_id, 1, 22) || '-0123-0123456789ab' \
         WHERE event_id = (SELECT max(event_id) FROM events)",
        "spurious",
    ),
];
/// The last fault on PostgreSQL, where a row has the code of its id.
const OTHER_CODE: &str = "UPDATE events \
    SET event_code = weir_code(substr(weir_id(event_code), 1, 22) || '-0123-0123456789ab') \
    WHERE event_code = (SELECT event_code FROM events ORDER BY event_code DESC LIMIT 1)";

async fn an_accepted_event_is_stored_as_it_was_sent(weir: Weir) {
    let ledger = published(&weir).await;
    let (status, output) = verify(&weir, &ledger).await;
    assert!(status.success(), "{output}");
    assert_eq!(count(&output, "accepted"), count(&output, "stored"), "{output}");
    assert!(count(&output, "accepted") > 0 && count(&output, "rejected") > 0, "{output}");
}

async fn a_missing_spurious_or_altered_row_is_found(weir: Weir) {
    let ledger = published(&weir).await;
    let (status, output) = verify(&weir, &ledger).await;
    assert!(status.success(), "{output}");
    let store = weir.store().await;
    for (fault, name) in FAULTS {
        let events = events_by_id(&store);
        let fault = if name == "spurious" && events != "events" { OTHER_CODE } else { fault };
        let changed = store.execute_unprepared(&fault.replace("{events}", events)).await.unwrap();
        assert_eq!(changed.rows_affected(), 1, "{fault}");
        let (status, output) = verify(&weir, &ledger).await;
        assert_eq!(status.code(), Some(1), "{output}");
        assert!(count(&output, name) > 0, "{name} is not found in: {output}");
    }
}

/// Publishes for a moment and returns the path of the ledger.
async fn published(weir: &Weir) -> String {
    let ledger = weir.folder().join("ledger").display().to_string();
    let sizes = ["--min", "50", "--max", "300", "--interval-ms", "100", "--duration", "2s"];
    let shares = ["--corrupt", "0.9", "--duplicates", "0.1", "--late", "0.1", "--ledger", &ledger];
    let (status, output) = weir.run(&[&["publish"][..], &sizes, &shares].concat(), &[]).await;
    assert!(status.success(), "{output}");
    ledger
}

async fn verify(weir: &Weir, ledger: &str) -> (std::process::ExitStatus, String) {
    weir.run(&["verify", "--ledger", ledger], &[]).await
}

/// The number on the line of the table with this name.
fn count(output: &str, name: &str) -> u64 {
    let line =
        output.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("no {name} in {output}"));
    line.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap()
}
