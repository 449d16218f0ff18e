//! Parallel work of some milliseconds, on two processors.

use std::thread::available_parallelism;

use sea_orm::DbErr;
use tokio::{task::spawn_blocking, try_join};

/// Parts of one report's work. More parts would slow down other reports that run at once.
const PARTS: usize = 2;

/// Does `work` with both halves of `items` at once and returns the result of each half. It does the work in one part
/// where there are fewer than `min_items` items or only one processor.
///
/// # Errors
/// The work panicked.
pub(super) async fn in_parallel<T: Send + 'static, R: Send + 'static>(
    mut items: Vec<T>,
    min_items: usize,
    work: impl Fn(Vec<T>) -> R + Clone + Send + 'static,
) -> Result<Vec<R>, DbErr> {
    let processors = available_parallelism().map_or(1, usize::from);
    if items.len() < min_items || processors < PARTS {
        return Ok(vec![on_a_thread(items, work).await?]);
    }
    let rest = items.split_off(items.len() / PARTS);
    let (first, second) = try_join!(on_a_thread(items, work.clone()), on_a_thread(rest, work))?;
    Ok(vec![first, second])
}

/// Does `work` with `items` where it keeps no other task waiting.
///
/// # Errors
/// The work panicked.
pub(super) async fn on_a_thread<T: Send + 'static, R: Send + 'static>(
    items: Vec<T>,
    work: impl FnOnce(Vec<T>) -> R + Send + 'static,
) -> Result<R, DbErr> {
    spawn_blocking(move || work(items)).await.map_err(|error| DbErr::Custom(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_item_is_processed_once_and_in_its_order() {
        for (items, min_items) in [(0, 0), (1, 1), (7, 2), (7, 8)] {
            let parts = in_parallel((0..items).collect(), min_items, |part: Vec<i32>| part).await.unwrap();
            assert_eq!(parts.concat(), (0..items).collect::<Vec<_>>(), "{items} {min_items}");
        }
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        assert!(in_parallel(vec![1, 2], 1, |_| panic!("broken")).await.is_err());
    }
}
