//! Exact amounts of money, as integers of ten-thousandths.

const SCALE: i128 = 10_000;

/// `12.5` → 125000.
pub(super) fn ten_thousandths(amount: &str) -> i128 {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    format!("{whole}{fraction:0<4}").parse().unwrap_or_else(|_| panic!("'{amount}' is no amount"))
}

/// 125000 → `12.50`: at least two places, and no further trailing zeros.
pub(super) fn decimal(amount: i128) -> String {
    let text = format!("{}.{:04}", amount / SCALE, amount % SCALE);
    let shorter = text.strip_suffix("00").or_else(|| text.strip_suffix('0'));
    shorter.unwrap_or(&text).to_owned()
}

/// The mean to two places, rounded half to even; `0.00` without transactions.
pub(super) fn average(sum: i128, count: u64) -> String {
    let cents = half_even(sum, i128::from(count.max(1)) * (SCALE / 100));
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// The mean of integers to two places, rounded half to even; 0 without values.
pub(super) fn mean(values: impl ExactSizeIterator<Item = i64>) -> f64 {
    let count = values.len().max(1);
    let sum: i128 = values.map(i128::from).sum();
    let hundredths = half_even(sum * 100, i128::try_from(count).expect("a count is small"));
    hundredths as f64 / 100.0
}

/// `dividend / divisor` for positive numbers, rounded half to even.
fn half_even(dividend: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (dividend / divisor, dividend % divisor);
    let up = rest * 2 > divisor || (rest * 2 == divisor && quotient % 2 == 1);
    quotient + i128::from(up)
}

#[test]
fn money_is_written_with_two_places_at_least() {
    assert_eq!(decimal(ten_thousandths("57")), "57.00");
    assert_eq!(decimal(ten_thousandths("12.5")), "12.50");
    assert_eq!(decimal(ten_thousandths("20.1230")), "20.123");
    assert_eq!(decimal(ten_thousandths("999999999.9999")), "999999999.9999");
}

#[test]
fn halves_are_rounded_to_the_even_neighbour() {
    assert_eq!(average(ten_thousandths("0.05"), 2), "0.02");
    assert_eq!(average(ten_thousandths("0.15"), 2), "0.08");
    assert_eq!(average(0, 0), "0.00");
    assert!((mean([1, 2].into_iter()) - 1.5).abs() < f64::EPSILON);
}
