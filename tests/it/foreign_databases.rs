//! Databases that others administer: roles with few rights, standbys, TLS, poolers, other encodings, missing schemas
//! and schemas for newer builds. A usable one needs no settings. A process reports an unusable one at once, with cause
//! and remedy.

mod causes;
mod poolers;
mod rights;
mod standby;
mod tls;
mod vanished;
mod writers;

use std::time::Duration;

use weir_testkit::{
    Storage, Weir,
    eventually::{eventually, within},
    nats::Nats,
};

/// A cause is in the log and in the ready probe within this time.
const REPORTED_WITHIN: Duration = Duration::from_secs(5);
/// Processes that start while compilers run take long.
const STARTED_WITHIN: Duration = Duration::from_secs(30);

const REPORTING: (&str, &[&str]) = ("reporting", &["reporting"]);

/// Starts reporting alone, without waiting for it.
async fn reporting(database_url: &str) -> Weir {
    reporting_with(database_url, Vec::new()).await
}

async fn reporting_with(database_url: &str, settings: Vec<(&'static str, String)>) -> Weir {
    let ground = Storage::Servers { nats: Nats::start().await, database_url: database_url.to_owned() };
    Weir::launch(ground, settings, &[REPORTING])
}

/// Starts one process of each role for Facebook's events, without waiting for them.
async fn one_source(database_url: &str) -> Weir {
    one_source_with(database_url, Vec::new()).await
}

async fn one_source_with(database_url: &str, settings: Vec<(&'static str, String)>) -> Weir {
    let ground = Storage::Servers { nats: Nats::start().await, database_url: database_url.to_owned() };
    let roles: &[(&str, &[&str])] =
        &[("edge", &["edge"]), ("ingest", &["ingest"]), ("collect-facebook", &["collect", "facebook"])];
    Weir::launch(ground, settings, roles)
}

/// Waits until a process is live, and then at most 5 s until its ready probe and its log have the cause. Returns the
/// reason.
async fn reports_cause(weir: &Weir, process: &str, words: &[&str]) -> String {
    is_live(weir, process).await;
    within(REPORTED_WITHIN, async || {
        let (ready, dependencies) = weir.readiness(process).await;
        let reason = dependencies["database"]["reason"].as_str().unwrap_or_default().to_owned();
        let errors = errors(weir, process);
        let is_logged = errors.iter().any(|line| words.iter().all(|word| line.contains(word)));
        if !ready && words.iter().all(|word| reason.contains(word)) && is_logged {
            return Ok(reason);
        }
        Err(format!("ready: {ready}, {dependencies}; errors: {errors:?}"))
    })
    .await
}

async fn is_live(weir: &Weir, process: &str) {
    let live = format!("http://{}/health/live", weir.addresses.admin_of(process));
    within(STARTED_WITHIN, async || reqwest::get(&live).await.map_err(|error| error.to_string())).await;
}

/// The lines of a process's log at level error.
fn errors(weir: &Weir, process: &str) -> Vec<String> {
    let log = weir.log_of(process);
    log.lines().filter(|line| line.contains(r#""level":"error""#)).map(str::to_owned).collect()
}

async fn becomes_ready(weir: &Weir, process: &str) {
    is_live(weir, process).await;
    eventually(async || match weir.readiness(process).await {
        (true, _) => Ok(()),
        (false, dependencies) => Err(dependencies),
    })
    .await;
}

/// Expects a tool to fail at once. Returns its output.
async fn fails_at_once(weir: &Weir, tool: &[&str], database_url: &str, words: &[&str]) -> String {
    let begun = tokio::time::Instant::now();
    let (status, output) = weir.run(tool, &[("DATABASE_URL", database_url)]).await;
    let took = begun.elapsed();
    assert_eq!(status.code(), Some(1), "{tool:?}: {output}");
    assert!(words.iter().all(|word| output.contains(word)), "{tool:?} does not name {words:?}: {output}");
    assert!(took < STARTED_WITHIN, "{tool:?} took {took:?}: {output}");
    output
}
