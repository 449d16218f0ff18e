//! Load loops: a closed loop sends as fast as answers come, and an open loop sends at a given rate.

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

use crate::{client::Connection, request_template::RequestTemplate, statistics::Latencies};

/// The end of a closed loop.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    Elapsed(Duration),
    /// After so many events were sent.
    Events(u64),
}

/// The throughput of a closed loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Throughput {
    /// Events that were answered with a 2xx.
    pub(crate) events: u64,
    pub(crate) elapsed: Duration,
}

impl Throughput {
    pub(crate) fn per_second(&self) -> f64 {
        self.events as f64 / self.elapsed.as_secs_f64()
    }
}

/// Sends the requests of each template over its own connection, one after the other.
///
/// # Errors
/// A request is not answered with a 2xx.
pub(crate) async fn closed(
    server: SocketAddr,
    templates: &mut Vec<RequestTemplate>,
    until: Until,
) -> anyhow::Result<Throughput> {
    let claimed = Arc::new(AtomicU64::new(0));
    let mut senders = JoinSet::new();
    let started = Instant::now();
    for mut template in templates.drain(..) {
        let claimed = Arc::clone(&claimed);
        senders.spawn(async move {
            let mut connection = Connection::open(server).await?;
            let mut events = 0;
            while continues(until, started, &claimed, template.events()) {
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
    Ok(Throughput { events, elapsed: started.elapsed() })
}

fn continues(until: Until, started: Instant, claimed: &AtomicU64, events: u64) -> bool {
    match until {
        Until::Elapsed(duration) => started.elapsed() < duration,
        Until::Events(all) => claimed.fetch_add(events, Ordering::Relaxed) < all,
    }
}

/// Sends `per_second` requests a second, over one connection for each template. A latency counts from the moment at
/// which the request was due, because a request that waits for a free connection waits for the server. The resolution
/// of the timer is a millisecond.
///
/// # Errors
/// A request is not answered with a 2xx.
pub(crate) async fn open(
    server: SocketAddr,
    templates: &mut Vec<RequestTemplate>,
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
