//! Variables that are there and empty: orchestrators pass on what nobody has set.

use weir_testkit::{Storage, Weir, weir::command};

use super::variables;

/// sysexits.h's EX_USAGE.
const MISCONFIGURED: Option<i32> = Some(64);
/// Every command that reads variables, with the mistakes that it has when all of them are unset.
const COMMANDS: &[(&[&str], &[&str])] = &[
    (&["edge"], &["INGEST_URL", "REPORTING_URL"]),
    (&["ingest"], &["NATS_URL"]),
    (&["collect", "all"], &["NATS_URL", "DATABASE_URL"]),
    (&["reporting"], &["DATABASE_URL"]),
    // The one option is a mistake, so that neither starts with the usual ports.
    (&["up", "--default-currency=dollars"], &["DEFAULT_CURRENCY"]),
    (&["publish", "--min=2", "--max=1"], &["--min"]),
    (&["verify", "--ledger=none", "--wait=long"], &["--wait"]),
];

#[tokio::test]
async fn a_variable_that_is_empty_or_blank_is_as_if_it_were_not_set() {
    for (words, mistakes) in COMMANDS {
        for empty in ["", "  ", "\t"] {
            let mut command = command(words);
            for variable in variables(words).await {
                command.env(variable, empty);
            }
            let output = command.output().await.unwrap();
            let told = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), MISCONFIGURED, "{words:?}: {told}");
            let lines: Vec<_> = told.lines().filter(|line| line.trim_start().starts_with("- ")).collect();
            assert_eq!(lines.len(), mistakes.len(), "{words:?} with '{empty}': {told}");
            assert!(mistakes.iter().all(|name| told.contains(name)), "{words:?} with '{empty}': {told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_runs_although_all_its_variables_are_empty() {
    // Where it listens and keeps its files is chosen, because other stories run beside this one.
    let is_chosen = |name: &String| name.ends_with("_LISTEN") || name == "WEIR_DATA_DIR";
    let names = variables(&["up"]).await.into_iter().filter(|name| !is_chosen(name));
    let empty = names.map(|name| (&*name.leak(), String::new())).collect();
    let mut weir = Weir::up_with(Storage::Files, empty).await;
    weir.post(&serde_json::json!([])).await.expect_accepted(0, 0);
    weir.stop().await;
}

#[tokio::test]
async fn the_help_names_variables_that_are_empty() {
    let output = command(&["edge", "--help"]).env("EDGE_LISTEN", "").output().await.unwrap();
    let help = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && help.contains("[env: EDGE_LISTEN="), "{help}");
}
