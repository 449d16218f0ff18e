//! A bound that is lowered in the settings is lowered on the server when an operator says so, and not before.

use crate::harness::{Ground, Weir, nats::Operator};

const INGEST: &[(&str, &[&str])] = &[("ingest", &["ingest"])];
const FOUND: i64 = 64 << 20;
const WANTED: i64 = 32 << 20;
const LOWERED: [(&str, &str); 1] = [("JOURNAL_MAX_BYTES", "32MiB")];

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_shrinks_by_the_hand_of_an_operator_alone() {
    let settings = vec![("JOURNAL_MAX_BYTES", "64MiB".to_owned())];
    let mut weir = Weir::launched(Ground::servers().await, settings, INGEST);
    weir.ready().await;
    let operator = weir.operator().await;
    assert_eq!(max_bytes(&operator).await, FOUND);

    weir.retire("ingest").await;
    weir.revive_with("ingest", &LOWERED);
    weir.ready().await;
    assert_eq!(max_bytes(&operator).await, FOUND, "ingest has shrunk it");

    let (_, told) = weir.run(&["journal", "status"], &LOWERED).await;
    assert!(told.contains("max_bytes") || told.contains("JOURNAL_MAX_BYTES"), "{told}");
    for (bytes, in_words) in [(FOUND, ["64MiB", "64 MiB"]), (WANTED, ["32MiB", "32 MiB"])] {
        let named = told.contains(&bytes.to_string()) || in_words.iter().any(|words| told.contains(words));
        assert!(named, "{bytes} is not in: {told}");
    }
    weir.run(&["journal", "apply"], &LOWERED).await;
    assert_eq!(max_bytes(&operator).await, FOUND, "it shrinks without --shrink");

    let (_, told) = weir.run(&["journal", "apply", "--shrink"], &LOWERED).await;
    assert_eq!(max_bytes(&operator).await, WANTED, "{told}");
}

async fn max_bytes(operator: &Operator) -> i64 {
    operator.settings("EVENTS").await.max_bytes
}
