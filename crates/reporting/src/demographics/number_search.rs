//! The search for the numbers of users whose events are in no set yet.

use std::collections::HashMap;

use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{Expr, ExprTrait as _, Query},
};
use weir::contract::event::v1::Source;
use weir_database::{
    dialect::Dialect,
    entity::{people_aliases, people_columns},
    people::{
        AttributeHashes, Attributes, BLOCK, Dimension, PARTITION_NUMBERS, PARTITIONS, PersonKey, SLOTS, Sets,
        USERS,
    },
};

use super::{
    attribute_cache::{CacheEpoch, CachedAttributes},
    counts::Counts,
    member::{Member, keys_of},
};
use crate::store::{Snapshot, malformed};

/// Keys of one look-up: 128 KiB.
const KEYS_LOOKED_UP: usize = 8_192;
/// Keys of one join: 8 MiB.
const KEYS_JOINED: usize = 1 << 19;
/// People that a join reads in the time in which a look-up finds one: measured in docs/performance.md.
const JOINED_IN_A_LOOK_UP: u64 = 8;
/// Numbers of one statement, each of them a parameter.
const NUMBERS: usize = 1_000;
/// Numbers of a slot that are worth adding to the sets.
const WORTH_UNITING: usize = 1 << 16;

/// All keys are one parameter, because tens of thousands of parameters cost more than the look-up. `OFFSET 0` keeps the
/// planner from reading all people of the source instead, where its statistics show hardly any.
const LOOK_UP_IN_POSTGRES: &str = "SELECT known.* FROM generate_series(0, $3::integer - 1) AS place CROSS JOIN LATERAL ( \
    SELECT key, number, marks FROM people \
    WHERE source = $1 AND key = substring($2::bytea FROM place * 16 + 1 FOR 16) OFFSET 0) AS known";
/// Reads all people of the source once. `OFFSET 0` keeps the planner from looking the keys up one by one.
const JOIN_IN_POSTGRES: &str = "SELECT known.key, known.number, known.marks FROM ( \
        SELECT substring($2::bytea FROM place * 16 + 1 FOR 16) AS key \
        FROM generate_series(0, $3::integer - 1) AS place OFFSET 0) AS wanted \
    JOIN (SELECT key, number, marks FROM people WHERE source = $1 OFFSET 0) AS known ON known.key = wanted.key";
const LOOK_UP_IN_SQLITE: &str = "WITH RECURSIVE places (place) AS ( \
        SELECT 0 WHERE $3 > 0 UNION ALL SELECT place + 1 FROM places WHERE place + 1 < $3) \
    SELECT people.key, people.number, people.marks FROM places CROSS JOIN people \
    WHERE people.source = $1 AND people.key = substr($2, place * 16 + 1, 16)";

/// Users whose events are in no set yet.
#[derive(Debug)]
pub(super) struct UnfoldedUsers {
    /// The numbers of users with a number.
    pub(super) sets: Sets,
    /// Users without a number.
    pub(super) new_users: u64,
    members: Vec<Member>,
}

/// A search for the numbers of members.
struct NumberSearch<'a> {
    source: Source,
    epoch: &'a CacheEpoch,
    /// By key.
    members: Vec<Member>,
    names: NameHashes,
    sets: Sets,
    /// Numbers that the sets do not have yet.
    numbers: [Vec<u32>; SLOTS],
    /// Users with a number.
    known: u64,
    /// The numbers of users with another value than their first, and the index of each one's first member.
    with_other_values: HashMap<u32, usize>,
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

#[derive(FromQueryResult)]
struct LastBlock {
    block: Option<i64>,
}

/// Hashes of names by their numbers, made when they are needed first; 0 is not made yet.
#[derive(Debug, Default)]
struct NameHashes {
    countries: Vec<u64>,
    cities: Vec<u64>,
}

/// Finds the numbers of members that [`prepare`](super::member::prepare) made, with so many `users` among them.
pub(super) async fn find_numbers(
    snapshot: &Snapshot,
    source: Source,
    epoch: &CacheEpoch,
    members: Vec<Member>,
    users: u64,
) -> Result<UnfoldedUsers, DbErr> {
    let mut search = NumberSearch::new(source, epoch, members);
    search.people(snapshot, users).await?;
    search.aliases(snapshot).await?;
    Ok(search.finish(users))
}

