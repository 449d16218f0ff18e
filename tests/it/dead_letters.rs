//! Dead letters through the operator's commands: list, show, patch, redrive and discard, and only with the token.

mod access;

use std::{fs, process::Stdio};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use weir_event::Source;
use weir_testkit::{
    Weir,
    database::{accept_again, refuse},
    events::with_id,
    eventually,
};

on_files_and_on_servers!(
    a_rejected_item_is_patched_redriven_and_reported_once,
    a_rejected_item_that_is_posted_again_is_one_dead_letter,
    lines_that_were_cut_at_different_places_are_one_group,
    letters_that_were_cut_or_are_still_bad_stay_with_their_reason,
    parked_events_are_redriven_when_the_database_takes_them,
    letters_are_listed_by_page_and_discarded_by_filter,
    items_without_a_source_are_selected_as_unknown,
    a_patch_is_read_from_a_pipe_and_in_the_encodings_of_editors,
);

/// Corrects the fault of [`broken`].
const PATCH: &str = r#"[{"op":"replace","path":"/timestamp","value":"2025-09-14T07:21:45Z"}]"#;

async fn a_rejected_item_is_patched_redriven_and_reported_once(weir: Weir) {
    weir.post(&json!([with_id(Source::Facebook, "good"), broken("mended")])).await.expect_accepted(1, 1);
    let listed = run_json(&weir, &["list"]).await;
    assert_eq!((&listed["letters"], &listed["groups"][0]["count"]), (&json!(1), &json!(1)), "{listed}");
    let id = listed["groups"][0]["sample"]["id"].as_str().unwrap();
    let shown = run_json(&weir, &["show", id]).await;
    assert_eq!(serde_json::from_str::<Value>(shown["raw"].as_str().unwrap()).unwrap(), broken("mended"));

    let dry = run_json(&weir, &["redrive", "--all", "--dry-run", "--patch", PATCH]).await;
    assert_eq!((&dry["appended"], &dry["results"][0]["outcome"]), (&json!(1), &json!("would be appended")));
    assert_eq!(run_json(&weir, &["list"]).await["letters"], 1, "a dry run changes nothing");

    let redriven = run_json(&weir, &["redrive", id, "--patch", PATCH]).await;
    assert_eq!(
        redriven["fate"],
        json!({"stored": 1, "duplicate": 0, "parked": 0, "unsettled": 0}),
        "{redriven}"
    );
    assert_eq!(weir.reported_events().await, 2);
    assert_eq!(run_json(&weir, &["list"]).await["letters"], 0);
    assert_eq!(run_json(&weir, &["redrive", id, "--patch", PATCH]).await["gone"], 1);

    // The sender posts the item again: the letter comes again, and its event is a duplicate.
    weir.post(&json!([with_id(Source::Facebook, "good"), broken("mended")])).await.expect_accepted(1, 1);
    let again = run_json(&weir, &["redrive", "--reason", "/timestamp", "--patch", PATCH]).await;
    assert_eq!(again["fate"], json!({"stored": 0, "duplicate": 1, "parked": 0, "unsettled": 0}), "{again}");
    assert_eq!(weir.reported_events().await, 2);
}

async fn a_rejected_item_that_is_posted_again_is_one_dead_letter(mut weir: Weir) {
    for _ in 0..3 {
        weir.post(&json!([with_id(Source::Tiktok, "good"), broken("same"), broken("same")])).await;
    }
    weir.post(&json!([with_id(Source::Tiktok, "good"), broken("other")])).await;
    assert_eq!(run_json(&weir, &["list"]).await["letters"], 2);
    assert_eq!(weir.rejected().await.len(), 2);
}

