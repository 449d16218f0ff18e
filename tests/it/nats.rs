//! NATS servers as people run them: with logins, certificates, accounts, domains and limits of their own. What is right works;
//! what is wrong is told at once, with its address, its setting and its remedy.

mod causes;
mod certificates;
mod logins;
mod sizes;

use weir_event::Source;
use weir_testkit::{
    Ground, Weir, database::stored_events, events::with_id, eventually, nats::Nats, postgres::Postgres,
};

/// How soon a cause must be told.
const AT_ONCE: std::time::Duration = std::time::Duration::from_secs(5);

/// The settings of a process, by variable.
type Settings = Vec<(&'static str, String)>;

async fn ground(nats: Nats) -> Ground {
    Ground::Servers { nats, database_url: Postgres::shared().await.fresh_address().await }
}

/// `weir up` on this server, ready.
async fn up(nats: Nats, settings: Settings) -> Weir {
    let mut weir = Weir::launched(ground(nats).await, settings, &[("up", &["up"])]);
    weir.ready().await;
    weir
}

/// An ingest on this server, which may never be ready.
async fn ingest(nats: Nats, settings: Settings) -> Weir {
    Weir::launched(ground(nats).await, settings, &[("ingest", &["ingest"])])
}

/// Posts an event until it is accepted, and waits until it is stored.
async fn stores(weir: &Weir, id: &str) {
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

/// Waits until a process names every one of these parts in one line of its log and in its ready probe, and fails where
/// that takes too long.
async fn tells_at_once(weir: &Weir, process: &str, parts: &[&str]) {
    let started = tokio::time::Instant::now();
    eventually(async || {
        let log = weir.log_of(process);
        let is_told = |line: &str| parts.iter().all(|part| line.contains(part));
        let line = log.lines().find(|line| !line.contains(r#""level":"info""#) && is_told(line));
        let url = format!("http://{}/health/ready", weir.addresses.admin_of(process));
        let ready = match reqwest::get(url).await {
            Ok(answer) if answer.status() == 503 => answer.text().await.unwrap_or_default(),
            Ok(answer) => format!("answered {}", answer.status()),
            Err(error) => error.to_string(),
        };
        match line {
            Some(_) if is_told(&ready) => Ok(()),
            _ => Err(format!("{parts:?} are not told: ready says {ready}\n{log}")),
        }
    })
    .await;
    let took = started.elapsed();
    assert!(took < AT_ONCE, "{parts:?} were told after {took:?}");
}

/// The text of a list of lines in a server's configuration for one user of the default account.
fn user_and_password(user: &str, password: &str) -> String {
    format!("authorization {{ user: {user:?}, password: {password:?} }}")
}
