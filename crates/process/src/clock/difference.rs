//! Differences between clocks: their limit, and their text for people.

use chrono::TimeDelta;

/// A clock that differs by more decides nothing.
const DISTRUST_ABOVE: TimeDelta = TimeDelta::hours(1);

/// Returns true if a difference is too large to remove anything by its age.
#[must_use]
pub fn is_far(difference: TimeDelta) -> bool {
    difference.abs() > DISTRUST_ABOVE
}

/// Formats a duration in its two largest units, rounded to a second and without its sign: `91d 3h`, `2m 5s`.
#[must_use]
pub fn span(length: TimeDelta) -> String {
    let seconds = length.num_milliseconds().unsigned_abs().saturating_add(500) / 1_000;
    let parts =
        [(seconds / 86_400, 'd'), (seconds / 3600 % 24, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')];
    let first = parts.iter().position(|(number, _)| *number > 0).unwrap_or(3);
    let shown = parts[first..].iter().take(2).filter(|(number, _)| *number > 0);
    let shown: Vec<String> = shown.map(|(number, unit)| format!("{number}{unit}")).collect();
    if shown.is_empty() { "0s".to_owned() } else { shown.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (-125, "2m 5s"), (3600, "1h"), (90_061, "1d 1h")] {
            assert_eq!(span(TimeDelta::seconds(seconds)), text);
        }
    }
}
