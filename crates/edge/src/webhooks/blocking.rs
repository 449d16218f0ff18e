//! Keeps work on large bodies off the threads that everybody's requests share.

/// What takes less than about a millisecond is not worth a hand-over.
const LARGE_BYTES: usize = 64 * 1024;

/// Runs `work` on a body of `bytes`: here where it is small, else on a thread that may block.
pub(super) async fn off_thread<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    if bytes < LARGE_BYTES {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, and this request with it.
            Err(_) => std::future::pending().await,
        },
    }
}
