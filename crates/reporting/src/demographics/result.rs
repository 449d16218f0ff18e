//! Results of demographics: the users of a source by group, and the mean of their ages or followers.

use weir::contract::reporting::v1::{CityUsers, CountryUsers, GroupUsers};
use weir_database::people::{AGE_ENDS, FOLLOWER_ENDS};

use crate::decimal::{self, Hundredths};

/// Distinct users of one source.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Users {
    pub(super) users: u64,
    /// Users by the index of their group; only groups with users.
    pub(super) groups: Vec<(usize, u64)>,
    /// Users by the number of a closed set, genders on Facebook and devices on TikTok. In no order.
    pub(super) genders_or_devices: Vec<(i32, u64)>,
    /// By users descending, then by name; at most the requested number.
    pub(super) countries: Vec<CountryUsers>,
    /// By users descending, then by names; at most the requested number.
    pub(super) cities: Vec<CityUsers>,
    /// `None` where groups are exact. Where they are estimated: the relative standard error that an estimate
    /// of `users` has. The error of a group is the square root of (users / the group's users) times as large.
    pub(super) relative_error: Option<f64>,
}

/// The errors of the rows of a section.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RowErrors {
    users: u64,
    relative_error: Option<f64>,
}

impl Users {
    pub(super) fn errors(&self) -> RowErrors {
        RowErrors { users: self.users, relative_error: self.relative_error }
    }

    /// The same with the errors of countries and cities.
    pub(super) fn with_row_errors(mut self) -> Self {
        let errors = self.errors();
        self.countries.iter_mut().for_each(|row| row.relative_error = errors.of(row.users));
        self.cities.iter_mut().for_each(|row| row.relative_error = errors.of(row.users));
        self
    }
}

impl RowErrors {
    /// The relative standard error of a row with so many users; `None` where the section is exact, and without users.
    pub(super) fn of(self, users: u64) -> Option<f64> {
        let of_row = |error: f64| error * (self.users as f64 / users as f64).sqrt();
        self.relative_error.filter(|_| users > 0).map(of_row)
    }
}

/// The mean of a number over events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SumAndCount {
    pub(super) sum: i128,
    pub(super) events: u64,
}

impl SumAndCount {
    pub(super) fn rounded(self) -> Hundredths {
        decimal::mean(self.sum, self.events)
    }
}

/// Groups of ascending numbers without gaps.
pub(super) struct Groups {
    names: &'static [&'static str],
    /// The first number behind each group but the last.
    ends: &'static [i64],
}

/// Groups of ages, in years.
pub(super) const AGES: Groups =
    Groups { names: &["<18", "18-24", "25-34", "35-44", "45-54", "55+"], ends: &AGE_ENDS };

/// Groups of numbers of followers.
pub(super) const FOLLOWERS: Groups =
    Groups { names: &["<100", "100-999", "1K-9.9K", "10K-99.9K", "100K+"], ends: &FOLLOWER_ENDS };

impl Groups {
    /// Every group in its order; zero where `users`, by the group's index, has none.
    pub(super) fn fill(&self, users: &[(usize, u64)], errors: RowErrors) -> Vec<GroupUsers> {
        let users_of = |index| users.iter().find(|(known, _)| *known == index).map_or(0, |(_, users)| *users);
        let group = |(index, name): (usize, &&str)| GroupUsers {
            group: (*name).into(),
            users: users_of(index),
            relative_error: errors.of(users_of(index)),
        };
        self.names.iter().enumerate().map(group).collect()
    }

    /// The first number behind each group but the last, ascending.
    pub(super) fn ends(&self) -> impl Iterator<Item = i64> {
        self.ends.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_complete_and_in_order() {
        let groups = AGES.fill(&[(5, 2), (1, 7)], Users::default().errors());
        let groups: Vec<_> = groups.iter().map(|row| (row.group.as_str(), row.users)).collect();
        assert_eq!(groups, [("<18", 0), ("18-24", 7), ("25-34", 0), ("35-44", 0), ("45-54", 0), ("55+", 2)]);
    }

    #[test]
    fn the_error_of_a_row_grows_as_its_users_fall() {
        let users = Users { users: 400, relative_error: Some(0.01), ..Users::default() };
        assert_eq!(users.errors().of(400), Some(0.01));
        assert_eq!(users.errors().of(100), Some(0.02));
        assert_eq!(users.errors().of(0), None);
        assert_eq!(Users { users: 400, ..Users::default() }.errors().of(100), None, "an exact section");
    }
}
