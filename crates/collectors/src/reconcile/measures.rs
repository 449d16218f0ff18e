//! Measures of a bucket, and their columns in the rollups. A sum that may exceed 64 bits has two columns, a high and
//! a low half.

use weir_database::split_sum::{LOW_BITS, SplitSum};

use super::error::ReconcileError;
use crate::people::PeopleCounts;

/// One measure of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    Events,
    /// Events with an age or with followers.
    Measured,
    /// The sum of ages or followers.
    MeasureSum,
    Transactions,
    /// The sum of the transactions' amounts, in ten-thousandths.
    Amount,
    /// Users in the sets.
    Users,
    /// Observations of users.
    Observations,
    /// Users and members of groups that sets contain and should not, or should contain and do not. Campaigns that a ranking
    /// has with other sales than the sums, or leaves out and should have.
    Misplaced,
}

/// The values of measures, in the order of their table. Sums are whole: differently split halves of the same sum are
/// equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measures(Vec<(Measure, i128)>);

impl Measure {
    /// The name in reports of `weir reconcile`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Measured => "measured",
            Self::MeasureSum => "measure",
            Self::Transactions => "transactions",
            Self::Amount => "amount",
            Self::Users => "users",
            Self::Observations => "sightings",
            Self::Misplaced => "misplaced",
        }
    }

    /// The columns in the rollups: one, or the high and the low half.
    pub(super) fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Events => &["events"],
            Self::Measured => &["measured"],
            Self::MeasureSum => &["measure_high", "measure_low"],
            Self::Transactions => &["transactions"],
            Self::Amount => &["amount_high", "amount_low"],
            // They are in no rollup.
            Self::Users | Self::Observations | Self::Misplaced => &[],
        }
    }
}

impl Measures {
    /// Parses the columns of `measures` in their order, as text with spaces between. `None` where the text has other
    /// columns.
    pub(super) fn read(measures: &[Measure], text: &str) -> Option<Self> {
        let mut columns = text.split(' ').map(|column| column.parse::<i128>().ok());
        let mut read = Vec::with_capacity(measures.len());
        for measure in measures {
            let mut value = columns.next()??;
            for _half in measure.columns().iter().skip(1) {
                value = (value << LOW_BITS) + columns.next()??;
            }
            read.push((*measure, value));
        }
        Some(Self(read))
    }

    /// The measures of sets.
    pub(super) fn of_people(PeopleCounts { users, observations }: PeopleCounts, misplaced: u64) -> Self {
        Self(vec![
            (Measure::Users, users.into()),
            (Measure::Observations, observations.into()),
            (Measure::Misplaced, misplaced.into()),
        ])
    }

    /// The measure of a ranking.
    pub(super) fn of_ranking(misplaced: u64) -> Self {
        Self(vec![(Measure::Misplaced, misplaced.into())])
    }

    pub fn iter(&self) -> impl Iterator<Item = (Measure, i128)> {
        self.0.iter().copied()
    }

    pub(super) fn is_zero(&self) -> bool {
        self.0.iter().all(|(_, value)| *value == 0)
    }

    /// The value of a measure; 0 where it has none.
    pub(super) fn of(&self, measure: Measure) -> i128 {
        self.0.iter().find(|(known, _)| *known == measure).map_or(0, |(_, value)| *value)
    }

    /// `self - other`; both are of one table.
    pub(super) fn minus(&self, other: &Self) -> Self {
        Self(self.iter().map(|(measure, value)| (measure, value - other.of(measure))).collect())
    }

    /// Adds values of the same table.
    pub(super) fn add(&mut self, other: &Self) {
        self.0.iter_mut().for_each(|(measure, value)| *value += other.of(*measure));
    }

    pub(super) fn count(&self, measure: Measure) -> Result<i64, ReconcileError> {
        i64::try_from(self.of(measure)).map_err(|_| ReconcileError::TooLarge)
    }

    /// The high and the low half of a sum.
    pub(super) fn halves(&self, measure: Measure) -> Result<SplitSum, ReconcileError> {
        SplitSum::of_total(self.of(measure)).ok_or(ReconcileError::TooLarge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONEY: [Measure; 2] = [Measure::Transactions, Measure::Amount];

    #[test]
    fn differently_split_halves_are_the_same_sum() {
        let read = |text| Measures::read(&MONEY, text).unwrap();
        assert_eq!(read("2 1 5"), read("2 0 67108869"));
        assert_eq!(read("2 -1 5").of(Measure::Amount), 5 - (1 << 26));
        let huge = read("0 9223372036854775807 9223372036854775807");
        assert_eq!(huge.of(Measure::Amount), ((1_i128 << 63) - 1) * ((1 << 26) + 1));
    }

    #[test]
    fn a_sum_has_the_halves_that_it_was_read_from() {
        for text in ["1 7 67108863", "1 -3 12", "0 0 0"] {
            let measures = Measures::read(&MONEY, text).unwrap();
            let SplitSum { high, low } = measures.halves(Measure::Amount).unwrap();
            let count = measures.count(Measure::Transactions).unwrap();
            assert_eq!(Measures::read(&MONEY, &format!("{count} {high} {low}")).unwrap(), measures);
        }
    }

    #[test]
    fn other_texts_are_no_measures() {
        for text in ["", "1", "1 2", "1 2 x"] {
            assert_eq!(Measures::read(&MONEY, text), None, "{text}");
        }
    }
}
