//! The means of a demographics report, as exact as the reporting service returns them.

use std::fmt;

use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::value::RawValue;

use super::reporting::v1::{FacebookDemographics, TiktokDemographics};

/// A mean with two decimals. A float can't hold every one: followers go up to 2^53 - 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mean(String);

impl FacebookDemographics {
    /// The mean age of the section's events, in years.
    #[must_use]
    pub fn mean_age(&self) -> Mean {
        Mean::new(&self.average_age_decimal, self.average_age)
    }
}

impl TiktokDemographics {
    /// The mean number of followers over the section's events.
    #[must_use]
    pub fn mean_followers(&self) -> Mean {
        Mean::new(&self.average_followers_decimal, self.average_followers)
    }
}

impl Mean {
    /// Uses the decimal. Reporting services of earlier builds return the `double` alone.
    fn new(decimal: &str, double: f64) -> Self {
        if is_decimal(decimal) {
            return Self(decimal.to_owned());
        }
        Self(format!("{:.2}", if double.is_finite() { double } else { 0.0 }))
    }
}

/// Digits, a point and two digits. Leading zeros are refused, because JSON numbers have none.
fn is_decimal(text: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('.').is_some_and(|(whole, fraction)| {
        let leads_with_zero = whole.len() > 1 && whole.starts_with('0');
        is_digits(whole) && is_digits(fraction) && fraction.len() == 2 && !leads_with_zero
    })
}

/// Writes both decimals.
impl fmt::Display for Mean {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Writes a JSON number, and leaves out a second decimal of 0: `24.0`, `24.5`, `24.67`. Only serde_json's own writers
/// keep the digits; a `Value` converts the number to a float.
impl Serialize for Mean {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits = self.0.strip_suffix('0').unwrap_or(&self.0);
        RawValue::from_string(digits.to_owned()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formats(decimal: &str, double: f64) -> (String, String) {
        let mean = Mean::new(decimal, double);
        (mean.to_string(), serde_json::to_string(&mean).unwrap())
    }

    #[test]
    fn a_mean_keeps_exactly_its_digits() {
        for (decimal, json) in [
            ("0.00", "0.0"),
            ("0.12", "0.12"),
            ("24.00", "24.0"),
            ("24.50", "24.5"),
            ("24.67", "24.67"),
            ("100.00", "100.0"),
            ("9007199254740990.50", "9007199254740990.5"),
            ("9007199254740990.33", "9007199254740990.33"),
        ] {
            assert_eq!(formats(decimal, 1.0), (decimal.to_owned(), json.to_owned()));
        }
    }

    #[test]
    fn a_response_without_a_decimal_uses_the_double() {
        for (double, table, json) in [
            (0.0, "0.00", "0.0"),
            (24.5, "24.50", "24.5"),
            (9_007_199_254_740_991.0, "9007199254740991.00", "9007199254740991.0"),
            (f64::NAN, "0.00", "0.0"),
        ] {
            for decimal in ["", "24", "24.5", "024.50", "-1.00", "1e3.00", ".50", "24.5\u{e9}"] {
                assert_eq!(formats(decimal, double), (table.to_owned(), json.to_owned()), "{decimal}");
            }
        }
    }
}
