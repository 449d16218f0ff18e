//! Asking, with everything in memory and with nothing.

use std::{fs, time::Duration};

use anyhow::ensure;
use tokio::time::Instant;

use super::questions::{Kind, Question};
use crate::{
    fleet::Fleet,
    harness::{Weir, eventually},
    samples::Latencies,
};

/// How long the answers of one report took.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    pub(super) kind: Kind,
    /// By question.
    pub(super) warm: Vec<(&'static str, Vec<Duration>)>,
    pub(super) cold: Latencies,
}

impl Answered {
    /// Warm, over all questions.
    pub(super) fn middle(&self) -> Duration {
        let all = self.warm.iter().flat_map(|(_, latencies)| latencies.clone()).collect();
        Latencies::new(all).quantile(50)
    }
}

/// Every question so many times, in turn, after each was asked once.
///
/// # Errors
/// A question is refused.
pub(super) async fn warm(
    weir: &Weir,
    questions: &[Question],
    times: usize,
) -> anyhow::Result<Vec<(&'static str, Vec<Duration>)>> {
    /// A report that takes seconds is known well enough after that long.
    const LONG_ENOUGH: Duration = Duration::from_secs(30);
    let mut latencies: Vec<_> = questions.iter().map(|question| (question.name, Vec::new())).collect();
    for question in questions {
        ask(weir, question).await?;
    }
    let started = Instant::now();
    for _ in 0..times {
        for (question, (_, latencies)) in questions.iter().zip(&mut latencies) {
            latencies.push(ask(weir, question).await?);
        }
        if started.elapsed() > LONG_ENOUGH {
            break;
        }
    }
    Ok(latencies)
}

/// Some of the questions once, each on a database that has just been started.
///
/// # Errors
/// A question is refused.
pub(super) async fn cold(fleet: &mut Fleet, questions: &[Question]) -> anyhow::Result<Latencies> {
    /// A restart takes seconds.
    const MOST: usize = 4;
    let mut latencies = Vec::new();
    for question in questions.iter().take(MOST) {
        fleet.postgres.kill();
        forget_pages();
        fleet.postgres.start_again().await;
        fleet.weir.ready().await;
        connect_again(&fleet.weir, question.kind).await;
        latencies.push(ask(&fleet.weir, question).await?);
    }
    Ok(Latencies::new(latencies))
}

/// Asks for nothing until it is answered: the connections to the database are there again, and no figure was read.
async fn connect_again(weir: &Weir, kind: Kind) {
    let nothing = [("from", "2001-01-01".to_owned()), ("to", "2001-01-01".to_owned())];
    let nothing = Question { kind, name: "nothing", parameters: nothing.into() };
    eventually(async || ask(weir, &nothing).await).await;
}

async fn ask(weir: &Weir, question: &Question) -> anyhow::Result<Duration> {
    let asked = Instant::now();
    let answer = weir.report(question.kind.name(), &question.parameters).await;
    let took = asked.elapsed();
    ensure!(answer.status.is_success(), "{question:?}: {answer:?}");
    Ok(took)
}

/// Only root may.
fn forget_pages() {
    /// Clean pages, and what names them.
    const ALL: &str = "3";
    fs::write("/proc/sys/vm/drop_caches", ALL).ok();
}
