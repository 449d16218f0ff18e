//! The deadline of a caller: `grpc-timeout`, read alike by every hop.
//!
//! tonic ends a call at the caller's deadline. Work behind the call does not notice that, so it needs the
//! deadline too.

use std::time::Duration;

use http::HeaderMap;

const METADATA_KEY: &str = "grpc-timeout";

/// Returns the shorter of `most` and the caller's timeout, measured from the arrival of the call.
///
/// ```
/// use std::time::Duration;
/// use weir_process::grpc_timeout;
///
/// let mut headers = http::HeaderMap::new();
/// headers.insert("grpc-timeout", "250m".parse().unwrap());
/// assert_eq!(grpc_timeout::effective(&headers, Duration::from_secs(30)), Duration::from_millis(250));
/// ```
#[must_use]
pub fn effective(headers: &HeaderMap, most: Duration) -> Duration {
    let asked = headers.get(METADATA_KEY).and_then(|value| value.to_str().ok()).and_then(parse);
    asked.map_or(most, |asked| asked.min(most))
}

/// Reads digits and a unit, as the gRPC specification defines a timeout.
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

    fn effective_for(timeout: &str) -> Duration {
        let mut headers = HeaderMap::new();
        headers.insert(METADATA_KEY, timeout.parse().unwrap());
        effective(&headers, MOST)
    }

    #[test]
    fn the_shorter_bound_holds() {
        assert_eq!(effective(&HeaderMap::new(), MOST), MOST);
        assert_eq!(effective_for("1H"), MOST);
        assert_eq!(effective_for("2S"), Duration::from_secs(2));
        assert_eq!(effective_for("250m"), Duration::from_millis(250));
        assert_eq!(effective_for("99999999n"), Duration::from_nanos(99_999_999));
    }

    #[test]
    fn an_invalid_timeout_is_ignored() {
        for text in ["", "S", "5", "-1S", "5s", "1é"] {
            assert_eq!(effective_for(text), MOST, "{text}");
        }
    }
}
