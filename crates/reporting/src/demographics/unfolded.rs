//! Who was seen and is in no set yet: people who have a number get into the sets, others are new to this answer.

use std::collections::{HashMap, HashSet};

use sea_orm::{
    DatabaseBackend, DbErr, FromQueryResult, Statement,
    sea_query::{Expr, ExprTrait as _, Query},
};
use weir::contract::event::v1::Source;
use weir_database::{
    entity::people_aliases,
    people::{AttributeHashes, Attributes, Dimension, PersonKey, SLOTS, Sets, USERS},
};

use super::read_sets::{Sighting, malformed};
use crate::store::Snapshot;

/// Keys of one statement: 128 KiB of them.
const KEYS: usize = 8_192;
/// Numbers of one statement, each of them a parameter.
const NUMBERS: usize = 1_000;

/// One parameter for all keys, because tens of thousands of parameters cost more than what they ask for. `OFFSET 0`
/// keeps the planner from reading all people of the source instead, where statistics say that it has hardly any.
const PEOPLE_IN_POSTGRES: &str = "SELECT known.* FROM generate_series(0, $3::integer - 1) AS place CROSS JOIN LATERAL ( \
    SELECT key, number, marks FROM people \
    WHERE source = $1 AND key = substring($2::bytea FROM place * 16 + 1 FOR 16) OFFSET 0) AS known";
const PEOPLE_IN_SQLITE: &str = "WITH RECURSIVE places (place) AS ( \
        SELECT 0 WHERE $3 > 0 UNION ALL SELECT place + 1 FROM places WHERE place + 1 < $3) \
    SELECT people.key, people.number, people.marks FROM places CROSS JOIN people \
    WHERE people.source = $1 AND people.key = substr($2, place * 16 + 1, 16)";

