//! Values with units, as options have them: `90s`, `512MiB`, `0.1`.
//!
//! The crate `bytesize` is not used: it also accepts fractions and decimal units such as `8GB`, which are
//! refused here.

use std::num::ParseIntError;

pub(crate) use weir_process::args::duration;

/// Reads a number of bytes: a whole number, bare or with `KiB`, `MiB`, `GiB` or `TiB`.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let bytes_each = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(format!("'{text}' is no size such as 1073741824, 512MiB or 8GiB")),
    };
    scaled(number, bytes_each).ok_or_else(|| format!("'{text}' is no size such as 8GiB"))
}

/// Reads a whole number that is `least` or more.
pub(crate) fn at_least(least: u64, text: &str) -> Result<u64, String> {
    let number = text.trim().parse().map_err(|_: ParseIntError| format!("'{text}' is no whole number"))?;
    if number < least { Err(format!("{number} is under {least}")) } else { Ok(number) }
}

/// Reads a share: 0 means never, 1 means always.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    match text.trim().parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!("'{text}' is no share from 0 to 1")),
    }
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    (number, unit.trim_start())
}

fn scaled(number: &str, each: u64) -> Option<u64> {
    number.parse::<u64>().ok()?.checked_mul(each)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_every_unit() {
        for (text, size) in
            [("17", 17), ("1KiB", 1024), ("512 MiB", 512 << 20), ("8GiB", 8 << 30), ("1TiB", 1 << 40)]
        {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in ["", "GiB", "8GB", "-8GiB", "1.5GiB", "99999999999TiB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_is_between_never_and_always() {
        assert_eq!(share("0.25"), Ok(0.25));
        for text in ["", "-0.1", "1.1", "NaN", "half"] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