impl UnfoldedUsers {
    /// Adds the values that no number stands for to the counts, each value of a user once.
    pub(super) fn count(&self, counts: &mut Counts) {
        for member in &self.members {
            for dimension in Dimension::ALL {
                if member.is_unnumbered(dimension) {
                    counts.add_member(member.key, dimension, member.value(dimension));
                }
            }
        }
    }
}

impl<'a> NumberSearch<'a> {
    fn new(source: Source, epoch: &'a CacheEpoch, members: Vec<Member>) -> Self {
        Self {
            source,
            epoch,
            members,
            names: NameHashes::default(),
            sets: Sets::default(),
            numbers: Default::default(),
            known: 0,
            with_other_values: HashMap::new(),
        }
    }

    /// Finds the own numbers of `users` users.
    async fn people(&mut self, snapshot: &Snapshot, users: u64) -> Result<(), DbErr> {
        let (statement, most) = match snapshot.dialect() {
            Dialect::Sqlite => (LOOK_UP_IN_SQLITE, KEYS_LOOKED_UP),
            Dialect::Postgres if self.is_join_quicker(snapshot, users).await? => {
                (JOIN_IN_POSTGRES, KEYS_JOINED)
            }
            Dialect::Postgres => (LOOK_UP_IN_POSTGRES, KEYS_LOOKED_UP),
        };
        let mut done = 0;
        while done < self.members.len() {
            let (keys, taken) = keys_of(&self.members[done..], most);
            done += taken;
            let number = i32::try_from(keys.len() / PersonKey::LENGTH).unwrap_or(i32::MAX);
            let values = [i32::from(self.source).into(), keys.into(), number.into()];
            let add = |PersonRow { key, number, marks }: PersonRow| {
                let key = key.try_into().map_err(|_| DbErr::Custom("a key of people".into()))?;
                let marks = AttributeHashes::from_blob(&marks).map_err(malformed)?;
                self.add_person(PersonKey(key), number_of(number)?, marks);
                Ok::<(), DbErr>(())
            };
            snapshot.for_each_raw(statement, values, "people", add).await?;
        }
        Ok(())
    }

    /// Whether reading all people of the source is quicker than looking each of the users up.
    async fn is_join_quicker(&self, snapshot: &Snapshot, users: u64) -> Result<bool, DbErr> {
        use people_columns::Column;
        if users < KEYS_LOOKED_UP as u64 {
            return Ok(false);
        }
        let of_a_partition = PARTITION_NUMBERS / BLOCK;
        let query = Query::select()
            .expr_as(Expr::col(Column::Block).max(), "block")
            .from(people_columns::Entity)
            .and_where(Expr::col(Column::Source).eq(i32::from(self.source)))
            .and_where(Expr::col(Column::Block).lt(i64::from(of_a_partition)))
            .take();
        let LastBlock { block } = snapshot.one(&query).await?;
        // Keys are hashes, so that partitions are of one size.
        let blocks = block.map_or(0, |last| last.unsigned_abs() + 1) * u64::from(PARTITIONS);
        let joins = users.div_ceil(KEYS_JOINED as u64);
        Ok(blocks * u64::from(BLOCK) * joins <= users * JOINED_IN_A_LOOK_UP)
    }

    fn add_person(&mut self, key: PersonKey, number: u32, marks: AttributeHashes) {
        let first = self.members.partition_point(|member| member.key < key);
        if self.members.get(first).is_none_or(|member| member.key != key) {
            return;
        }
        self.unite_many();
        self.known += 1;
        self.numbers[USERS].push(number);
        if self.add_values(first, number, marks) {
            self.with_other_values.insert(number, first);
        }
    }

