//! The tools: their refusals, their exit codes, and answers that can't be written.

use std::{
    fs::File,
    process::{Output, Stdio},
};

use reqwest::StatusCode;
use serde_json::json;
use tokio::process::Command;
use weir_event::Source;
use weir_testkit::{Weir, events::with_id, weir::command};

/// Each looks like a time and is invalid.
const INVALID_TIMES: [&str; 9] = [
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
async fn an_invalid_filter_has_the_same_error_over_http_and_on_the_command_line() {
    let weir = Weir::on_files().await;
    for text in INVALID_TIMES {
        expect_same_error(&weir, "events", &[("from", text)]).await;
    }
    expect_same_error(&weir, "events", &[("from", "2025-09-15"), ("to", "2025-09-14T23:59:59Z")]).await;
    for limit in ["0", "1001", "+5", "ten", " 5"] {
        expect_same_error(&weir, "revenue", &[("limit", limit)]).await;
        expect_same_error(&weir, "demographics", &[("limit", limit)]).await;
    }
    for tool in [&["dead-letters", "list"][..], &["reconcile"]] {
        let (status, stderr) =
            weir.run(&[tool, &["--from=2025-9-1", "--to=2025-03-30\r"]].concat(), &[]).await;
        let both = ["--from: must be RFC 3339", "--to: must be RFC 3339"];
        assert!(
            status.code() == Some(64) && both.iter().all(|end| stderr.contains(end)),
            "{tool:?}: {stderr}"
        );
        let (status, stderr) =
            weir.run(&[tool, &["--from=2025-09-15", "--to=2025-09-14"]].concat(), &[]).await;
        assert_eq!(status.code(), Some(64), "{tool:?}: {stderr}");
        assert!(stderr.contains("--from: must not be after to"), "{tool:?}: {stderr}");
    }
}

/// Commands that write to standard output, and their exit codes.
const COMMANDS_WITH_OUTPUT: [(&[&str], i32); 18] = [
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
const HELP_COMMANDS: [&[&str]; 5] =
    [&["--help"], &["-h"], &["--version"], &["report", "events", "--help"], &["help", "up"]];

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_be_written_ends_with_74_and_a_closed_pipe_does_not() {
    let weir = Weir::on_files().await;
    weir.post(&json!([with_id(Source::Facebook, "fb-1")])).await.expect_accepted(1, 0);
    weir.drained(1).await;
    let ledger = weir.folder().join("ledger").display().to_string();
    for (args, code) in COMMANDS_WITH_OUTPUT {
        let args: Vec<_> = args.iter().map(|arg| if *arg == "LEDGER" { &ledger } else { *arg }).collect();
        let tool = || {
            let mut tool = weir.tool(&args);
            tool.env("ADMIN_LISTEN", weir.addresses.admin_of("up").to_string());
            tool
        };
        expect_unwritten(&args, code, &run_with_stdout(full_disk(), tool()).await);
        expect_no_failure(&args, code, &run_with_stdout(closed_pipe(), tool()).await);
    }
    for args in HELP_COMMANDS {
        expect_unwritten(args, 0, &run_with_stdout(full_disk(), command(args)).await);
        expect_no_failure(args, 0, &run_with_stdout(closed_pipe(), command(args)).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn journal_settings_that_cannot_be_written_end_with_74() {
    let weir = Weir::on_servers().await;
    for args in [&["journal", "status"][..], &["journal", "apply", "--json"], &["journal", "forget-lost"]] {
        expect_unwritten(args, 0, &run_with_stdout(full_disk(), weir.tool(args)).await);
        expect_no_failure(args, 0, &run_with_stdout(closed_pipe(), weir.tool(args)).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_without_a_writable_output_keeps_its_exit_code() {
    let away = ["report", "events", "--reporting-url", "http://127.0.0.1:1"];
    for (args, code) in
        [(&["report", "events", "--from", "now"][..], 64), (&["report", "--nonsense"], 64), (&away, 1)]
    {
        for (stdout, stderr) in
            [(Stdio::null(), full_disk()), (Stdio::null(), closed_pipe()), (full_disk(), full_disk())]
        {
            let status = command(args).stdout(stdout).stderr(stderr).status().await.unwrap();
            assert_eq!(status.code(), Some(code), "{args:?}");
        }
    }
}

/// Runs a command whose standard output leads elsewhere.
async fn run_with_stdout(stdout: Stdio, mut command: Command) -> Output {
    let command = command.stdout(stdout).stderr(Stdio::piped());
    command.spawn().expect("the binary can be started").wait_with_output().await.unwrap()
}

/// Refuses every byte, as a full disk does.
fn full_disk() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// A pipe without a reader, as `| head -1` leaves it.
fn closed_pipe() -> Stdio {
    let (_reader, writer) = std::io::pipe().unwrap();
    writer.into()
}

/// Fails unless standard error and the exit code say that the answer was not written.
fn expect_unwritten(args: &[&str], code: i32, output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let code = if code == 0 { 74 } else { code };
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    let sentence =
        "standard output can't be written, so part of the answer is missing: No space left on device";
    assert_eq!(stderr.matches(sentence).count(), 1, "{args:?}: {stderr}");
}

fn expect_no_failure(args: &[&str], code: i32, output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    assert!(!stderr.contains("written"), "{args:?}: {stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_only_the_server_refuses_ends_with_64() {
    let weir = Weir::on_files().await;
    for question in [
        &["report", "revenue", "--campaign-id", ""][..],
        &["report", "revenue", "--campaign-id", "a\u{7}"],
        &["dead-letters", "list", "--each", "--cursor", "nonsense"],
    ] {
        let (status, stderr) = weir.run(question, &[]).await;
        assert_eq!(status.code(), Some(64), "{question:?}: {stderr}");
    }
}

/// Asks for a report over HTTP and by the tool, and expects the same parameter and message in both errors.
async fn expect_same_error(weir: &Weir, report: &str, parameters: &[(&str, &str)]) {
    let query: Vec<_> = parameters.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let answer = weir.report(report, &query).await;
    answer.expect_problem(StatusCode::BAD_REQUEST);
    let violation = &answer.body["violations"][0];
    let [parameter, message] = ["parameter", "message"].map(|member| violation[member].as_str().unwrap());
    let options: Vec<_> = parameters.iter().map(|(name, value)| format!("--{name}={value}")).collect();
    let args = ["report", report].into_iter().chain(options.iter().map(String::as_str));
    let (status, stderr) = weir.run(&args.collect::<Vec<_>>(), &[]).await;
    assert_eq!(status.code(), Some(64), "{parameters:?}: {stderr}");
    assert!(
        stderr.contains(&format!("--{parameter}: {message}")),
        "{parameters:?}: {stderr} is not {message}"
    );
}
