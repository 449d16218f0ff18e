//! Exact money as a decimal string. No digit passes through a float.

use std::fmt;

const PER_UNIT: u128 = 10_000;

/// An amount of money in ten-thousandths of the deployment's currency unit. Its `Display` is the decimal string of the
/// contract: two places at least, four at most, with a minus sign below zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Money(pub i128);

impl fmt::Display for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        let (whole, fraction) = (magnitude / PER_UNIT, magnitude % PER_UNIT);
        match (fraction % 100, fraction % 10) {
            (0, _) => write!(formatter, "{sign}{whole}.{:02}", fraction / 100),
            (_, 0) => write!(formatter, "{sign}{whole}.{:03}", fraction / 10),
            _ => write!(formatter, "{sign}{whole}.{fraction:04}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_has_two_to_four_places_and_its_sign() {
        for (ten_thousandths, text) in [
            (0, "0.00"),
            (1, "0.0001"),
            (-1, "-0.0001"),
            (10, "0.001"),
            (100, "0.01"),
            (1_050, "0.105"),
            (-10_010, "-1.001"),
            (15_235_000, "1523.50"),
            (i128::from(i64::MAX) * 10, "9223372036854775.807"),
        ] {
            assert_eq!(Money(ten_thousandths).to_string(), text);
        }
    }
}
