//! `weir verify` with erasures: an event that is stored without its person counts as stored.

use serde_json::Value;
use weir_testkit::{Weir, database::stored_events};

use super::erase;

on_files_and_on_servers!(a_ledger_with_erased_persons_verifies_clean,);

async fn a_ledger_with_erased_persons_verifies_clean(weir: Weir) {
    let ledger = weir.folder().join("ledger").display().to_string();
    let sizes = ["--min", "50", "--max", "100", "--interval-ms", "100", "--duration", "2s"];
    let published = [&["publish", "--corrupt", "1", "--ledger", &ledger][..], &sizes].concat();
    let (status, output) = weir.run(&published, &[]).await;
    assert!(status.success(), "{output}");
    let (status, output) = weir.run(&["verify", "--ledger", &ledger], &[]).await;
    assert!(status.success(), "{output}");

    for row in stored_events(&weir.store().await).await.into_iter().step_by(20).take(10) {
        let source = if row.source == 1 { "facebook" } else { "tiktok" };
        assert!(erase(&weir, &[source, &row.user_id]).await["rows"].as_u64() >= Some(1));
    }
    let (source, user_id) = rejected_person(&weir).await;
    assert!(erase(&weir, &[&source, &user_id]).await["deadLetters"].as_u64() >= Some(1));

    let (status, output) = weir.run(&["verify", "--ledger", &ledger], &[]).await;
    assert!(status.success(), "{output}");
    for line in ["stored without their person", "removed with their person"] {
        let counted = output.lines().find(|output| output.contains(line)).unwrap();
        assert!(counted.chars().any(|digit| ('1'..='9').contains(&digit)), "{output}");
    }
}

/// A person whose item was rejected, and whose id is in it.
async fn rejected_person(weir: &Weir) -> (String, String) {
    let listed = output(weir, &["list", "--each", "--limit", "100"]).await;
    for letter in listed["letters"].as_array().unwrap() {
        let shown = output(weir, &["show", letter["id"].as_str().unwrap()]).await;
        let item: Value = serde_json::from_str(shown["raw"].as_str().unwrap()).unwrap();
        let named = item["source"].as_str().zip(item["data"]["user"]["userId"].as_str());
        if let Some((source, user_id)) = named {
            return (source.to_owned(), user_id.to_owned());
        }
    }
    panic!("no rejected item names its person: {listed}")
}

async fn output(weir: &Weir, args: &[&str]) -> Value {
    let (status, output) = weir.run(&[&["dead-letters"][..], args, &["--json"]].concat(), &[]).await;
    assert!(status.success(), "{output}");
    serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error} in {output}"))
}
