//! The tools as people and scripts use them: what they refuse, in which words, and answers that can't be written.

use std::{
    fs::File,
    process::{Output, Stdio},
};

use reqwest::StatusCode;
use serde_json::json;
use tokio::process::Command;
use weir_event::Source;
use weir_testkit::{Weir, events::with_id, weir::command};

/// Each reads like a time and is none.
const NO_TIMES: [&str; 9] = [
    "2025-9-1",
    "2025-03-30 00:00:00Z",
    "2025-03-30T00:00:00\u{2212}02:00",
    "2025-03-30\r",
    "2025-03-30T00:00:00Z\r",
    " 2025-03-30",
    "2025-06-30T23:59:60Z",
    "2025-03-30T00:00:00",
    "",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_refused_in_the_same_words_over_http_and_on_the_command_line() {
    let weir = Weir::on_files().await;
    for text in NO_TIMES {
        is_refused_alike(&weir, "events", &[("from", text)]).await;
    }
    is_refused_alike(&weir, "events", &[("from", "2025-09-15"), ("to", "2025-09-14T23:59:59Z")]).await;
    for limit in ["0", "1001", "+5", "ten", " 5"] {
        is_refused_alike(&weir, "revenue", &[("limit", limit)]).await;
        is_refused_alike(&weir, "demographics", &[("limit", limit)]).await;
    }
    for tool in [&["dead-letters", "list"][..], &["reconcile"]] {
        let (status, told) = weir.run(&[tool, &["--from=2025-9-1", "--to=2025-03-30\r"]].concat(), &[]).await;
        let both = ["--from: must be RFC 3339", "--to: must be RFC 3339"];
        assert!(status.code() == Some(64) && both.iter().all(|end| told.contains(end)), "{tool:?}: {told}");
        let (status, told) = weir.run(&[tool, &["--from=2025-09-15", "--to=2025-09-14"]].concat(), &[]).await;
        assert_eq!(status.code(), Some(64), "{tool:?}: {told}");
        assert!(told.contains("--from: must not be after to"), "{tool:?}: {told}");
    }
}

/// What says something on standard output, and the exit code that this has.
const TALKERS: [(&[&str], i32); 18] = [
    (&["report", "events"], 0),
    (&["report", "revenue", "--json"], 0),
    (&["report", "demographics", "--json"], 0),
    (&["event", "facebook", "fb-1"], 0),
    (&["event", "facebook", "fb-1", "--json"], 0),
    (&["event", "facebook", "nowhere"], 1),
    (&["health"], 0),
    (&["log-level"], 0),
    (&["log-level", "info"], 0),
    (&["dead-letters", "list"], 0),
    (&["dead-letters", "list", "--each"], 0),
    (&["dead-letters", "redrive", "--all", "--dry-run"], 0),
    (&["dead-letters", "discard", "--all", "--dry-run"], 0),
    (&["erase", "facebook", "u-1", "--json"], 0),
    (&["reconcile"], 0),
    (&["migrate", "status"], 0),
    (&["publish", "--min", "1", "--max", "2", "--duration", "100ms", "--ledger", "LEDGER"], 0),
    (&["verify", "--ledger", "LEDGER"], 0),
];
const HELPS: [&[&str]; 5] =
    [&["--help"], &["-h"], &["--version"], &["report", "events", "--help"], &["help", "up"]];

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cant_be_written_is_no_success_and_a_closed_pipe_is_none_of_its_failures() {
    let weir = Weir::on_files().await;
    weir.post(&json!([with_id(Source::Facebook, "fb-1")])).await.expect_accepted(1, 0);
    weir.drained(1).await;
    let ledger = weir.folder().join("ledger").display().to_string();
    for (args, code) in TALKERS {
        let args: Vec<_> = args.iter().map(|arg| if *arg == "LEDGER" { &ledger } else { *arg }).collect();
        let tool = || {
            let mut tool = weir.tool(&args);
            tool.env("ADMIN_LISTEN", weir.addresses.admin_of("up").to_string());
            tool
        };
        is_no_success(&args, code, &saying_to(full(), tool()).await);
        is_quiet(&args, code, &saying_to(closed(), tool()).await);
    }
    for args in HELPS {
        is_no_success(args, 0, &saying_to(full(), command(args)).await);
        is_quiet(args, 0, &saying_to(closed(), command(args)).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_of_a_journal_that_cant_be_written_are_no_success() {
    let weir = Weir::on_servers().await;
    for args in [&["journal", "status"][..], &["journal", "apply", "--json"], &["journal", "forget-lost"]] {
        is_no_success(args, 0, &saying_to(full(), weir.tool(args)).await);
        is_quiet(args, 0, &saying_to(closed(), weir.tool(args)).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_cant_be_told_keeps_its_code() {
    let away = ["report", "events", "--reporting-url", "http://127.0.0.1:1"];
    for (args, code) in
        [(&["report", "events", "--from", "now"][..], 64), (&["report", "--nonsense"], 64), (&away, 1)]
    {
        for (stdout, stderr) in [(Stdio::null(), full()), (Stdio::null(), closed()), (full(), full())] {
            let status = command(args).stdout(stdout).stderr(stderr).status().await.unwrap();
            assert_eq!(status.code(), Some(code), "{args:?}");
        }
    }
}

/// What a command ends with whose standard output leads elsewhere.
async fn saying_to(stdout: Stdio, mut command: Command) -> Output {
    let command = command.stdout(stdout).stderr(Stdio::piped());
    command.spawn().expect("the binary can be started").wait_with_output().await.unwrap()
}

/// Takes nothing, as a full disk does.
fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// A pipe that nobody reads any more, as `| head -1` leaves it.
fn closed() -> Stdio {
    let (_reader, writer) = std::io::pipe().unwrap();
    writer.into()
}

/// Fails unless the command says why its answer is missing, by its exit code too.
fn is_no_success(args: &[&str], code: i32, output: &Output) {
    let told = String::from_utf8_lossy(&output.stderr);
    let code = if code == 0 { 74 } else { code };
    assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
    let sentence =
        "standard output can't be written, so part of the answer is missing: No space left on device";
    assert_eq!(told.matches(sentence).count(), 1, "{args:?}: {told}");
}

fn is_quiet(args: &[&str], code: i32, output: &Output) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
    assert!(!told.contains("written"), "{args:?}: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_only_the_server_can_refuse_ends_with_the_code_of_a_mistake() {
    let weir = Weir::on_files().await;
    for question in [
        &["report", "revenue", "--campaign-id", ""][..],
        &["report", "revenue", "--campaign-id", "a\u{7}"],
        &["dead-letters", "list", "--each", "--cursor", "nonsense"],
    ] {
        let (status, told) = weir.run(question, &[]).await;
        assert_eq!(status.code(), Some(64), "{question:?}: {told}");
    }
}

/// Asks for a report over HTTP and by the tool: the same parameter is at fault, in the same words.
async fn is_refused_alike(weir: &Weir, report: &str, parameters: &[(&str, &str)]) {
    let query: Vec<_> = parameters.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let answer = weir.report(report, &query).await;
    answer.expect_problem(StatusCode::BAD_REQUEST);
    let violation = &answer.body["violations"][0];
    let [parameter, message] = ["parameter", "message"].map(|member| violation[member].as_str().unwrap());
    let options: Vec<_> = parameters.iter().map(|(name, value)| format!("--{name}={value}")).collect();
    let args = ["report", report].into_iter().chain(options.iter().map(String::as_str));
    let (status, told) = weir.run(&args.collect::<Vec<_>>(), &[]).await;
    assert_eq!(status.code(), Some(64), "{parameters:?}: {told}");
    assert!(told.contains(&format!("--{parameter}: {message}")), "{parameters:?}: {told} is not {message}");
}
