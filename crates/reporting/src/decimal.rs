//! Exact decimals: means rounded half-even, and money as decimal strings. No calculation uses floats.

use std::fmt;

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

/// A sum of money of zero or more, in ten-thousandths of the deployment's currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Money(pub(crate) i128);

impl Money {
    const PER_UNIT: i128 = 10_000;
    const PER_HUNDREDTH: i128 = 100;

    /// The mean of `count` amounts, rounded half-even to two decimals; 0 without amounts.
    pub(crate) fn mean(self, count: u64) -> Self {
        if count == 0 {
            return Self::default();
        }
        let hundredths = divide_half_even(self.0, i128::from(count) * Self::PER_HUNDREDTH);
        Self(hundredths * Self::PER_HUNDREDTH)
    }
}

impl std::ops::Add for Money {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

/// At least two decimals, at most four.
impl fmt::Display for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / Self::PER_UNIT, self.0 % Self::PER_UNIT);
        match (fraction % 100, fraction % 10) {
            (0, _) => write!(formatter, "{whole}.{:02}", fraction / 100),
            (_, 0) => write!(formatter, "{whole}.{:03}", fraction / 10),
            _ => write!(formatter, "{whole}.{fraction:04}"),
        }
    }
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
    fn money_is_written_with_two_to_four_places() {
        for (ten_thousandths, written) in [
            (0, "0.00"),
            (1, "0.0001"),
            (10, "0.001"),
            (100, "0.01"),
            (1_050, "0.105"),
            (15_235_000, "1523.50"),
            (i128::from(i64::MAX) * 10, "9223372036854775.807"),
        ] {
            assert_eq!(Money(ten_thousandths).to_string(), written);
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
            assert_eq!(Money(total).mean(count).to_string(), written, "{total} / {count}");
        }
    }
}
