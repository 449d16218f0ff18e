//! Empty variables: orchestrators pass on unset variables as empty ones.

use weir_testkit::{Storage, Weir, weir::command};

use super::variables;

/// `EX_USAGE` of sysexits.h.
const MISCONFIGURED: Option<i32> = Some(64);
/// Every command that reads variables, with its mistakes if all of them are unset.
const COMMANDS: &[(&[&str], &[&str])] = &[
    (&["edge"], &["INGEST_URL", "REPORTING_URL"]),
    (&["ingest"], &["NATS_URL"]),
    (&["collect", "all"], &["NATS_URL", "DATABASE_URL"]),
    (&["reporting"], &["DATABASE_URL"]),
    // The one option is a mistake, so that the command does not start on the usual ports.
    (&["up", "--default-currency=dollars"], &["DEFAULT_CURRENCY"]),
    (&["publish", "--min=2", "--max=1"], &["--min"]),
    (&["verify", "--ledger=none", "--wait=long"], &["--wait"]),
];

#[tokio::test]
async fn an_empty_or_blank_variable_counts_as_unset() {
    for (words, mistakes) in COMMANDS {
        for empty in ["", "  ", "\t"] {
            let mut command = command(words);
            for variable in variables(words).await {
                command.env(variable, empty);
            }
            let output = command.output().await.unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), MISCONFIGURED, "{words:?}: {stderr}");
            let lines: Vec<_> = stderr.lines().filter(|line| line.trim_start().starts_with("- ")).collect();
            assert_eq!(lines.len(), mistakes.len(), "{words:?} with '{empty}': {stderr}");
            assert!(mistakes.iter().all(|name| stderr.contains(name)), "{words:?} with '{empty}': {stderr}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_runs_with_empty_variables() {
    // The test sets addresses and folders, because other tests run beside it.
    let is_chosen = |name: &String| name.ends_with("_LISTEN") || name == "WEIR_DATA_DIR";
    let names = variables(&["up"]).await.into_iter().filter(|name| !is_chosen(name));
    let empty = names.map(|name| (&*name.leak(), String::new())).collect();
    let mut weir = Weir::up_with(Storage::Files, empty).await;
    weir.post(&serde_json::json!([])).await.expect_accepted(0, 0);
    weir.stop().await;
}

#[tokio::test]
async fn the_help_names_empty_variables() {
    let output = command(&["edge", "--help"]).env("EDGE_LISTEN", "").output().await.unwrap();
    let help = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && help.contains("[env: EDGE_LISTEN]"), "{help}");
}
