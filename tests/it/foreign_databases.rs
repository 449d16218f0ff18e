//! Databases as people have them: roles with few rights, standbys, TLS, poolers, other encodings, schemas that are gone or
//! for newer builds. What works, works without more; what can't is told at once, by its cause and its remedy.

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

/// How soon a cause is in the log and in the ready probe.
const TOLD: Duration = Duration::from_secs(5);
/// Processes that start beside compilers take their time.
const STARTED: Duration = Duration::from_secs(30);

const REPORTING: (&str, &[&str]) = ("reporting", &["reporting"]);

/// Reporting alone, not waited for.
async fn reporting(database_url: &str) -> Weir {
    reporting_with(database_url, Vec::new()).await
}

async fn reporting_with(database_url: &str, settings: Vec<(&'static str, String)>) -> Weir {
    let ground = Storage::Servers { nats: Nats::start().await, database_url: database_url.to_owned() };
    Weir::launch(ground, settings, &[REPORTING])
}

/// One process of each role for Facebook's events, not waited for.
async fn one_source(database_url: &str) -> Weir {
    let ground = Storage::Servers { nats: Nats::start().await, database_url: database_url.to_owned() };
    let roles: &[(&str, &[&str])] =
        &[("edge", &["edge"]), ("ingest", &["ingest"]), ("collect-facebook", &["collect", "facebook"])];
    Weir::launch(ground, Vec::new(), roles)
}

/// Waits until a process lives, and then at most 5 s until its ready probe and its log tell the cause. Returns the reason.
async fn tells(weir: &Weir, process: &str, words: &[&str]) -> String {
    lives(weir, process).await;
    within(TOLD, async || {
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

async fn lives(weir: &Weir, process: &str) {
    let live = format!("http://{}/health/live", weir.addresses.admin_of(process));
    within(STARTED, async || reqwest::get(&live).await.map_err(|error| error.to_string())).await;
}

/// The lines of a process's log at level error.
fn errors(weir: &Weir, process: &str) -> Vec<String> {
    let log = weir.log_of(process);
    log.lines().filter(|line| line.contains(r#""level":"error""#)).map(str::to_owned).collect()
}

async fn becomes_ready(weir: &Weir, process: &str) {
    lives(weir, process).await;
    eventually(async || match weir.readiness(process).await {
        (true, _) => Ok(()),
        (false, dependencies) => Err(dependencies),
    })
    .await;
}

/// Has a tool fail at once; returns what it said.
async fn fails_at_once(weir: &Weir, tool: &[&str], database_url: &str, words: &[&str]) -> String {
    let begun = tokio::time::Instant::now();
    let (status, told) = weir.run(tool, &[("DATABASE_URL", database_url)]).await;
    let took = begun.elapsed();
    assert_eq!(status.code(), Some(1), "{tool:?}: {told}");
    assert!(words.iter().all(|word| told.contains(word)), "{tool:?} does not tell {words:?}: {told}");
    assert!(took < STARTED, "{tool:?} took {took:?}: {told}");
    told
}
