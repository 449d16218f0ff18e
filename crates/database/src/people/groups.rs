//! The groups that a number of a person falls into: sets are kept by them, so they belong to what
//! is stored. Changing one means filling the sets anew.

/// The first age, in years, past each age group but the last.
pub const AGE_ENDS: [i64; 5] = [18, 25, 35, 45, 55];
/// The first number of followers past each follower group but the last.
pub const FOLLOWER_ENDS: [i64; 4] = [100, 1_000, 10_000, 100_000];

/// The place of the group that a number falls into.
pub(super) fn place(number: i64, ends: &[i64]) -> u8 {
    ends.iter().filter(|end| number >= **end).count() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_falls_into_the_group_that_it_is_not_past() {
        let ages = [0, 17, 18, 24, 25, 54, 55, 150].map(|age| place(age, &AGE_ENDS));
        assert_eq!(ages, [0, 0, 1, 1, 2, 4, 5, 5]);
        let followers = [0, 99, 100, 99_999, 100_000].map(|number| place(number, &FOLLOWER_ENDS));
        assert_eq!(followers, [0, 0, 1, 3, 4]);
    }
}
