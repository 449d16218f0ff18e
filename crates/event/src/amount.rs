//! An amount of money as integer ten-thousandths: SQLite has no exact decimal type, and a float is not exact.

use std::fmt;

use weir::contract::Money;

/// An amount of money of an event: 0 to 999,999,999.9999 in the deployment's currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Amount(i64);

impl Amount {
    /// The rule of an amount, as a violation names it.
    pub(crate) const RULE: &'static str = r"must be a decimal string that matches ^\d{1,9}(\.\d{1,4})?$";

    /// Parses a text that matches `^\d{1,9}(\.\d{1,4})?$`; `None` for any other.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = match text.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (text, None),
        };
        let digits = |part: &str, max: usize| {
            (1..=max).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(whole, 9) || !fraction.is_none_or(|fraction| digits(fraction, 4)) {
            return None;
        }
        let whole: i64 = whole.parse().ok()?;
        let fraction: i64 = format!("{:0<4}", fraction.unwrap_or("")).parse().ok()?;
        Some(Self(whole * 10_000 + fraction))
    }

    /// The amount in ten-thousandths of the currency unit, as the database stores it.
    #[must_use]
    pub fn ten_thousandths(self) -> i64 {
        self.0
    }
}

/// Two places at least, four at most, as reports write money.
impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Money(self.0.into()).fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_matches_the_rule_is_parsed_exactly() {
        for (text, value, shown) in [
            ("0", 0, "0.00"),
            ("57", 570_000, "57.00"),
            ("318.49", 3_184_900, "318.49"),
            ("0.105", 1_050, "0.105"),
            ("0.0001", 1, "0.0001"),
            ("999999999.9999", 9_999_999_999_999, "999999999.9999"),
        ] {
            let amount = Amount::parse(text).unwrap();
            assert_eq!((amount.ten_thousandths(), amount.to_string().as_str()), (value, shown));
        }
    }

    #[test]
    fn a_text_that_does_not_match_the_rule_is_refused() {
        for text in [
            "",
            ".5",
            "5.",
            " 5",
            "5 ",
            "-5",
            "+5",
            "1e3",
            "12,50",
            "1.23456",
            "1234567890",
            "NaN",
            "1.2.3",
            "٣",
        ] {
            assert_eq!(Amount::parse(text), None, "{text}");
        }
    }
}