    /// Gives the number to those values of a user that have these hashes. Returns whether the user has another value
    /// without a number.
    fn add_values(&mut self, first: usize, number: u32, marks: AttributeHashes) -> bool {
        let key = self.members[first].key;
        let (mut index, mut left) = (first, false);
        while let Some(member) = self.members.get(index).copied().filter(|member| member.key == key) {
            for dimension in Dimension::ALL {
                if !member.is_unnumbered(dimension) {
                    continue;
                }
                if self.hash(&member, dimension) == marks.0[dimension as usize] {
                    self.members[index].set_numbered(dimension);
                    self.numbers[dimension as usize + 1].push(number);
                } else {
                    left = true;
                }
            }
            index += 1;
        }
        left
    }

    fn hash(&mut self, member: &Member, dimension: Dimension) -> u64 {
        match dimension {
            Dimension::Group | Dimension::GenderOrDevice => member.value(dimension).into(),
            Dimension::Country => self.names.country(&self.epoch.lock(), member.country),
            Dimension::City => self.names.city(&self.epoch.lock(), member.city),
        }
    }

    /// Adds the numbers to the sets where they are worth it: between two users, so that slots with the same users keep
    /// sharing a bitmap.
    fn unite_many(&mut self) {
        if self.numbers.iter().any(|numbers| numbers.len() >= WORTH_UNITING) {
            self.unite();
        }
    }

    fn unite(&mut self) {
        self.sets.unite(&Sets::of(std::mem::take(&mut self.numbers)));
    }

    /// Finds the aliases of users with another value than their first.
    async fn aliases(&mut self, snapshot: &Snapshot) -> Result<(), DbErr> {
        use people_aliases::Column;
        let numbers: Vec<u32> = self.with_other_values.keys().copied().collect();
        for numbers in numbers.chunks(NUMBERS) {
            let query = Query::select()
                .columns([Column::Number, Column::Alias, Column::Marks])
                .from(people_aliases::Entity)
                .and_where(Expr::col(Column::Source).eq(i32::from(self.source)))
                .and_where(Expr::col(Column::Number).is_in(numbers.iter().map(|number| i64::from(*number))))
                .take();
            for AliasRow { number, alias, marks } in snapshot.all(&query).await? {
                let marks = AttributeHashes::from_blob(&marks).map_err(malformed)?;
                self.add_alias(number_of(number)?, number_of(alias)?, marks);
            }
        }
        Ok(())
    }

    fn add_alias(&mut self, number: u32, alias: u32, marks: AttributeHashes) {
        if let Some(first) = self.with_other_values.get(&number).copied() {
            self.unite_many();
            self.add_values(first, alias, marks);
        }
    }

    fn finish(mut self, users: u64) -> UnfoldedUsers {
        self.unite();
        UnfoldedUsers { sets: self.sets, new_users: users - self.known, members: self.members }
    }
}

impl NameHashes {
    fn country(&mut self, cached: &CachedAttributes, number: u32) -> u64 {
        let attributes =
            || Attributes { country: Some(cached.countries.name(number)), ..Attributes::default() };
        remembered(&mut self.countries, number, || attributes().hashes().0[Dimension::Country as usize])
    }

    fn city(&mut self, cached: &CachedAttributes, number: u32) -> u64 {
        let attributes = || {
            let country = cached.cities.parent(number);
            Attributes {
                country: (country != 0).then(|| cached.countries.name(country)),
                city: Some(cached.cities.name(number)),
                ..Attributes::default()
            }
        };
        remembered(&mut self.cities, number, || attributes().hashes().0[Dimension::City as usize])
    }
}

/// The hash at a number, made if it is not there yet.
fn remembered(hashes: &mut Vec<u64>, number: u32, make: impl FnOnce() -> u64) -> u64 {
    let index = number as usize;
    if hashes.len() <= index {
        hashes.resize(index + 1, 0);
    }
    if hashes[index] == 0 {
        hashes[index] = make();
    }
    hashes[index]
}

fn number_of(number: i64) -> Result<u32, DbErr> {
    u32::try_from(number).map_err(|_| DbErr::Custom("a number of people is out of its range".into()))
}

#[cfg(test)]
mod tests {
    use super::{super::member::prepare, *};

