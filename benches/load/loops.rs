//! How load is put on: as fast as answers come (a closed loop), or at a rate whatever comes (an open one).

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{client::Connection, request_template::Template, statistics::Latencies};

/// When a closed loop ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    Elapsed(Duration),
    /// So many were sent.
    Events(u64),
}

/// What a closed loop reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reached {
    /// Events that were answered with a 2xx.
    pub(crate) events: u64,
    pub(crate) elapsed: Duration,
}

impl Reached {
    pub(crate) fn per_second(&self) -> f64 {
        self.events as f64 / self.elapsed.as_secs_f64()
    }
}

/// Each template over a connection of its own, one request after the other.
///
/// # Errors
/// A request was not answered with a 2xx.
pub(crate) async fn closed(
    server: SocketAddr,
    templates: &mut Vec<Template>,
    until: Until,
) -> anyhow::Result<Reached> {
    let claimed = Arc::new(AtomicU64::new(0));
    let mut senders = JoinSet::new();
    let started = Instant::now();
    for mut template in templates.drain(..) {
        let claimed = Arc::clone(&claimed);
        senders.spawn(async move {
            let mut connection = Connection::open(server).await?;
            let mut events = 0;
            while goes_on(until, started, &claimed, template.events()) {
                connection.post(template.renew()).await?;
                events += template.events();
            }
            anyhow::Ok((template, events))
        });
    }
    let mut events = 0;
    while let Some(sender) = senders.join_next().await {
        let (template, sent) = sender??;
        templates.push(template);
        events += sent;
    }
    Ok(Reached { events, elapsed: started.elapsed() })
}

fn goes_on(until: Until, started: Instant, claimed: &AtomicU64, events: u64) -> bool {
    match until {
        Until::Elapsed(duration) => started.elapsed() < duration,
        Until::Events(all) => claimed.fetch_add(events, Ordering::Relaxed) < all,
    }
}

/// So many requests a second over as many connections as there are templates. A latency counts from the moment at which
/// the request was due: what waits for a free connection waits for the server. The clock ticks every millisecond.
///
/// # Errors
/// A request was not answered with a 2xx.
pub(crate) async fn open(
    server: SocketAddr,
    templates: &mut Vec<Template>,
    per_second: f64,
    duration: Duration,
) -> anyhow::Result<Latencies> {
    let turn = Arc::new(AtomicU64::new(0));
    let mut senders = JoinSet::new();
    let started = Instant::now();
    for mut template in templates.drain(..) {
        let turn = Arc::clone(&turn);
        senders.spawn(async move {
            let mut connection = Connection::open(server).await?;
            let mut latencies = Vec::new();
            loop {
                let request = template.renew();
                let after = turn.fetch_add(1, Ordering::Relaxed) as f64 / per_second;
                if after > duration.as_secs_f64() {
                    break;
                }
                let due = started + Duration::from_secs_f64(after);
                sleep_until(due).await;
                connection.post(request).await?;
                latencies.push(due.elapsed());
            }
            anyhow::Ok((template, latencies))
        });
    }
    let mut latencies = Vec::new();
    while let Some(sender) = senders.join_next().await {
        let (template, of_connection) = sender??;
        templates.push(template);
        latencies.extend(of_connection);
    }
    Ok(Latencies::new(latencies))
}
