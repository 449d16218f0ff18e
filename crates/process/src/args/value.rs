//! Values of filters, read alike over HTTP and on the command line: one parser, one error message.

use std::ops::RangeInclusive;

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, Timelike as _, Utc};

/// Reads an instant: RFC 3339 with any offset, or a date, which means its beginning in UTC.
///
/// # Errors
/// The text is neither, has blanks around it, or lies outside the years 1 to 9999.
pub fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let instant = date(text).or_else(|| date_time(text));
    instant
        .filter(|instant| (1..=9999).contains(&instant.year()))
        .ok_or_else(|| "must be RFC 3339, such as 2025-09-14T07:00:00Z, or a date, such as 2025-09-14".into())
}

/// Reads a whole number that consists of digits only.
///
/// # Errors
/// The text is not such a number, or lies outside `range`.
pub fn whole_number(text: &str, range: RangeInclusive<u32>) -> Result<u32, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && range.contains(number));
    number.ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
}

/// chrono also accepts months and days of one digit, and blanks.
fn date(text: &str) -> Option<DateTime<Utc>> {
    let is_shaped = text.len() == 10
        && text.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let day = is_shaped.then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()).flatten()?;
    Some(day.and_time(NaiveTime::MIN).and_utc())
}

/// Query strings carry an unescaped `+` as a space. chrono also accepts a space for the `T`, and leap
/// seconds.
fn date_time(text: &str) -> Option<DateTime<Utc>> {
    let bytes = text.as_bytes();
    if !text.is_ascii() || !matches!(bytes.get(10), Some(b'T' | b't')) {
        return None;
    }
    let instant = DateTime::parse_from_rfc3339(&text.replace(' ', "+")).ok()?;
    (instant.nanosecond() < 1_000_000_000).then(|| instant.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_with_any_offset_even_an_unescaped_one() {
        let expected = "2025-09-14T05:00:00Z".parse::<DateTime<Utc>>().unwrap();
        for text in [
            "2025-09-14T05:00:00Z",
            "2025-09-14t05:00:00z",
            "2025-09-14T07:00:00+02:00",
            "2025-09-14T07:00:00 02:00",
            "2025-09-14T03:00:00.000-02:00",
            "2025-09-14T05:00:00-00:00",
        ] {
            assert_eq!(instant(text), Ok(expected), "{text}");
        }
        assert_eq!(instant("2025-09-14"), Ok("2025-09-14T00:00:00Z".parse().unwrap()));
        let fraction = instant("2025-09-14T00:00:00.5Z").unwrap();
        assert_eq!(fraction.timestamp_subsec_nanos(), 500_000_000);
    }

    #[test]
    fn an_invalid_time_is_refused() {
        for text in [
            "",
            "2025-09-14 07:00:00Z",
            "2025-09-14T07:00:00",
            "2025-09-14T07:00Z",
            "2025-9-14",
            "2025-9-1",
            "2025-009-1",
            "+25-09-014",
            "2025/09/14",
            "2025-02-30",
            "20250914",
            " 2025-09-14",
            "2025-09-14\r",
            "2025-09-14\n",
            "2025-09-14T07:00:00Z\r",
            " 2025-09-14T07:00:00Z",
            "2025-09-14T07:00:00Z ",
            "2025-09-14T07:00:00 +02:00",
            "2025-09-14T07:00:00  02:00",
            "2025-09-14T07:00: 0Z",
            "2025-09-14T07:00:00\u{2212}02:00",
            "2025-09-14T07:00:00+0200",
            "2025-09-14T07:00:00+02",
            "2025-09-14T07:00:00+24:00",
            "2025-09-14T07:00:00.Z",
            "2025-09-14T24:00:00Z",
            "2025-12-31T23:59:60Z",
            "2025-12-31T23:59:60.5Z",
            "0000-01-01",
            "9999-12-31T23:59:59-01:00",
            "1757834505",
            "now",
        ] {
            let message = instant(text).expect_err(text);
            assert!(message.contains("2025-09-14T07:00:00Z"), "{text:?}: {message}");
        }
    }

    #[test]
    fn a_whole_number_is_digits_within_its_range() {
        assert_eq!((whole_number("1", 1..=1000), whole_number("1000", 1..=1000)), (Ok(1), Ok(1000)));
        for text in ["", "0", "1001", "-1", "+5", "1.0", "1e2", " 5", "99999999999"] {
            assert_eq!(
                whole_number(text, 1..=1000),
                Err("must be a whole number from 1 to 1000".into()),
                "{text}"
            );
        }
    }
}