    const PERU: Attributes<'_> =
        Attributes { group: 1, gender_or_device: 1, country: Some("Peru"), city: None };

    /// What is found of observed users, where some have a number and some of those an alias.
    fn unfolded(
        seen: &[(&str, Attributes<'_>)],
        known: &[(&str, u32, AttributeHashes)],
        aliases: &[(u32, u32, AttributeHashes)],
    ) -> (UnfoldedUsers, Vec<(PersonKey, Dimension)>) {
        let epoch = CacheEpoch::new();
        let member =
            |(user, seen): &(&str, Attributes<'_>)| Member::of(PersonKey::of(user), seen, &mut epoch.lock());
        let mut members: Vec<Member> = seen.iter().map(member).collect();
        let users = prepare(&mut members);
        let mut search = NumberSearch::new(Source::Facebook, &epoch, members);
        known
            .iter()
            .for_each(|(user, number, marks)| search.add_person(PersonKey::of(user), *number, *marks));
        aliases.iter().for_each(|(number, alias, marks)| search.add_alias(*number, *alias, *marks));
        let unfolded = search.finish(users);
        let unnumbered = |member: &Member| {
            let of_member = Dimension::ALL.into_iter().filter(|dimension| member.is_unnumbered(*dimension));
            of_member.map(|dimension| (member.key, dimension)).collect::<Vec<_>>()
        };
        let unnumbered = unfolded.members.iter().flat_map(unnumbered).collect();
        (unfolded, unnumbered)
    }

    fn numbers(unfolded: &UnfoldedUsers) -> [Vec<u32>; SLOTS] {
        std::array::from_fn(|slot| unfolded.sets.slot(slot).iter().collect())
    }

    #[test]
    fn known_users_are_added_to_the_sets_and_new_ones_count_once() {
        let moved = Attributes { country: Some("Chile"), ..PERU };
        let seen = [("ada", PERU), ("ada", moved), ("bob", PERU), ("bob", moved), ("bob", PERU)];
        let (unfolded, mut unnumbered) = unfolded(&seen, &[("ada", 7, PERU.hashes())], &[]);
        assert_eq!(unfolded.new_users, 1);
        assert_eq!(numbers(&unfolded), [vec![7], vec![7], vec![7], vec![7], vec![]]);
        let (ada, bob) = (PersonKey::of("ada"), PersonKey::of("bob"));
        let mut expected = [
            (ada, Dimension::Country),
            (bob, Dimension::Group),
            (bob, Dimension::GenderOrDevice),
            (bob, Dimension::Country),
            (bob, Dimension::Country),
        ];
        let order = |(key, dimension): &(PersonKey, Dimension)| (*key, *dimension as usize);
        expected.sort_unstable_by_key(order);
        unnumbered.sort_unstable_by_key(order);
        assert_eq!(unnumbered, expected);
    }

    #[test]
    fn an_alias_stands_for_its_value() {
        let first = Attributes { gender_or_device: 0, country: None, ..PERU };
        let top = Attributes { gender_or_device: 2, ..PERU };
        let alias = AttributeHashes([0, 2, top.hashes().0[2], 0]);
        let (unfolded, unnumbered) =
            unfolded(&[("ada", top)], &[("ada", 7, first.hashes())], &[(7, 9, alias)]);
        assert!(unfolded.new_users == 0 && unnumbered.is_empty());
        assert_eq!(numbers(&unfolded), [vec![7], vec![7], vec![9], vec![9], vec![]]);
    }

    #[test]
    fn a_city_is_that_of_its_country() {
        let man = Attributes { city: Some("Man"), ..PERU };
        let other = Attributes { country: Some("Aruba"), ..man };
        let (unfolded, unnumbered) = unfolded(&[("ada", other)], &[("ada", 7, man.hashes())], &[]);
        assert_eq!(numbers(&unfolded), [vec![7], vec![7], vec![7], vec![], vec![]]);
        assert_eq!(
            unnumbered.iter().map(|(_, dimension)| *dimension).collect::<Vec<_>>(),
            [Dimension::Country, Dimension::City]
        );
    }
}
