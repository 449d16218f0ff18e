//! Members: users with the values of their events, as small as they can be kept.

use weir_database::people::{Attributes, Dimension, PersonKey};

use super::attribute_cache::CachedAttributes;

/// A user with the values of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Member {
    pub(super) key: PersonKey,
    /// The number of the name in the cache; 0 is no value, here and below.
    pub(super) country: u32,
    pub(super) city: u32,
    group: u8,
    gender_or_device: u8,
    /// A bit for each dimension whose value no number stands for, as far as is known.
    unnumbered: u8,
}

impl Member {
    pub(super) fn of(key: PersonKey, attributes: &Attributes<'_>, cached: &mut CachedAttributes) -> Self {
        let Attributes { group, gender_or_device, country, city } = *attributes;
        let country = country.map_or(0, |name| cached.countries.intern(0, name));
        let city = city.map_or(0, |name| cached.cities.intern(country, name));
        Self { key, country, city, group, gender_or_device, unnumbered: 0 }
    }

    /// The value of a dimension; 0 is none.
    pub(super) fn value(&self, dimension: Dimension) -> u32 {
        match dimension {
            Dimension::Group => self.group.into(),
            Dimension::GenderOrDevice => self.gender_or_device.into(),
            Dimension::Country => self.country,
            Dimension::City => self.city,
        }
    }

    pub(super) fn is_unnumbered(&self, dimension: Dimension) -> bool {
        self.unnumbered & bit(dimension) != 0
    }

    /// Notes that a number stands for the value of a dimension.
    pub(super) fn set_numbered(&mut self, dimension: Dimension) {
        self.unnumbered &= !bit(dimension);
    }
}

fn bit(dimension: Dimension) -> u8 {
    1 << dimension as u8
}

/// Sorts members by key, without repeats, and marks each value of a user once. Returns the number of users.
pub(super) fn prepare(members: &mut Vec<Member>) -> u64 {
    members.sort_unstable();
    members.dedup();
    let mut users = 0;
    for of_user in members.chunk_by_mut(|one, other| one.key == other.key) {
        users += 1;
        for place in 0..of_user.len() {
            let (earlier, later) = of_user.split_at_mut(place);
            let Some(member) = later.first_mut() else { continue };
            for dimension in Dimension::ALL {
                let value = member.value(dimension);
                if value != 0 && earlier.iter().all(|earlier| earlier.value(dimension) != value) {
                    member.unnumbered |= bit(dimension);
                }
            }
        }
    }
    users
}

/// The keys of the first `most` users, each as 16 bytes, and the number of their members.
pub(super) fn keys_of(members: &[Member], most: usize) -> (Vec<u8>, usize) {
    let (mut keys, mut taken) = (Vec::new(), 0);
    for of_user in members.chunk_by(|one, other| one.key == other.key).take(most) {
        keys.extend(of_user[0].key.0);
        taken += of_user.len();
    }
    (keys, taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_of_a_user_is_marked_once_and_keys_come_with_all_members() {
        let mut cached = CachedAttributes::default();
        let mut member = |user: &str, country, city| {
            let attributes = Attributes { group: 1, country: Some(country), city, ..Attributes::default() };
            Member::of(PersonKey::of(user), &attributes, &mut cached)
        };
        let man = Some("Man");
        let mut members = vec![
            member("ada", "Peru", man),
            member("bob", "Peru", None),
            member("ada", "Aruba", man),
            member("ada", "Peru", man),
        ];
        assert_eq!(prepare(&mut members), 2);
        let marked = |user: &str, dimension| {
            let of_user = members.iter().filter(|member| member.key == PersonKey::of(user));
            of_user.filter(|member| member.is_unnumbered(dimension)).count()
        };
        assert_eq!(Dimension::ALL.map(|dimension| marked("ada", dimension)), [1, 0, 2, 2]);
        assert_eq!(Dimension::ALL.map(|dimension| marked("bob", dimension)), [1, 0, 1, 0]);

        let (keys, taken) = keys_of(&members, 9);
        assert_eq!((keys.len(), taken), (2 * PersonKey::LENGTH, 3));
        let (first, taken) = keys_of(&members, 1);
        assert_eq!(first, keys[..PersonKey::LENGTH]);
        assert_eq!(keys_of(&members[taken..], 1).0, keys[PersonKey::LENGTH..]);
    }
}
