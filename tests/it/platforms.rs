//! The platform around a process: environment variables, secrets, proxies, supervisors and signals.

mod draining;
mod environment;
mod private_files;
mod proxies;
mod secrets;
mod supervisor;
mod telemetry;

use weir_testkit::weir::command;

/// The variables in the help of a command, except the `_FILE` variables of secrets.
async fn variables(words: &[&str]) -> Vec<String> {
    let output = command(&[words, &["--help"]].concat()).output().await.unwrap();
    let help = String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    let variables = help.split("[env: ").skip(1).filter_map(|rest| rest.split(['=', ']']).next());
    variables.map(str::to_owned).collect()
}
