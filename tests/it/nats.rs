//! NATS servers with logins, certificates, accounts, domains and limits. Right settings work; wrong ones are reported
//! at once with the address, the setting and the remedy.

mod causes;
mod certificates;
mod logins;
mod sizes;

use weir_event::Source;
use weir_testkit::{
    Storage, Weir, database::stored_events, events::with_id, eventually, nats::Nats, postgres::Postgres,
};

/// The time until Weir reports a cause.
const AT_ONCE: std::time::Duration = std::time::Duration::from_secs(5);

/// The settings of a process, by variable.
type Settings = Vec<(&'static str, String)>;

/// This server, and a database.
async fn storage(nats: Nats) -> Storage {
    Storage::Servers { nats, database_url: Postgres::shared().await.fresh_database_url().await }
}

/// Starts `weir up` on this server, and waits until it is ready.
async fn up(nats: Nats, settings: Settings) -> Weir {
    let mut weir = Weir::launch(storage(nats).await, settings, &[("up", &["up"])]);
    weir.ready().await;
    weir
}

/// Starts an ingest on this server, which may never be ready.
async fn ingest(nats: Nats, settings: Settings) -> Weir {
    Weir::launch(storage(nats).await, settings, &[("ingest", &["ingest"])])
}

/// Posts an event until it is accepted, and waits until it is stored.
async fn expect_stored(weir: &Weir, id: &str) {
    eventually(async || {
        let answer = weir.post(&with_id(Source::Facebook, id)).await;
        if answer.status.is_success() { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
    let store = weir.store().await;
    eventually(async || {
        let stored = stored_events(&store).await;
        if stored.iter().any(|event| event.event_id == id) {
            Ok(())
        } else {
            Err(format!("{id} is not stored"))
        }
    })
    .await;
}

/// Waits until one line of a process's log and its ready probe contain all of these parts; fails if that takes too
/// long.
async fn expect_reported_at_once(weir: &Weir, process: &str, parts: &[&str]) {
    let started = tokio::time::Instant::now();
    eventually(async || {
        let log = weir.log_of(process);
        let has_all = |line: &str| parts.iter().all(|part| line.contains(part));
        let line = log.lines().find(|line| !line.contains(r#""level":"info""#) && has_all(line));
        let url = format!("http://{}/health/ready", weir.addresses.admin_of(process));
        let ready = match reqwest::get(url).await {
            Ok(answer) if answer.status() == 503 => answer.text().await.unwrap_or_default(),
            Ok(answer) => format!("answered {}", answer.status()),
            Err(error) => error.to_string(),
        };
        match line {
            Some(_) if has_all(&ready) => Ok(()),
            _ => Err(format!("{parts:?} are not reported: ready is {ready}\n{log}")),
        }
    })
    .await;
    let took = started.elapsed();
    assert!(took < AT_ONCE, "{parts:?} were reported after {took:?}");
}

/// The configuration of a server with one user in its default account.
fn user_and_password(user: &str, password: &str) -> String {
    format!("authorization {{ user: {user:?}, password: {password:?} }}")
}