async fn lines_that_were_cut_at_different_places_are_one_group(weir: Weir) {
    let whole = with_id(Source::Facebook, "cut").to_string();
    let lines: Vec<&str> = (1..=12).map(|part| &whole[..part * whole.len() / 13]).collect();
    weir.post_bytes("application/x-ndjson", lines.join("\n")).await.expect_problem(StatusCode::BAD_REQUEST);
    let wrong =
        (1..=3).map(|place| format!("{}oops", &" ".repeat(place))).map(|blanks| format!("{{{blanks}}}"));
    weir.post_bytes("application/x-ndjson", wrong.collect::<Vec<_>>().join("\n"))
        .await
        .expect_problem(StatusCode::BAD_REQUEST);
    let listed = run_json(&weir, &["list"]).await;
    let counts: Vec<&Value> =
        listed["groups"].as_array().unwrap().iter().map(|group| &group["count"]).collect();
    assert_eq!(counts, [&json!(12), &json!(3)], "{listed}");
}

async fn letters_that_were_cut_or_are_still_bad_stay_with_their_reason(weir: Weir) {
    let mut long = broken("long");
    long["note"] = "x".repeat(70_000).into();
    weir.post(&json!([with_id(Source::Facebook, "good"), long, broken("bad")])).await.expect_accepted(1, 2);
    let redriven = run_json(&weir, &["redrive", "--all"]).await;
    assert_eq!((&redriven["notRedrivable"], &redriven["stillBad"]), (&json!(1), &json!(1)), "{redriven}");
    let of_outcome = |outcome: &str| {
        let results = redriven["results"].as_array().unwrap();
        results.iter().find(|result| result["outcome"] == outcome).unwrap()
    };
    assert!(of_outcome("not redrivable")["reason"].as_str().unwrap().contains("part of its bytes"));
    assert_eq!(of_outcome("still bad")["violations"][0]["pointer"], "/timestamp");
    assert_eq!(run_json(&weir, &["list"]).await["letters"], 2);
}

async fn parked_events_are_redriven_when_the_database_takes_them(weir: Weir) {
    let database = weir.store().await;
    refuse(&database, &["parked"]).await;
    let (good, parked) = (with_id(Source::Facebook, "good"), with_id(Source::Facebook, "parked"));
    let request =
        weir.request("/events").header("x-correlation-id", "the-first").json(&json!([good, parked]));
    weir.send(request).await.expect_accepted(2, 0);
    let letter = eventually(async || {
        let listed = run_json(&weir, &["list", "--each", "--graveyard", "parked"]).await;
        listed["letters"].get(0).cloned().ok_or(listed)
    })
    .await;
    assert_eq!((&letter["eventId"], &letter["correlationId"]), (&json!("parked"), &json!("the-first")));

    // A redrive while the cause persists makes a letter again.
    let parked_again = run_json(&weir, &["redrive", "--graveyard", "parked"]).await;
    assert_eq!(parked_again["fate"]["parked"], 1, "{parked_again}");
    accept_again(&database).await;
    let redriven = run_json(&weir, &["redrive", "--graveyard", "parked"]).await;
    assert_eq!(redriven["fate"]["stored"], 1, "{redriven}");
    assert_eq!(weir.reported_events().await, 2);
    let row = weir_testkit::database::stored_events(&database).await;
    let row = row.into_iter().find(|row| row.event_id == "parked").unwrap();
    assert_eq!(row.correlation_id, "the-first");
    assert_eq!(micros(&letter["arrivedAt"]), row.arrived_at, "the original arrival is kept");
}

