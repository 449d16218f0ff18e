//! What an event adds to its buckets.

use std::ops::AddAssign;

use weir_event::{EventType, Source};

use crate::store::row::Row;

/// Where a sum is split, so that neither half leaves 64 bits: SQLite has no wider integer.
pub(crate) const LOW_BITS: u32 = 26;
pub(crate) const LOW_MASK: i64 = (1 << LOW_BITS) - 1;

/// A sum in two halves: of `value >> 26` and of `value & (2^26 − 1)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SplitSum {
    pub(super) high: i64,
    pub(super) low: i64,
}

/// Transactions and their amounts, in ten-thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Money {
    pub(super) transactions: i64,
    pub(super) amount: SplitSum,
}

/// Of any number of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) events: i64,
    /// Events with a measure.
    pub(super) measured: i64,
    pub(super) measure: SplitSum,
    pub(super) money: Money,
}

impl Figures {
    pub(super) fn of(row: &Row<'_>) -> Self {
        // A row without its person has neither.
        let measure = row.age.map(i64::from).or(row.followers);
        Self {
            events: 1,
            measured: measure.is_some().into(),
            measure: measure.map(SplitSum::of).unwrap_or_default(),
            money: Money::of(row).unwrap_or_default(),
        }
    }

    /// What an event with this measure adds when it loses it.
    pub(super) fn without(measure: i64) -> Self {
        let SplitSum { high, low } = SplitSum::of(measure);
        Self { measured: -1, measure: SplitSum { high: -high, low: -low }, ..Self::default() }
    }
}

impl Money {
    /// None where the event is no transaction: an amount on other types is no revenue.
    pub(super) fn of(row: &Row<'_>) -> Option<Self> {
        let kind = (i32::from(row.source), i32::from(row.event_type));
        let transactions = [
            (Source::Facebook.number(), EventType::CheckoutComplete.number()),
            (Source::Tiktok.number(), EventType::Purchase.number()),
        ];
        let amount = row.purchase_amount.filter(|_| transactions.contains(&kind))?;
        Some(Self { transactions: 1, amount: SplitSum::of(amount) })
    }
}

impl SplitSum {
    fn of(value: i64) -> Self {
        Self { high: value >> LOW_BITS, low: value & LOW_MASK }
    }
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.measured += other.measured;
        self.measure += other.measure;
        self.money += other.money;
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        self.transactions += other.transactions;
        self.amount += other.amount;
    }
}

impl AddAssign for SplitSum {
    fn add_assign(&mut self, other: Self) {
        self.high += other.high;
        self.low += other.low;
    }
}
