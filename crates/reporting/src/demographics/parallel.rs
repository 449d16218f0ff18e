//! Work of some milliseconds, on as many processors as there are.

use std::thread::available_parallelism;

use sea_orm::DbErr;
use tokio::{task::spawn_blocking, try_join};

/// Of one answer: more would be in each other's way where several are asked for.
const PARTS: usize = 2;

/// Does `work` with the two halves of `items` at once and returns what came of each, or with all of them where there
/// are fewer than `worth_it` or there is one processor.
///
/// # Errors
/// The work panicked.
pub(super) async fn at_once<T: Send + 'static, R: Send + 'static>(
    mut items: Vec<T>,
    worth_it: usize,
    work: impl Fn(Vec<T>) -> R + Clone + Send + 'static,
) -> Result<Vec<R>, DbErr> {
    let processors = available_parallelism().map_or(1, usize::from);
    if items.len() < worth_it || processors < PARTS {
        return Ok(vec![done(items, work).await?]);
    }
    let rest = items.split_off(items.len() / PARTS);
    let (first, second) = try_join!(done(items, work.clone()), done(rest, work))?;
    Ok(vec![first, second])
}

async fn done<T: Send + 'static, R: Send + 'static>(
    items: Vec<T>,
    work: impl FnOnce(Vec<T>) -> R + Send + 'static,
) -> Result<R, DbErr> {
    spawn_blocking(move || work(items)).await.map_err(|error| DbErr::Custom(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_item_is_worked_on_once_and_in_its_order() {
        for (items, worth_it) in [(0, 0), (1, 1), (7, 2), (7, 8)] {
            let done = at_once((0..items).collect(), worth_it, |part: Vec<i32>| part).await.unwrap();
            assert_eq!(done.concat(), (0..items).collect::<Vec<_>>(), "{items} {worth_it}");
        }
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        assert!(at_once(vec![1, 2], 1, |_| panic!("broken")).await.is_err());
    }
}
