//! Unfolded observations: users whose events are in no set yet. A user with a number is added to the sets, another one
//! is new to this report.

use std::collections::HashMap;

use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{Expr, ExprTrait as _, Query},
};
use weir::contract::event::v1::Source;
use weir_database::{
    dialect::Dialect,
    entity::people_aliases,
    people::{AttributeHashes, Attributes, Dimension, PersonKey, SLOTS, Sets, USERS},
};

use super::observed_users::SeenUser;
use crate::store::{Snapshot, malformed};

/// Keys of one statement: 128 KiB.
const KEYS: usize = 8_192;
/// Numbers of one statement, each of them a parameter.
const NUMBERS: usize = 1_000;

/// All keys are one parameter, because tens of thousands of parameters cost more than the lookup. `OFFSET 0` keeps the
/// planner from reading all people of the source instead, where its statistics show hardly any.
const PEOPLE_IN_POSTGRES: &str = "SELECT known.* FROM generate_series(0, $3::integer - 1) AS place CROSS JOIN LATERAL ( \
    SELECT key, number, marks FROM people \
    WHERE source = $1 AND key = substring($2::bytea FROM place * 16 + 1 FOR 16) OFFSET 0) AS known";
const PEOPLE_IN_SQLITE: &str = "WITH RECURSIVE places (place) AS ( \
        SELECT 0 WHERE $3 > 0 UNION ALL SELECT place + 1 FROM places WHERE place + 1 < $3) \
    SELECT people.key, people.number, people.marks FROM places CROSS JOIN people \
    WHERE people.source = $1 AND people.key = substr($2, place * 16 + 1, 16)";

/// Users of events that are in no set yet.
#[derive(Debug, Default)]
pub(super) struct Unfolded<'a> {
    /// The numbers of users with a number.
    pub(super) sets: Sets,
    /// Users without a number.
    pub(super) new_users: u64,
    users: Vec<HashedUser<'a>>,
    /// The index of a user, and a dimension whose value no number stands for. An index, because a million new users have
    /// four members each.
    members: Vec<(u32, Dimension)>,
}

#[derive(FromQueryResult)]
struct PersonRow {
    key: Vec<u8>,
    number: i64,
    marks: Vec<u8>,
}

#[derive(FromQueryResult)]
struct AliasRow {
    number: i64,
    alias: i64,
    marks: Vec<u8>,
}

/// A person's own number first, then the aliases.
type Numbers = Vec<(u32, AttributeHashes)>;

/// A user of an event, with the hashes of the attributes.
type HashedUser<'a> = (PersonKey, Attributes<'a>, AttributeHashes);

impl<'a> Unfolded<'a> {
    pub(super) async fn find(
        snapshot: &Snapshot,
        source: Source,
        mut users: Vec<SeenUser<'a>>,
    ) -> Result<Self, DbErr> {
        users.sort_unstable_by_key(|(key, attributes)| {
            (*key, attributes.group, attributes.gender_or_device, attributes.country, attributes.city)
        });
        users.dedup();
        let users: Vec<HashedUser<'a>> =
            users.into_iter().map(|(key, attributes)| (key, attributes, attributes.hashes())).collect();
        let mut known = read_numbers(snapshot, source, &users).await?;
        add_aliases(snapshot, source, &users, &mut known).await?;
        Ok(Self::of(users, &known))
    }

    /// Users with a value of a dimension that no number stands for, each value once.
    pub(super) fn members(&self) -> impl Iterator<Item = (PersonKey, Dimension, Attributes<'a>)> {
        self.members.iter().map(|(index, dimension)| {
            let (key, attributes, _) = self.users[*index as usize];
            (key, *dimension, attributes)
        })
    }

    /// `users` are sorted by key.
    fn of(users: Vec<HashedUser<'a>>, known: &HashMap<PersonKey, Numbers>) -> Self {
        let mut slots: [Vec<u32>; SLOTS] = std::array::from_fn(|_| Vec::new());
        let (mut new_users, mut members) = (0, Vec::new());
        let mut index = 0;
        for of_user in users.chunk_by(|(one, ..), (other, ..)| one == other) {
            let numbers = known.get(&of_user[0].0).map(Vec::as_slice).unwrap_or_default();
            match numbers.first() {
                Some((own, _)) => slots[USERS].push(*own),
                None => new_users += 1,
            }
            for (place, (_, _, hashes)) in of_user.iter().enumerate() {
                for dimension in Dimension::ALL {
                    let value = |hashes: &AttributeHashes| hashes.0[dimension as usize];
                    let hash = value(hashes);
                    if hash == 0 || of_user[..place].iter().any(|(_, _, earlier)| value(earlier) == hash) {
                        continue;
                    }
                    match numbers.iter().find(|(_, known)| value(known) == hash) {
                        Some((number, _)) => slots[dimension as usize + 1].push(*number),
                        None => members.push((index, dimension)),
                    }
                }
                index += 1;
            }
        }
        Self { sets: Sets::of(slots), new_users, users, members }
    }
}

