//! What new rows add to the rollups, worked out the same for both databases.

pub(crate) mod campaigns;
mod figures;
pub(crate) mod kinds;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use campaigns::CampaignRollup;
use figures::{Figures, Money};
pub(crate) use figures::{LOW_BITS, LOW_MASK};
use kinds::KindRollup;

use super::row::Row;

/// Number and width in microseconds, the narrowest first; each is made of whole ones of those before.
const GRAINS: [(i16, i64); 3] = [(1, MINUTE), (2, 60 * MINUTE), (3, 24 * 60 * MINUTE)];
/// Microseconds.
pub(crate) const MINUTE: i64 = 60_000_000;

/// A table of rollups: its first columns are its key, together with the shard, and to the others is added.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// All but the shard, with the PostgreSQL type of an array of their values.
    pub(crate) columns: &'static [(&'static str, &'static str)],
    /// How many of them are of the key.
    pub(crate) keys: usize,
}

impl Table {
    /// What goes before the rows; the shard is their last value.
    pub(super) fn insert(&self) -> String {
        let columns: Vec<&str> = self.columns.iter().map(|(column, _)| *column).collect();
        format!("INSERT INTO {} ({}, shard)", self.name, columns.join(", "))
    }

    /// What goes after them.
    pub(super) fn add(&self) -> String {
        let (keys, figures) = self.columns.split_at(self.keys);
        let keys: Vec<&str> = keys.iter().map(|(column, _)| *column).collect();
        let sum =
            |(column, _): &(&str, &str)| format!("{column} = {}.{column} + excluded.{column}", self.name);
        let sums: Vec<String> = figures.iter().map(sum).collect();
        format!("ON CONFLICT ({}, shard) DO UPDATE SET {}", keys.join(", "), sums.join(", "))
    }
}

/// Source, stage and type.
pub(super) type Kind = (i16, i16, i16);

/// New rows, added up by minute.
#[derive(Debug, Default)]
pub(super) struct Rollups<'a> {
    kinds: BTreeMap<(i64, Kind), Figures>,
    campaigns: BTreeMap<(i64, &'a str), Money>,
}

impl<'a> Rollups<'a> {
    pub(super) fn of(rows: &[Row<'a>]) -> Self {
        let mut rollups = Self::default();
        rows.iter().for_each(|row| rollups.add(row));
        rollups
    }

    pub(super) fn add(&mut self, row: &Row<'a>) {
        let minute = bucket(row.occurred_at, MINUTE);
        let kind = (row.source, row.funnel_stage, row.event_type);
        *self.kinds.entry((minute, kind)).or_default() += Figures::of(row);
        if let (Some(campaign_id), Some(money)) = (row.campaign_id, Money::of(row)) {
            *self.campaigns.entry((minute, campaign_id)).or_default() += money;
        }
    }

    /// Takes off the age or the followers of an event whose person is taken out of its row; the event stays.
    pub(super) fn take_out(&mut self, kind: Kind, occurred_at: i64, measure: i64) {
        let minute = bucket(occurred_at, MINUTE);
        *self.kinds.entry((minute, kind)).or_default() += Figures::without(measure);
    }

    /// What is added to `rollups`, in the order of its key.
    pub(super) fn kinds(&self) -> Vec<KindRollup> {
        let mut grains: BTreeMap<(i16, i64, Kind), Figures> = BTreeMap::new();
        for (grain, width) in GRAINS {
            for ((minute, kind), figures) in &self.kinds {
                *grains.entry((grain, bucket(*minute, width), *kind)).or_default() += *figures;
            }
        }
        let row = |((grain, bucket, (source, funnel_stage, event_type)), figures): (_, Figures)| KindRollup {
            grain,
            bucket,
            source,
            funnel_stage,
            event_type,
            events: figures.events,
            measured: figures.measured,
            measure_high: figures.measure.high,
            measure_low: figures.measure.low,
            transactions: figures.money.transactions,
            amount_high: figures.money.amount.high,
            amount_low: figures.money.amount.low,
        };
        grains.into_iter().map(row).collect()
    }

    /// What is added to `campaign_rollups`, in the order of its key.
    pub(super) fn campaigns(&self) -> Vec<CampaignRollup<'a>> {
        let mut grains: BTreeMap<(i16, i64, &'a str), Money> = BTreeMap::new();
        for (grain, width) in GRAINS {
            for ((minute, campaign_id), money) in &self.campaigns {
                *grains.entry((grain, bucket(*minute, width), *campaign_id)).or_default() += *money;
            }
        }
        let row = |((grain, bucket, campaign_id), money): (_, Money)| CampaignRollup {
            grain,
            bucket,
            campaign_id,
            transactions: money.transactions,
            amount_high: money.amount.high,
            amount_low: money.amount.low,
        };
        grains.into_iter().map(row).collect()
    }
}

/// The start of a bucket, µs since the Unix epoch.
fn bucket(time: i64, width: i64) -> i64 {
    time - time.rem_euclid(width)
}
