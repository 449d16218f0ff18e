//! Setting right: what is missing is added to whatever is written by then, and a bucket that was counted in several
//! shards is one row afterwards.
//!
//! Under the store's lock, so that nobody adds to the same buckets in another order meanwhile. What is missing need not
//! be looked for again: whoever stored since added the same to both sides.

mod postgres;
mod sqlite;

use std::time::Duration;

use tokio::time::sleep;

use super::{
    difference::Difference,
    error::ReconcileError,
    measures::{Figure, Figures},
    rollup_table::Structure,
};
use crate::store::{
    Pool,
    rollups::{campaigns::CampaignRollup, kinds::KindRollup},
    row,
};

/// How often a page is tried that somebody keeps from beginning, and how long the pause is before it is tried again.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// A bucket that differs, and what it is to be.
type Bucket<'a> = (&'a Difference, Figures);

/// Sets all of them right, or none: differences of one structure, and none of people. The caller has the right to repair.
pub(super) async fn repair(pool: &Pool, page: &[&Difference]) -> Result<(), ReconcileError> {
    let structure = page.first().and_then(|first| Structure::of_subject(&first.subject));
    let Some(structure) = structure else { return Ok(()) };
    let mut attempts = 1;
    loop {
        let repaired = match pool {
            Pool::Postgres(pool) => postgres::repair(pool, structure, page).await,
            Pool::Sqlite(pool) => sqlite::repair(pool, structure, page).await,
        };
        match repaired {
            Err(ReconcileError::Database(error)) if attempts < ATTEMPTS && is_kept_waiting(&error) => {
                attempts += 1;
                sleep(PAUSE).await;
            }
            ended => return ended,
        }
    }
}

/// LOCK_NOT_AVAILABLE of PostgreSQL, BUSY of SQLite: nothing was done yet.
fn is_kept_waiting(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|refusal| refusal.code());
    code.is_some_and(|code| ["55P03", "5"].contains(&&*code))
}

/// What a bucket is to be; `written` is what was taken out of it by shard, as text (see [`Figures::read`]).
fn set_right<'a>(
    structure: Structure,
    difference: &'a Difference,
    written: impl Iterator<Item = String>,
) -> Result<Bucket<'a>, ReconcileError> {
    let mut figures = difference.missing();
    for text in written {
        let shard = Figures::read(structure.figures(), &text).ok_or(ReconcileError::TooLarge)?;
        figures.add(&shard);
    }
    Ok((difference, figures))
}

/// Rows of `rollups`; what is nothing has none.
fn kinds(buckets: &[Bucket<'_>]) -> Result<Vec<KindRollup>, ReconcileError> {
    let something = buckets.iter().filter(|(_, figures)| !figures.is_zero());
    let kinds = something.filter_map(|(difference, figures)| {
        let (funnel_stage, event_type) = difference.subject.kind()?;
        Some(kind(difference, figures, funnel_stage, event_type))
    });
    kinds.collect()
}

fn kind(
    difference: &Difference,
    figures: &Figures,
    funnel_stage: i16,
    event_type: i16,
) -> Result<KindRollup, ReconcileError> {
    let (measure_high, measure_low) = figures.halves(Figure::Measure)?;
    let (amount_high, amount_low) = figures.halves(Figure::Amount)?;
    Ok(KindRollup {
        grain: difference.grain.number(),
        bucket: difference.bucket,
        source: row::small(difference.source.number()),
        funnel_stage,
        event_type,
        events: figures.count(Figure::Events)?,
        measured: figures.count(Figure::Measured)?,
        measure_high,
        measure_low,
        transactions: figures.count(Figure::Transactions)?,
        amount_high,
        amount_low,
    })
}

/// Rows of `campaign_rollups`; what is nothing has none.
fn campaigns<'a>(buckets: &[Bucket<'a>]) -> Result<Vec<CampaignRollup<'a>>, ReconcileError> {
    let something = buckets.iter().filter(|(_, figures)| !figures.is_zero());
    let campaigns = something.filter_map(|(difference, figures)| {
        Some(campaign(difference, figures, difference.subject.campaign()?))
    });
    campaigns.collect()
}

fn campaign<'a>(
    difference: &Difference,
    figures: &Figures,
    campaign_id: &'a str,
) -> Result<CampaignRollup<'a>, ReconcileError> {
    let (amount_high, amount_low) = figures.halves(Figure::Amount)?;
    Ok(CampaignRollup {
        grain: difference.grain.number(),
        bucket: difference.bucket,
        campaign_id,
        transactions: figures.count(Figure::Transactions)?,
        amount_high,
        amount_low,
    })
}
