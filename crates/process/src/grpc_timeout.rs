//! How long a caller waits: `grpc-timeout`, as every hop reads it.
//!
//! tonic ends a call at the caller's deadline by itself; what works for the call has to be told besides, or it would
//! go on for nobody.

use std::time::Duration;

use http::HeaderMap;

const METADATA_KEY: &str = "grpc-timeout";

/// The shorter of `most` and what the caller gives, from the moment at which the call came.
#[must_use]
pub fn budget(headers: &HeaderMap, most: Duration) -> Duration {
    let asked = headers.get(METADATA_KEY).and_then(|value| value.to_str().ok()).and_then(parse);
    asked.map_or(most, |asked| asked.min(most))
}

/// Reads digits and a unit, as the gRPC specification writes a timeout.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let amount = u64::from(digits.parse::<u32>().ok()?);
    match unit {
        "H" => Some(Duration::from_secs(amount * 3_600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_secs(30);

    fn budget_for(timeout: &str) -> Duration {
        let mut headers = HeaderMap::new();
        headers.insert(METADATA_KEY, timeout.parse().unwrap());
        budget(&headers, MOST)
    }

    #[test]
    fn the_shorter_bound_holds() {
        assert_eq!(budget(&HeaderMap::new(), MOST), MOST);
        assert_eq!(budget_for("1H"), MOST);
        assert_eq!(budget_for("2S"), Duration::from_secs(2));
        assert_eq!(budget_for("250m"), Duration::from_millis(250));
        assert_eq!(budget_for("99999999n"), Duration::from_nanos(99_999_999));
    }

    #[test]
    fn what_is_no_timeout_bounds_nothing() {
        for text in ["", "S", "5", "-1S", "5s", "1é"] {
            assert_eq!(budget_for(text), MOST, "{text}");
        }
    }
}
