//! `weir reconcile` in a running system: its report and its exit codes.

use std::process::ExitStatus;

use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use weir_testkit::{Weir, events::Sender, eventually, load::Load};

on_files_and_on_servers!(
    no_difference_is_found_while_a_publisher_runs_and_rows_are_removed,
    damage_is_reported_and_repaired_in_a_running_system,
    damaged_sets_of_people_are_reported_and_repaired_in_a_running_system,
    all_wrong_arguments_are_reported_at_once,
);

async fn no_difference_is_found_while_a_publisher_runs_and_rows_are_removed(mut weir: Weir) {
    let keeping = [("EVENT_RETENTION", "2s".to_owned()), ("EVENT_KEY_RETENTION", "400d".to_owned())];
    weir.restart_with(keeping.into()).await;
    let load = Load::start(&weir);
    for _ in 0..3 {
        let before = weir.metric("rows_removed_total", &[]).await;
        eventually(async || match weir.metric("rows_removed_total", &[]).await {
            removed if removed > before => Ok(()),
            removed => Err(removed),
        })
        .await;
        let (status, output) = reconcile(&weir, &[]).await;
        assert!(status.success(), "{output}");
        assert_eq!(output["found"], 0, "{output}");
        assert!(
            output["days"].as_u64().unwrap() > 0 && output["completeFrom"]["tiktok"].is_string(),
            "{output}"
        );
    }
    load.verify(&weir).await;
}

async fn damage_is_reported_and_repaired_in_a_running_system(weir: Weir) {
    let events = Sender::new("damaged", 31).events(500);
    weir.post(&json!(events)).await.expect_accepted(500, 0);
    weir.drained(500).await;
    let revenue = async || weir.report("revenue", &[]).await.body;
    let before = revenue().await;
    let store = weir.store().await;
    store
        .execute_unprepared("UPDATE rollups SET amount_low = amount_low + 10000 WHERE grain = 3")
        .await
        .unwrap();
    assert_ne!(revenue().await, before);

    let (status, output) = reconcile(&weir, &["--limit", "1"]).await;
    assert_eq!(status.code(), Some(1), "{output}");
    let found = output["found"].as_u64().unwrap();
    assert!(found > 1 && output["differences"].as_array().unwrap().len() == 1, "{output}");
    let difference = &output["differences"][0];
    assert_eq!(
        (&difference["grain"], &difference["toldBy"]),
        (&json!("day"), &json!("rows")),
        "{difference}"
    );
    assert_ne!(difference["rollups"]["amount"], difference["expected"]["amount"]);
    assert_eq!(difference["rollups"]["events"], difference["expected"]["events"]);

    let (status, text) = weir.run(&["reconcile", "--source", "facebook"], &[]).await;
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains("│ day ") && text.contains("amount ") && !text.contains("tiktok"), "{text}");

    let (status, output) = reconcile(&weir, &["--repair"]).await;
    assert!(status.success(), "{output}");
    assert_eq!(
        (&output["found"], &output["repaired"], &output["left"]),
        (&json!(found), &json!(found), &json!(0))
    );
    assert_eq!(revenue().await, before);
    let (status, output) = reconcile(&weir, &[]).await;
    assert!(status.success() && output["found"] == 0, "{output}");
}

async fn damaged_sets_of_people_are_reported_and_repaired_in_a_running_system(weir: Weir) {
    let events = Sender::new("people", 32).events(500);
    weir.post(&json!(events)).await.expect_accepted(500, 0);
    weir.drained(500).await;
    eventually(async || match weir.metric("weir_people_folded_total", &[]).await {
        500.0 => Ok(()),
        folded => Err(folded),
    })
    .await;
    let demographics = async || weir.report("demographics", &[]).await.body;
    let before = demographics().await;
    let store = weir.store().await;
    // The set of the day has the people of one minute alone.
    let narrowed = "UPDATE people_sets SET data = (SELECT data FROM people_sets AS minutes \
        WHERE minutes.source = 1 AND minutes.grain = 1 ORDER BY minutes.bucket LIMIT 1) WHERE grain = 3 AND source = 1";
    assert!(store.execute_unprepared(narrowed).await.unwrap().rows_affected() > 0);
    assert_ne!(demographics().await, before);

    let (status, output) = reconcile(&weir, &["--source", "facebook"]).await;
    assert_eq!(status.code(), Some(1), "{output}");
    let difference = &output["differences"][0];
    assert_eq!((&difference["grain"], &difference["toldBy"]), (&json!("day"), &json!("minutes")), "{output}");
    assert!(difference["sets"]["misplaced"].as_u64() > Some(0), "{difference}");
    assert_eq!(difference["expected"]["misplaced"], 0, "{difference}");
    let (_, text) = weir.run(&["reconcile"], &[]).await;
    assert!(text.contains("facebook people") && text.contains("misplaced "), "{text}");

    let (status, output) = reconcile(&weir, &["--repair"]).await;
    assert!(status.success() && output["left"] == 0, "{output}");
    assert_eq!(demographics().await, before);
}

async fn all_wrong_arguments_are_reported_at_once(weir: Weir) {
    let wrong = ["--from", "yesterday", "--source", "myspace", "--limit", "some", "--format", "xml"];
    let (status, output) = weir.run(&[&["reconcile"][..], &wrong].concat(), &[]).await;
    assert_eq!(status.code(), Some(64), "{output}");
    for mistake in ["--from", "--source", "--limit", "--format"] {
        assert!(output.contains(mistake), "{mistake} is missing in {output}");
    }
    let backward = ["reconcile", "--from", "2025-02-01", "--to", "2025-01-01"];
    let (status, output) = weir.run(&backward, &[("DATABASE_URL", "mysql://x")]).await;
    assert_eq!(status.code(), Some(64), "{output}");
    assert!(output.contains("--from: must not be after") && output.contains("DATABASE_URL"), "{output}");
}

async fn reconcile(weir: &Weir, args: &[&str]) -> (ExitStatus, Value) {
    let (status, output) = weir.run(&[&["reconcile", "--format", "json"][..], args].concat(), &[]).await;
    let output = serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}"));
    (status, output)
}
