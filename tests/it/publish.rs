//! The publisher against the system: reports equal the published events.

use weir_testkit::{Weir, soak};

on_files_and_on_servers!(reports_equal_the_published_events);

async fn reports_equal_the_published_events(mut weir: Weir) {
    let (seconds, most) = if soak() { ("60s", "10000") } else { ("4s", "2000") };
    let args =
        ["publish", "--min", "1000", "--max", most, "--duration", seconds, "--seed", "7", "--corrupt", "1"];
    let (status, summary) = weir.run(&args, &[]).await;
    assert!(status.success(), "{summary}");
    let (accepted, rejected) = (count(&summary, "accepted"), count(&summary, "rejected"));
    assert_eq!(accepted + rejected, count(&summary, "events sent"));
    assert_eq!(count(&summary, "failed requests"), 0, "{summary}");
    assert!(accepted > 0, "{summary}");
    weir.drained(accepted).await;
    assert_eq!(weir.reported_events().await, accepted as u64);

    // The same seed repeats the same ids, so every event is a duplicate.
    let (_, again) = weir.run(&args, &[]).await;
    weir.drained(accepted + count(&again, "accepted")).await;
    assert_eq!(weir.reported_events().await, accepted.max(count(&again, "accepted")) as u64);
    assert_eq!(weir.rejected().await.len(), rejected + count(&again, "rejected"));
}

/// The number on the line of the summary with this name.
fn count(summary: &str, name: &str) -> usize {
    let line =
        summary.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("no {name} in {summary}"));
    let digits: String = line.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number in {line}"))
}
