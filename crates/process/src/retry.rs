//! Retries: pauses that double with jitter, and attempts that repeat until one succeeds or fails for good.
//!
//! The crate `backon` is not used: its jitter makes a pause up to twice as long as its maximum, and it knows neither
//! a [`Stop`] nor a deadline. Here the longest pause is a promise, because it bounds how late a recovery is noticed.

use std::{future::Future, time::Duration};

use rand::RngExt as _;
use tokio::time::{Instant, sleep, sleep_until};

use super::Stop;

/// Pauses between the attempts of one outage. Each is twice as long as the one before, up to a maximum; up to half
/// of it is left to chance, so that processes do not retry in step.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    attempts: u32,
}

impl Backoff {
    /// The first pause takes at most `first`, every later one at most `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, attempts: 0 }
    }

    /// Returns true if no attempt failed since the last success.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.attempts == 0
    }

    /// Notes a success: the next pause is short again. Returns true if an attempt had failed before.
    pub fn reset(&mut self) -> bool {
        std::mem::take(&mut self.attempts) > 0
    }

    /// Waits for the next attempt; `stop` ends the wait early.
    pub async fn pause(&mut self, stop: &Stop) {
        let pause = self.next_pause();
        stop.run_until_cancelled(sleep(pause)).await;
    }

    /// The next pause: between half of its maximum and its maximum.
    pub fn next_pause(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(1 << self.attempts.min(30));
        self.attempts = self.attempts.saturating_add(1);
        self.longest.min(doubled).mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

/// The end of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt<T, E, R> {
    /// It succeeded.
    Done(T),
    /// No later attempt can succeed.
    Failed(E),
    /// A later attempt may succeed; the reason is kept until then.
    Again(R),
}

/// The end of a [`Retry`] without a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryError<E, R> {
    /// An attempt failed for good.
    Failed(E),
    /// The deadline passed; the reason is the last attempt's.
    DeadlineExceeded(R),
    /// The role was asked to stop.
    Stopped,
}

/// The limit that ends a [`Retry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryLimit {
    DeadlineExceeded,
    Stopped,
}

/// The pauses and the limits of repeated attempts. Without limits they repeat for ever.
///
/// [`Retry::run`] repeats a closure. A loop whose attempts change local variables calls [`Retry::next_attempt`]
/// instead.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use std::time::Duration;
/// use tokio::time::Instant;
/// use weir_process::retry::{Attempt, Retry, RetryError};
///
/// let mut answers = ["busy", "busy", "42"].into_iter();
/// let answer: Result<u32, RetryError<_, &str>> = Retry::every(Duration::from_millis(1))
///     .until(Instant::now() + Duration::from_secs(5))
///     .run(|| {
///         let answer = answers.next();
///         async move {
///             match answer {
///                 Some("busy") | None => Attempt::Again("busy"),
///                 Some(text) => text.parse().map_or_else(Attempt::Failed, Attempt::Done),
///             }
///         }
///     })
///     .await;
/// assert_eq!(answer, Ok(42));
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Retry<'a> {
    pauses: Pauses,
    deadline: Option<Instant>,
    stop: Option<&'a Stop>,
}

#[derive(Clone, Debug)]
enum Pauses {
    Constant(Duration),
    Growing(Backoff),
}

impl<'a> Retry<'a> {
    /// Waits for `pause` between attempts: for a condition that is polled.
    #[must_use]
    pub fn every(pause: Duration) -> Self {
        Self { pauses: Pauses::Constant(pause), deadline: None, stop: None }
    }

    /// Waits longer and longer between attempts: for a server that may be overloaded.
    #[must_use]
    pub fn with(backoff: Backoff) -> Self {
        Self { pauses: Pauses::Growing(backoff), deadline: None, stop: None }
    }

