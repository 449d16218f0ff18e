//! What supervisors, orchestrators and networks do to a process: their variables, secrets, proxies and signals.

mod draining;
mod environment;
mod proxies;
mod secrets;
mod supervisor;
mod telemetry;

use weir_testkit::weir::command;

/// The variables that the help of a command names, but for those that are `_FILE`s of secrets.
async fn variables(words: &[&str]) -> Vec<String> {
    let output = command(&[words, &["--help"]].concat()).output().await.unwrap();
    let help = String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    let variables = help.split("[env: ").skip(1).filter_map(|rest| rest.split(['=', ']']).next());
    variables.map(str::to_owned).collect()
}
