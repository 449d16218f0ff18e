//! Split sums: exact sums of BIGINT in two halves, because a plain sum may leave 64 bits.
//!
//! SQLite fails where a sum leaves `i64`, and PostgreSQL's own sum of BIGINT is NUMERIC. The high half adds up `value
//! >> 26`, the low half `value & (2^26 − 1)`. The largest number of an event is 2^53 − 1, which has 27 bits above the
//! split: therefore 2^36 values of either half fit an `i64`.
//!
//! ```
//! use weir_database::split_sum::SplitSum;
//!
//! let mut sum = SplitSum::of(i64::MAX);
//! sum += SplitSum::of(i64::MAX);
//! assert_eq!(sum.total(), 2 * i128::from(i64::MAX));
//! ```

use std::ops::{AddAssign, Neg};

use sea_orm::{
    FromQueryResult,
    sea_query::{Expr, ExprTrait as _},
};

/// Bits of the low half.
pub const LOW_BITS: u32 = 26;
/// The bits that the low half keeps.
pub const LOW_MASK: i64 = (1 << LOW_BITS) - 1;

/// A sum in two halves, read from the columns `high` and `low`. Neither half is normalised: two pairs of halves may be
/// the same [`Self::total`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromQueryResult)]
pub struct SplitSum {
    pub high: i64,
    pub low: i64,
}

impl SplitSum {
    /// The halves of one value.
    #[must_use]
    pub const fn of(value: i64) -> Self {
        Self { high: value >> LOW_BITS, low: value & LOW_MASK }
    }

    /// The halves of a sum; `None` where the high half leaves `i64`.
    #[must_use]
    pub fn of_total(total: i128) -> Option<Self> {
        let high = i64::try_from(total >> LOW_BITS).ok()?;
        let low = i64::try_from(total & i128::from(LOW_MASK)).ok()?;
        Some(Self { high, low })
    }

    #[must_use]
    pub const fn total(self) -> i128 {
        ((self.high as i128) << LOW_BITS) + self.low as i128
    }
}

impl AddAssign for SplitSum {
    fn add_assign(&mut self, other: Self) {
        self.high += other.high;
        self.low += other.low;
    }
}

impl Neg for SplitSum {
    type Output = Self;

    fn neg(self) -> Self {
        Self { high: -self.high, low: -self.low }
    }
}

/// Expressions for the high and the low half of one value.
#[must_use]
pub fn halves(value: Expr) -> [Expr; 2] {
    // PostgreSQL shifts BIGINT by INTEGER alone.
    [value.clone().right_shift(LOW_BITS.cast_signed()), value.bit_and(LOW_MASK)]
}

/// Expressions that order groups by the total of these two halves: by the first, and among equals by the second. The
/// carry of the low half goes to the high one.
#[must_use]
pub fn order_by_total([high, low]: [Expr; 2]) -> [Expr; 2] {
    [high.add(low.clone().right_shift(LOW_BITS.cast_signed())), low.bit_and(LOW_MASK)]
}

/// A sum that fits 64 bits; 0 without rows. The cast is there because PostgreSQL's own sum of BIGINT is NUMERIC.
#[must_use]
pub fn sum_or_zero(expression: Expr) -> Expr {
    expression.sum().if_null(0_i64).cast_as("BIGINT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_halves_of_a_sum_make_it_whole() {
        let largest = (1_i64 << 53) - 1;
        let many = 1_i64 << 36;
        let SplitSum { high, low } = SplitSum::of(largest);
        let sum = SplitSum { high: high * many, low: low * (many - 1) };
        let expected = i128::from(largest) * i128::from(many) - i128::from(largest & LOW_MASK);
        assert_eq!(sum.total(), expected);
    }

    #[test]
    fn a_sum_of_either_sign_is_taken_apart_and_put_together() {
        for total in [0, 1, -1, i128::from(LOW_MASK), -i128::from(LOW_MASK) - 1, 1 << 80, -(1 << 80)] {
            assert_eq!(SplitSum::of_total(total).map(SplitSum::total), Some(total));
        }
        assert_eq!(SplitSum::of_total(1 << 90), None);
        let mut sum = SplitSum::of(7);
        sum += -SplitSum::of(i64::MAX);
        assert_eq!(sum.total(), 7 - i128::from(i64::MAX));
    }
}
