//! Asking, with everything in memory and with nothing.

use std::{fs, time::Duration};

use tokio::time::Instant;
use weir_testkit::{Weir, eventually};

use super::requests::{Kind, Question};
use crate::{fleet::Fleet, statistics::Latencies};

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

/// What takes longer is known well enough once it was asked.
const SLOW: Duration = Duration::from_secs(2);

/// Every question so many times, in turn, after each was asked once.
pub(super) async fn warm(
    weir: &Weir,
    questions: &[Question],
    times: usize,
) -> Vec<(&'static str, Vec<Duration>)> {
    let mut latencies = Vec::new();
    for question in questions {
        let first = ask(weir, question).await.took;
        let known = if first > SLOW { vec![first] } else { Vec::new() };
        latencies.push((question.name, known));
    }
    let slow: Vec<bool> = latencies.iter().map(|(_, known)| !known.is_empty()).collect();
    for _ in 0..times {
        let asked = questions.iter().zip(&mut latencies).zip(&slow).filter(|(_, slow)| !**slow);
        for ((question, (_, latencies)), _) in asked {
            latencies.push(ask(weir, question).await.took);
        }
    }
    latencies
}

/// Some of the questions once, each on a database that has just been started.
pub(super) async fn cold(fleet: &mut Fleet, questions: &[Question]) -> Latencies {
    /// A restart takes seconds.
    const MOST: usize = 4;
    let mut latencies = Vec::new();
    for question in questions.iter().take(MOST) {
        fleet.postgres.kill();
        forget_pages();
        fleet.postgres.start_again().await;
        fleet.weir.ready().await;
        connect_again(&fleet.weir, question.kind).await;
        latencies.push(ask(&fleet.weir, question).await.took);
    }
    Latencies::new(latencies)
}

/// Asks for nothing until it is answered: the connections to the database are there again, and no figure was read.
async fn connect_again(weir: &Weir, kind: Kind) {
    let nothing = [("from", "2001-01-01".to_owned()), ("to", "2001-01-01".to_owned())];
    let nothing = Question { kind, name: "nothing", parameters: nothing.into() };
    eventually(async || match ask(weir, &nothing).await {
        Answer { is_given: true, .. } => Ok(()),
        none => Err(none),
    })
    .await;
}

/// How a question was answered.
#[derive(Clone, Copy, Debug)]
struct Answer {
    took: Duration,
    /// Otherwise it took too long for the deadline of a report.
    is_given: bool,
}

async fn ask(weir: &Weir, question: &Question) -> Answer {
    let asked = Instant::now();
    let answer = weir.report(question.kind.name(), &question.parameters).await;
    Answer { took: asked.elapsed(), is_given: answer.status.is_success() }
}

/// Only root may.
fn forget_pages() {
    /// Clean pages, and what names them.
    const ALL: &str = "3";
    fs::write("/proc/sys/vm/drop_caches", ALL).ok();
}
