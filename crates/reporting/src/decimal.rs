//! Exact decimals: means rounded half-even. No calculation uses floats.

use std::fmt;

use weir::contract::Money;

/// The quotient rounded to the nearest integer, halves to the even neighbour. `divisor` is positive.
fn divide_half_even(dividend: i128, divisor: i128) -> i128 {
    let (quotient, remainder) = (dividend.div_euclid(divisor), dividend.rem_euclid(divisor));
    match (remainder * 2).cmp(&divisor) {
        std::cmp::Ordering::Less => quotient,
        std::cmp::Ordering::Equal => quotient + quotient.rem_euclid(2),
        std::cmp::Ordering::Greater => quotient + 1,
    }
}

/// A number of zero or more with two decimals, in hundredths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hundredths(i128);

/// The mean of `count` numbers, rounded half-even to two decimals; 0 without numbers.
pub(crate) fn mean(sum: i128, count: u64) -> Hundredths {
    if count == 0 {
        return Hundredths::default();
    }
    Hundredths(divide_half_even(sum * 100, count.into()))
}

impl Hundredths {
    /// The nearest float.
    pub(crate) fn to_f64(self) -> f64 {
        // Parsed from text: dividing a large float by 100 would round a second time.
        self.to_string().parse().expect("a decimal number is a float")
    }
}

/// Always two decimals.
impl fmt::Display for Hundredths {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// The mean of `count` amounts, rounded half-even to two decimals; 0 without amounts.
pub(crate) fn mean_of_money(total: Money, count: u64) -> Money {
    const PER_HUNDREDTH: i128 = 100;
    if count == 0 {
        return Money::default();
    }
    Money(divide_half_even(total.0, i128::from(count) * PER_HUNDREDTH) * PER_HUNDREDTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_to_the_even_neighbour() {
        for (dividend, divisor, rounded) in [
            (1, 2, 0),
            (3, 2, 2),
            (5, 2, 2),
            (7, 2, 4),
            (4, 3, 1),
            (5, 3, 2),
            (-1, 2, 0),
            (-3, 2, -2),
            (6, 3, 2),
        ] {
            assert_eq!(divide_half_even(dividend, divisor), rounded, "{dividend} / {divisor}");
        }
    }

    #[test]
    fn a_mean_has_two_decimals_and_is_zero_without_numbers() {
        const MOST: i128 = (1 << 53) - 1;
        for (sum, count, exact, float) in [
            (0, 0, "0.00", 0.0),
            (100, 3, "33.33", 33.33),
            // Halfway.
            (1, 8, "0.12", 0.12),
            (3, 8, "0.38", 0.38),
            (49, 2, "24.50", 24.5),
            (MOST, 1, "9007199254740991.00", 9_007_199_254_740_991.0),
            (MOST + MOST - 1, 2, "9007199254740990.50", 9_007_199_254_740_990.0),
            (MOST * 3 - 1, 3, "9007199254740990.67", 9_007_199_254_740_991.0),
            (MOST * 1_000_000_000, 1_000_000_000, "9007199254740991.00", 9_007_199_254_740_991.0),
        ] {
            let mean = mean(sum, count);
            assert_eq!((mean.to_string().as_str(), mean.to_f64()), (exact, float), "{sum} / {count}");
        }
    }

    #[test]
    fn a_mean_of_money_is_rounded_half_even_to_hundredths() {
        for (total, count, written) in [
            (0, 0, "0.00"),
            (50, 1, "0.00"),
            (150, 1, "0.02"),
            (151, 1, "0.02"),
            (250, 1, "0.02"),
            (10_000, 3, "0.33"),
            (20_000, 3, "0.67"),
        ] {
            assert_eq!(mean_of_money(Money(total), count).to_string(), written, "{total} / {count}");
        }
    }
}