/// The own number of each user with a number.
async fn read_numbers(
    snapshot: &Snapshot,
    source: Source,
    users: &[HashedUser<'_>],
) -> Result<HashMap<PersonKey, Numbers>, DbErr> {
    let mut keys: Vec<PersonKey> = users.iter().map(|(key, ..)| *key).collect();
    keys.dedup();
    let lookup = match snapshot.dialect() {
        Dialect::Postgres => PEOPLE_IN_POSTGRES,
        Dialect::Sqlite => PEOPLE_IN_SQLITE,
    };
    let mut known = HashMap::with_capacity(keys.len());
    for keys in keys.chunks(KEYS) {
        let number = i32::try_from(keys.len()).unwrap_or(i32::MAX);
        let keys: Vec<u8> = keys.iter().flat_map(|key| key.0).collect();
        let values = [i32::from(source).into(), keys.into(), number.into()];
        let found: Vec<PersonRow> = snapshot.all_raw(lookup, values, "people").await?;
        for PersonRow { key, number, marks } in found {
            let key = key.try_into().map(PersonKey).map_err(|_| DbErr::Custom("a key of people".into()))?;
            let own = (number_of(number)?, AttributeHashes::from_blob(&marks).map_err(malformed)?);
            known.insert(key, vec![own]);
        }
    }
    Ok(known)
}

/// Adds the aliases of users with another value than their first.
async fn add_aliases(
    snapshot: &Snapshot,
    source: Source,
    users: &[HashedUser<'_>],
    known: &mut HashMap<PersonKey, Numbers>,
) -> Result<(), DbErr> {
    use people_aliases::Column;
    let mut key_of: HashMap<i64, PersonKey> = HashMap::new();
    for (key, _, hashes) in users {
        let own = known.get(key).and_then(|numbers| numbers.first());
        if let Some((number, _)) = own.filter(|(_, first)| first != hashes) {
            key_of.insert((*number).into(), *key);
        }
    }
    let numbers: Vec<i64> = key_of.keys().copied().collect();
    for numbers in numbers.chunks(NUMBERS) {
        let query = Query::select()
            .columns([Column::Number, Column::Alias, Column::Marks])
            .from(people_aliases::Entity)
            .and_where(Expr::col(Column::Source).eq(i32::from(source)))
            .and_where(Expr::col(Column::Number).is_in(numbers.iter().copied()))
            .take();
        let aliases: Vec<AliasRow> = snapshot.all(&query).await?;
        for AliasRow { number, alias, marks } in aliases {
            let alias = (number_of(alias)?, AttributeHashes::from_blob(&marks).map_err(malformed)?);
            let person = key_of.get(&number).and_then(|key| known.get_mut(key));
            person.into_iter().for_each(|person| person.push(alias));
        }
    }
    Ok(())
}

fn number_of(number: i64) -> Result<u32, DbErr> {
    u32::try_from(number).map_err(|_| DbErr::Custom("a number of people is out of its range".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(user: &str, attributes: Attributes<'static>) -> HashedUser<'static> {
        (PersonKey::of(user), attributes, attributes.hashes())
    }

    #[test]
    fn known_users_are_added_to_the_sets_and_new_ones_count_once() {
        let first = Attributes { group: 1, gender_or_device: 1, country: Some("Peru"), city: None };
        let moved = Attributes { country: Some("Chile"), ..first };
        let known = HashMap::from([(PersonKey::of("ada"), vec![(7, first.hashes())])]);
        let users = vec![
            seen("ada", first),
            seen("ada", moved),
            seen("bob", first),
            seen("bob", moved),
            seen("bob", first),
        ];
        let unfolded = Unfolded::of(users, &known);
        assert_eq!(unfolded.new_users, 1);
        assert_eq!(unfolded.sets.slot(USERS).iter().collect::<Vec<_>>(), [7]);
        assert_eq!(unfolded.sets.dimension(Dimension::Country).iter().collect::<Vec<_>>(), [7]);
        assert!(unfolded.sets.dimension(Dimension::City).is_empty());
        let members: Vec<_> = unfolded
            .members()
            .map(|(key, dimension, attributes)| (key, dimension, attributes.country))
            .collect();
        let (ada, bob) = (PersonKey::of("ada"), PersonKey::of("bob"));
        let expected = [
            (ada, Dimension::Country, Some("Chile")),
            (bob, Dimension::Group, Some("Peru")),
            (bob, Dimension::GenderOrDevice, Some("Peru")),
            (bob, Dimension::Country, Some("Peru")),
            (bob, Dimension::Country, Some("Chile")),
        ];
        assert_eq!(members, expected);
    }

    #[test]
    fn an_alias_stands_for_its_value() {
        let first = Attributes { group: 1, gender_or_device: 0, country: None, city: None };
        let top = Attributes { group: 1, gender_or_device: 2, country: Some("Peru"), city: None };
        let alias = AttributeHashes([0, 2, top.hashes().0[2], 0]);
        let known = HashMap::from([(PersonKey::of("ada"), vec![(7, first.hashes()), (9, alias)])]);
        let unfolded = Unfolded::of(vec![seen("ada", top)], &known);
        assert!(unfolded.new_users == 0 && unfolded.members.is_empty());
        let numbers =
            Dimension::ALL.map(|dimension| unfolded.sets.dimension(dimension).iter().collect::<Vec<_>>());
        assert_eq!(numbers, [vec![7], vec![9], vec![9], vec![]]);
    }
}
