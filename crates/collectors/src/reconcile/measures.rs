//! What is added up, and how the rollups keep it: a sum that may outgrow 64 bits in two halves.

use super::error::ReconcileError;
use crate::{people::Told, store::rollups::LOW_BITS};

/// One figure of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    Events,
    /// Events that tell an age or followers.
    Measured,
    /// The sum of ages or followers.
    Measure,
    Transactions,
    /// The sum of the transactions' amounts, in ten-thousandths.
    Amount,
    /// Users that sets name.
    Users,
    /// Events of theirs.
    Observations,
    /// Users and members of groups that are in sets and should not be, or should be and are not.
    Misplaced,
}

/// Figures in the order of their structure. Sums are whole: what two halves of different make add up to is the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures(Vec<(Figure, i128)>);

impl Figure {
    /// What people and programs call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Measured => "measured",
            Self::Measure => "measure",
            Self::Transactions => "transactions",
            Self::Amount => "amount",
            Self::Users => "users",
            Self::Observations => "sightings",
            Self::Misplaced => "misplaced",
        }
    }

    /// Its columns in the rollups: one, or the high and the low half.
    pub(super) fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Events => &["events"],
            Self::Measured => &["measured"],
            Self::Measure => &["measure_high", "measure_low"],
            Self::Transactions => &["transactions"],
            Self::Amount => &["amount_high", "amount_low"],
            // Of no rollup.
            Self::Users | Self::Observations | Self::Misplaced => &[],
        }
    }
}

impl Figures {
    /// From the columns of `figures` in their order, as text with spaces between.
    pub(super) fn read(figures: &[Figure], text: &str) -> Option<Self> {
        let mut columns = text.split(' ').map(|column| column.parse::<i128>().ok());
        let mut read = Vec::with_capacity(figures.len());
        for figure in figures {
            let mut value = columns.next()??;
            for _half in figure.columns().iter().skip(1) {
                value = (value << LOW_BITS) + columns.next()??;
            }
            read.push((*figure, value));
        }
        Some(Self(read))
    }

    /// Of sets.
    pub(super) fn of_people(Told { users, sightings }: Told, misplaced: u64) -> Self {
        Self(vec![
            (Figure::Users, users.into()),
            (Figure::Observations, sightings.into()),
            (Figure::Misplaced, misplaced.into()),
        ])
    }

    pub fn iter(&self) -> impl Iterator<Item = (Figure, i128)> {
        self.0.iter().copied()
    }

    pub(super) fn is_zero(&self) -> bool {
        self.0.iter().all(|(_, value)| *value == 0)
    }

    /// 0 where there is no such figure.
    pub(super) fn of(&self, figure: Figure) -> i128 {
        self.0.iter().find(|(known, _)| *known == figure).map_or(0, |(_, value)| *value)
    }

    /// `self - other`; both are of one structure.
    pub(super) fn minus(&self, other: &Self) -> Self {
        Self(self.iter().map(|(figure, value)| (figure, value - other.of(figure))).collect())
    }

    /// Adds figures of the same structure.
    pub(super) fn add(&mut self, other: &Self) {
        self.0.iter_mut().for_each(|(figure, value)| *value += other.of(*figure));
    }

    pub(super) fn count(&self, figure: Figure) -> Result<i64, ReconcileError> {
        i64::try_from(self.of(figure)).map_err(|_| ReconcileError::TooLarge)
    }

    /// The high and the low half of a sum.
    pub(super) fn halves(&self, figure: Figure) -> Result<(i64, i64), ReconcileError> {
        let sum = self.of(figure);
        let low = sum & ((1 << LOW_BITS) - 1);
        let halves = (i64::try_from(sum >> LOW_BITS), i64::try_from(low));
        let (Ok(high), Ok(low)) = halves else { return Err(ReconcileError::TooLarge) };
        Ok((high, low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONEY: [Figure; 2] = [Figure::Transactions, Figure::Amount];

    #[test]
    fn halves_of_different_make_are_the_same_sum() {
        let read = |text| Figures::read(&MONEY, text).unwrap();
        assert_eq!(read("2 1 5"), read("2 0 67108869"));
        assert_eq!(read("2 -1 5").of(Figure::Amount), 5 - (1 << 26));
        let huge = read("0 9223372036854775807 9223372036854775807");
        assert_eq!(huge.of(Figure::Amount), ((1_i128 << 63) - 1) * ((1 << 26) + 1));
    }

    #[test]
    fn a_sum_is_taken_apart_as_it_was_put_together() {
        for text in ["1 7 67108863", "1 -3 12", "0 0 0"] {
            let figures = Figures::read(&MONEY, text).unwrap();
            let (high, low) = figures.halves(Figure::Amount).unwrap();
            let count = figures.count(Figure::Transactions).unwrap();
            assert_eq!(Figures::read(&MONEY, &format!("{count} {high} {low}")).unwrap(), figures);
        }
    }

    #[test]
    fn what_is_no_figures_is_none() {
        for text in ["", "1", "1 2", "1 2 x"] {
            assert_eq!(Figures::read(&MONEY, text), None, "{text}");
        }
    }
}