async fn letters_are_listed_by_page_and_discarded_by_filter(weir: Weir) {
    let broken: Vec<_> = (0..25).map(|number| broken(&format!("broken-{number}"))).collect();
    weir.post(&json!(broken)).await;
    let (mut seen, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut args = vec!["list", "--each", "--limit", "10"];
        args.extend(cursor.iter().flat_map(|cursor| ["--cursor", cursor]));
        let page = run_json(&weir, &args).await;
        seen.extend(page["letters"].as_array().unwrap().iter().map(|letter| letter["id"].clone()));
        cursor = page["cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 25);
    let first = seen[0].as_str().unwrap();
    assert_eq!(run_json(&weir, &["discard", "--all", "--dry-run"]).await["discarded"], 25);
    assert_eq!(run_json(&weir, &["discard", first]).await["discarded"], 1);
    assert_eq!(run_json(&weir, &["discard", "--source", "tiktok"]).await["discarded"], 0);
    assert_eq!(run_json(&weir, &["discard", "--source", "facebook"]).await["discarded"], 24);
    assert_eq!(run_json(&weir, &["list"]).await["letters"], 0);
}

async fn items_without_a_source_are_selected_as_unknown(weir: Weir) {
    let (mut strange, nameless) = (broken("strange"), json!({"eventId": "nameless"}));
    strange["source"] = "myspace".into();
    weir.post(&json!([broken("known"), strange, nameless])).await;
    assert_eq!(run_json(&weir, &["list"]).await["letters"], 3);
    assert_eq!(run_json(&weir, &["list", "--source", "unknown"]).await["letters"], 2);
    assert_eq!(run_json(&weir, &["list", "--source", "facebook"]).await["letters"], 1);
    assert_eq!(run_json(&weir, &["discard", "--source", "unknown"]).await["discarded"], 2);
    assert_eq!(run_json(&weir, &["list", "--each"]).await["letters"][0]["eventId"], "known");
    let (status, output) = weir.run(&["dead-letters", "list", "--source", "myspace"], &[]).await;
    assert_eq!(status.code(), Some(64), "{output}");
    assert!(output.contains("facebook, tiktok, unknown"), "{output}");
}

async fn a_patch_is_read_from_a_pipe_and_in_the_encodings_of_editors(weir: Weir) {
    weir.post(&json!([broken("mended")])).await;
    let marked = format!("\u{feff}{PATCH}");
    let file = weir.folder().join("fix.json").display().to_string();
    fs::write(&file, &marked).unwrap();
    let mended = run_json(&weir, &["redrive", "--all", "--dry-run", "--patch", &file]).await;
    assert_eq!(mended["appended"], 1, "{mended}");
    for text in [PATCH, &marked] {
        let (status, output) = redrive_from_pipe(&weir, text.as_bytes()).await;
        assert!(status == Some(0) && output.contains("Would be appended: 1"), "{output}");
    }
    let wide =
        |order: fn(u16) -> [u8; 2], text: &str| text.encode_utf16().flat_map(order).collect::<Vec<_>>();
    for (bytes, fault) in [
        (wide(u16::to_le_bytes, &marked), "standard input is UTF-16 (little-endian): save it as UTF-8"),
        (wide(u16::to_be_bytes, PATCH), "standard input is UTF-16 (big-endian): save it as UTF-8"),
        (b"[\"\xE9\"]".to_vec(), "standard input is no UTF-8"),
        (Vec::new(), "standard input is empty"),
        (b"\xEF\xBB\xBF{}".to_vec(), ""),
    ] {
        let (status, output) = redrive_from_pipe(&weir, &bytes).await;
        assert_eq!(status, Some(64), "{output}");
        assert!(output.contains(fault), "{output} does not contain {fault}");
    }
}

/// The exit code and the output of a redrive whose patch comes from a pipe.
async fn redrive_from_pipe(weir: &Weir, patch: &[u8]) -> (Option<i32>, String) {
    let mut redrive = weir.tool(&["dead-letters", "redrive", "--all", "--dry-run", "--patch", "-"]);
    redrive.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut redrive = redrive.spawn().unwrap();
    // A command that does not read its standard input reports why.
    let _unread = redrive.stdin.take().unwrap().write_all(patch).await;
    let output = redrive.wait_with_output().await.unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// An item that [`PATCH`] corrects.
fn broken(id: &str) -> Value {
    let mut item = with_id(Source::Facebook, id);
    item["timestamp"] = "invalid-timestamp".into();
    item
}

/// The output of `weir dead-letters` as JSON.
async fn run_json(weir: &Weir, args: &[&str]) -> Value {
    let args: Vec<_> = ["dead-letters"].iter().chain(args).chain(&["--json"]).copied().collect();
    let (status, output) = weir.run(&args, &[]).await;
    assert!(status.success(), "{args:?}: {output}");
    serde_json::from_str(&output).unwrap_or_else(|error| panic!("{args:?}: {error} in {output}"))
}

fn micros(time: &Value) -> i64 {
    chrono::DateTime::parse_from_rfc3339(time.as_str().unwrap()).unwrap().timestamp_micros()
}