/// What sets do not tell.
#[derive(Debug, Default)]
pub(super) struct Fresh<'a> {
    /// Numbers that come into the sets.
    pub(super) sets: Sets,
    /// Users who have no number.
    pub(super) users: u64,
    /// Each a user with a value of a dimension that no number stands for.
    pub(super) members: Vec<(PersonKey, Dimension, Attributes<'a>)>,
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

/// Own number first, then aliases.
type Numbers = Vec<(u32, AttributeHashes)>;

impl<'a> Fresh<'a> {
    pub(super) async fn find(
        snapshot: &Snapshot,
        source: Source,
        mut sightings: Vec<Sighting<'a>>,
    ) -> Result<Self, DbErr> {
        sightings.sort_unstable_by_key(|(key, traits)| {
            (*key, traits.group, traits.kind, traits.country, traits.city)
        });
        sightings.dedup();
        let sightings: Vec<(PersonKey, Attributes<'a>, AttributeHashes)> =
            sightings.into_iter().map(|(key, traits)| (key, traits, traits.marks())).collect();
        let mut known = people(snapshot, source, &sightings).await?;
        add_aliases(snapshot, source, &sightings, &mut known).await?;
        Ok(Self::of(&sightings, &known))
    }

    fn of(
        sightings: &[(PersonKey, Attributes<'a>, AttributeHashes)],
        known: &HashMap<PersonKey, Numbers>,
    ) -> Self {
        let (mut slots, mut strangers, mut new) =
            (std::array::from_fn::<_, SLOTS, _>(|_| Vec::new()), HashSet::new(), HashSet::new());
        let mut members = Vec::new();
        for (key, traits, marks) in sightings {
            let numbers = known.get(key).map(Vec::as_slice).unwrap_or_default();
            match numbers.first() {
                Some((own, _)) => slots[USERS].push(*own),
                None => _ = strangers.insert(*key),
            }
            for dimension in Dimension::ALL {
                let mark = marks.0[dimension as usize];
                let number = numbers.iter().find(|(_, marks)| marks.0[dimension as usize] == mark);
                match number {
                    _ if mark == 0 => {}
                    Some((number, _)) => slots[dimension as usize + 1].push(*number),
                    None if new.insert((*key, dimension as usize, mark)) => {
                        members.push((*key, dimension, *traits));
                    }
                    None => {}
                }
            }
        }
        Self { sets: Sets::of(slots), users: strangers.len() as u64, members }
    }
}

async fn people(
    snapshot: &Snapshot,
    source: Source,
    sightings: &[(PersonKey, Attributes<'_>, AttributeHashes)],
) -> Result<HashMap<PersonKey, Numbers>, DbErr> {
    let mut keys: Vec<PersonKey> = sightings.iter().map(|(key, ..)| *key).collect();
    keys.dedup();
    let backend = snapshot.backend();
    let lookup = if backend == DatabaseBackend::Postgres { PEOPLE_IN_POSTGRES } else { PEOPLE_IN_SQLITE };
    let mut known = HashMap::with_capacity(keys.len());
    for keys in keys.chunks(KEYS) {
        let number = i32::try_from(keys.len()).unwrap_or(i32::MAX);
        let keys: Vec<u8> = keys.iter().flat_map(|key| key.0).collect();
        let values = [i32::from(source).into(), keys.into(), number.into()];
        let found: Vec<PersonRow> =
            snapshot.all_raw(Statement::from_sql_and_values(backend, lookup, values), "people").await?;
        for PersonRow { key, number, marks } in found {
            let key = key.try_into().map(PersonKey).map_err(|_| DbErr::Custom("a key of people".into()))?;
            let own = (number_of(number)?, AttributeHashes::from_blob(&marks).map_err(malformed)?);
            known.insert(key, vec![own]);
        }
    }
    Ok(known)
}

/// Of those who are seen with another value than the first.
async fn add_aliases(
    snapshot: &Snapshot,
    source: Source,
    sightings: &[(PersonKey, Attributes<'_>, AttributeHashes)],
    known: &mut HashMap<PersonKey, Numbers>,
) -> Result<(), DbErr> {
    use people_aliases::Column;
    let mut key_of: HashMap<i64, PersonKey> = HashMap::new();
    for (key, _, marks) in sightings {
        let own = known.get(key).and_then(|numbers| numbers.first());
        if let Some((number, _)) = own.filter(|(_, first)| first != marks) {
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

    fn seen(user: &str, traits: Attributes<'static>) -> (PersonKey, Attributes<'static>, AttributeHashes) {
        (PersonKey::of(user), traits, traits.marks())
    }

    #[test]
    fn known_people_get_into_the_sets_and_strangers_count_once() {
        let first = Attributes { group: 1, kind: 1, country: Some("Peru"), city: None };
        let moved = Attributes { country: Some("Chile"), ..first };
        let known = HashMap::from([(PersonKey::of("ada"), vec![(7, first.marks())])]);
        let sightings = [
            seen("ada", first),
            seen("ada", moved),
            seen("bob", first),
            seen("bob", moved),
            seen("bob", first),
        ];
        let fresh = Fresh::of(&sightings, &known);
        assert_eq!(fresh.users, 1);
        assert_eq!(fresh.sets.slot(USERS).iter().collect::<Vec<_>>(), [7]);
        assert_eq!(fresh.sets.dimension(Dimension::Country).iter().collect::<Vec<_>>(), [7]);
        assert!(fresh.sets.dimension(Dimension::City).is_empty());
        let members: Vec<_> =
            fresh.members.iter().map(|(key, dimension, traits)| (*key, *dimension, traits.country)).collect();
        let (ada, bob) = (PersonKey::of("ada"), PersonKey::of("bob"));
        let expected = [
            (ada, Dimension::Country, Some("Chile")),
            (bob, Dimension::Group, Some("Peru")),
            (bob, Dimension::Kind, Some("Peru")),
            (bob, Dimension::Country, Some("Peru")),
            (bob, Dimension::Country, Some("Chile")),
        ];
        assert_eq!(members, expected);
    }

    #[test]
    fn an_alias_stands_for_its_value() {
        let first = Attributes { group: 1, kind: 0, country: None, city: None };
        let top = Attributes { group: 1, kind: 2, country: Some("Peru"), city: None };
        let alias = AttributeHashes([0, 2, top.marks().0[2], 0]);
        let known = HashMap::from([(PersonKey::of("ada"), vec![(7, first.marks()), (9, alias)])]);
        let fresh = Fresh::of(&[seen("ada", top)], &known);
        assert!(fresh.users == 0 && fresh.members.is_empty());
        let numbers =
            Dimension::ALL.map(|dimension| fresh.sets.dimension(dimension).iter().collect::<Vec<_>>());
        assert_eq!(numbers, [vec![7], vec![9], vec![9], vec![]]);
    }
}
