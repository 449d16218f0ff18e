//! What a section says of its people, however it was found out.

use weir::contract::reporting::v1::{CityUsers, CountryUsers};

/// Distinct users of one source.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counted {
    pub(super) users: u64,
    /// By the group's place; only groups that have somebody.
    pub(super) groups: Vec<(usize, u64)>,
    /// By the closed set's number: genders on Facebook, devices on TikTok. In no order.
    pub(super) kinds: Vec<(i32, u64)>,
    /// By users descending, then by name; as many as were asked for.
    pub(super) countries: Vec<CountryUsers>,
    /// By users descending, then by names; as many as were asked for.
    pub(super) cities: Vec<CityUsers>,
    /// Where groups are estimated: the relative standard error of `users`, had they been estimated alike. That of a
    /// group is the square root of (users / the group's users) times as large.
    pub(super) relative_error: Option<f64>,
}
