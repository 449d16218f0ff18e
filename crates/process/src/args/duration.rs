//! Durations in settings and options: `90d`, `36h`, `15m`, `30s`.
//!
//! The crate `humantime` is not used: it refuses a bare number, which stands for seconds here. It also
//! accepts sums such as `1h30m`, weeks and years, which no setting accepts so far.

use std::time::Duration;

/// Reads a duration: a whole number of `ms`, `s`, `m`, `h` or `d`. A bare number is in seconds.
///
/// ```
/// use std::time::Duration;
/// use weir_process::args::duration;
///
/// assert_eq!(duration("90 d"), Ok(Duration::from_secs(90 * 24 * 60 * 60)));
/// assert_eq!(duration("60"), Ok(Duration::from_secs(60)));
/// assert!(duration("1h30m").is_err());
/// ```
///
/// # Errors
/// The text is not a duration, or exceeds 2^64 milliseconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let trimmed = text.trim();
    let (number, unit) =
        trimmed.split_at(trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len()));
    let milliseconds_each = match unit.trim_start() {
        "ms" => 1,
        "s" | "" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(format!("'{text}' is no duration such as 500ms, 60s, 5m, 1h or 90d")),
    };
    let milliseconds = number.parse().ok().and_then(|number: u64| number.checked_mul(milliseconds_each));
    milliseconds.map(Duration::from_millis).ok_or_else(|| format!("'{text}' is no duration such as 60s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_every_unit() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("60s", 60_000),
            ("60", 60_000),
            ("1m", 60_000),
            ("2h", 7_200_000),
            ("90 d", 7_776_000_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "s", "-1s", "1.5s", "1w", "99999999999999999999s", "9999999999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