    /// Makes no attempt after `deadline`, but always a first one.
    #[must_use]
    pub fn until(self, deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// Ends as soon as `stop` is cancelled; an attempt that runs is dropped.
    #[must_use]
    pub fn unless_stopped(self, stop: &'a Stop) -> Self {
        Self { stop: Some(stop), ..self }
    }

    /// Makes attempts until one succeeds, one fails for good, or a limit is reached.
    ///
    /// # Errors
    /// An attempt failed for good, the deadline passed, or the role was stopped.
    pub async fn run<T, E, R, F: Future<Output = Attempt<T, E, R>>>(
        mut self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, RetryError<E, R>> {
        loop {
            let made = match self.stop {
                Some(stop) => stop.run_until_cancelled(attempt()).await.ok_or(RetryError::Stopped)?,
                None => attempt().await,
            };
            let reason = match made {
                Attempt::Done(done) => return Ok(done),
                Attempt::Failed(error) => return Err(RetryError::Failed(error)),
                Attempt::Again(reason) => reason,
            };
            self.next_attempt().await.map_err(|limit| match limit {
                RetryLimit::DeadlineExceeded => RetryError::DeadlineExceeded(reason),
                RetryLimit::Stopped => RetryError::Stopped,
            })?;
        }
    }

    /// Waits after a failed attempt until the next one is due. The last attempt is at the deadline: a pause that
    /// reaches beyond it is cut.
    ///
    /// # Errors
    /// The deadline passed, or the role was stopped.
    pub async fn next_attempt(&mut self) -> Result<(), RetryLimit> {
        let now = Instant::now();
        let next = now + self.pauses.next();
        let next = match self.deadline {
            Some(deadline) if now >= deadline => return Err(RetryLimit::DeadlineExceeded),
            Some(deadline) => next.min(deadline),
            None => next,
        };
        match self.stop {
            Some(stop) => stop.run_until_cancelled(sleep_until(next)).await.ok_or(RetryLimit::Stopped),
            None => {
                sleep_until(next).await;
                Ok(())
            }
        }
    }
}

impl Pauses {
    fn next(&mut self) -> Duration {
        match self {
            Self::Constant(pause) => *pause,
            Self::Growing(backoff) => backoff.next_pause(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(5);

    /// An attempt that is made again for ever.
    type Endless = Result<(), RetryError<(), u32>>;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew_after_a_reset() {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        assert!(backoff.is_fresh());
        for doublings in 0..5 {
            let most = FIRST * (1 << doublings);
            let pause = backoff.next_pause();
            assert!((most / 2..=most).contains(&pause), "{pause:?} after {doublings} doublings");
        }
        for _ in 0..100 {
            assert!((LONGEST / 10..=LONGEST).contains(&backoff.next_pause()));
        }
        assert!((LONGEST / 2..=LONGEST).contains(&backoff.next_pause()));
        assert!(backoff.reset());
        assert!(!backoff.reset());
        assert!(backoff.next_pause() <= FIRST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_a_pause_early() {
        let stop = Stop::new();
        stop.cancel();
        let started = Instant::now();
        Backoff::new(LONGEST, LONGEST).pause(&stop).await;
        assert_eq!(started.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_repeat_until_one_succeeds() {
        let (started, mut attempts) = (Instant::now(), 0);
        let done: Result<u32, RetryError<(), ()>> = Retry::every(FIRST)
            .run(|| {
                attempts += 1;
                std::future::ready(if attempts == 4 { Attempt::Done(attempts) } else { Attempt::Again(()) })
            })
            .await;
        assert_eq!((done, started.elapsed()), (Ok(4), 3 * FIRST));
    }

    #[tokio::test(start_paused = true)]
    async fn a_permanent_error_ends_at_once() {
        let started = Instant::now();
        let failed: Result<(), RetryError<_, ()>> =
            Retry::with(Backoff::new(FIRST, LONGEST)).run(|| async { Attempt::Failed("refused") }).await;
        assert_eq!((failed, started.elapsed()), (Err(RetryError::Failed("refused")), Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_attempt_is_at_the_deadline_and_its_reason_is_kept() {
        let (started, mut attempts) = (Instant::now(), 0);
        let late: Endless = Retry::every(3 * FIRST)
            .until(started + 4 * FIRST)
            .run(|| {
                attempts += 1;
                std::future::ready(Attempt::Again(attempts))
            })
            .await;
        assert_eq!((late, started.elapsed()), (Err(RetryError::DeadlineExceeded(3)), 4 * FIRST));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_has_passed_leaves_one_attempt() {
        let late: Endless =
            Retry::every(FIRST).until(Instant::now()).run(|| async { Attempt::Again(1) }).await;
        assert_eq!(late, Err(RetryError::DeadlineExceeded(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_a_retry_in_a_task_even_during_an_attempt() {
        let stop = Stop::new();
        let stopped = stop.clone();
        let retrying = tokio::spawn(async move {
            let retry = Retry::with(Backoff::new(FIRST, LONGEST)).unless_stopped(&stopped);
            let endless: Endless = retry.run(std::future::pending).await;
            endless
        });
        tokio::task::yield_now().await;
        stop.cancel();
        assert_eq!(retrying.await.unwrap(), Err(RetryError::Stopped));
    }
}
