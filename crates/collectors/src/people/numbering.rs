//! Giving people their numbers: who is known keeps theirs, who is new gets the next of their partition, and who is told
//! another value gets an alias for it.

use std::collections::{BTreeSet, HashMap, hash_map::Entry};

use weir_database::people::{
    AttributeHashes, Attributes, BLOCK, Block, Dimension, Observation, PARTITION_NUMBERS, PARTITIONS,
    PersonKey, SLOTS, USERS,
};

use super::{
    PeopleError,
    session::{Alias, Known, Session, StoredBlock},
};

/// Blocks of one partition.
const PARTITION_BLOCKS: i64 = (PARTITION_NUMBERS / BLOCK) as i64;

/// Of each slot of the sets, the number that a sighting puts into it.
pub(super) type Numbers = [Option<u32>; SLOTS];

/// What numbers there are for a sighting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) numbers: Numbers,
    /// How many of the person and the values that are told have none.
    pub(super) lacking: usize,
}

/// A person with every number.
#[derive(Clone, Debug)]
struct Person {
    number: u32,
    marks: AttributeHashes,
    aliases: Vec<(u32, AttributeHashes)>,
}

/// Where the next number of a partition comes from.
#[derive(Clone, Debug)]
struct Tail<'a> {
    next: u32,
    /// What is told at the numbers that are new.
    new: Vec<Attributes<'a>>,
}

/// The numbers of everybody who is seen in some sightings of one source.
#[derive(Debug)]
struct Numbering<'a> {
    source: i16,
    people: HashMap<PersonKey, Person>,
    tails: HashMap<u32, Tail<'a>>,
    new_people: Vec<Known>,
    new_aliases: Vec<Alias>,
}

/// The numbers of each sighting. Whoever is new is in the dictionary and in the columns afterwards.
pub(super) async fn number(
    session: &mut Session,
    source: i16,
    sightings: &[Observation<'_>],
) -> Result<Vec<Numbers>, PeopleError> {
    let marks: Vec<AttributeHashes> = sightings.iter().map(|sighting| sighting.attributes.hashes()).collect();
    let mut numbering = Numbering {
        source,
        people: known(session, source, sightings, &marks).await?,
        tails: HashMap::new(),
        new_people: Vec::new(),
        new_aliases: Vec::new(),
    };
    let mut stored = Vec::new();
    for partition in numbering.growing(sightings, &marks) {
        let first = i64::from(partition) * PARTITION_BLOCKS;
        let tail = session.last_block(source, first, first + PARTITION_BLOCKS).await?;
        numbering.tails.insert(partition, Tail::behind(partition, tail.as_ref()));
        stored.extend(tail.map(|tail| (partition, tail)));
    }
    let numbers =
        sightings.iter().zip(&marks).map(|(sighting, marks)| numbering.see(sighting, *marks)).collect();
    let numbers: Vec<Numbers> = Result::from_iter::<Vec<_>>(numbers)?;
    numbering.write(session, &stored).await?;
    Ok(numbers)
}

/// The numbers of each sighting, as far as there are any: nobody is given one.
pub(super) async fn find(
    session: &mut Session,
    source: i16,
    sightings: &[Observation<'_>],
) -> Result<Vec<Found>, PeopleError> {
    let marks: Vec<AttributeHashes> = sightings.iter().map(|sighting| sighting.attributes.hashes()).collect();
    let people = known(session, source, sightings, &marks).await?;
    let find = |(sighting, marks): (&Observation<'_>, &AttributeHashes)| {
        let numbers = people.get(&sighting.key).map_or([None; SLOTS], |person| person.numbers(*marks));
        let told = 1 + marks.0.iter().filter(|mark| **mark != 0).count();
        Found { numbers, lacking: told - numbers.iter().flatten().count() }
    };
    Ok(sightings.iter().zip(&marks).map(find).collect())
}

/// The people of the sightings that have a number, with the aliases of those who are seen with another value.
async fn known(
    session: &mut Session,
    source: i16,
    sightings: &[Observation<'_>],
    marks: &[AttributeHashes],
) -> Result<HashMap<PersonKey, Person>, PeopleError> {
    let mut keys: Vec<PersonKey> = sightings.iter().map(|sighting| sighting.key).collect();
    keys.sort_unstable();
    keys.dedup();
    let found = session.people(source, &keys).await?;
    let person =
        |known: Known| (known.key, Person { number: known.number, marks: known.marks, aliases: Vec::new() });
    let mut people: HashMap<PersonKey, Person> = found.into_iter().map(person).collect();
    let otherwise: BTreeSet<(u32, PersonKey)> = sightings
        .iter()
        .zip(marks)
        .filter_map(|(sighting, marks)| {
            let person = people.get(&sighting.key)?;
            (person.marks != *marks).then_some((person.number, sighting.key))
        })
        .collect();
    let key_of: HashMap<u32, PersonKey> = otherwise.iter().copied().collect();
    let numbers: Vec<u32> = otherwise.into_iter().map(|(number, _)| number).collect();
    for Alias { number, alias, marks } in session.aliases(source, &numbers).await? {
        if let Some(person) = key_of.get(&number).and_then(|key| people.get_mut(key)) {
            person.aliases.push((alias, marks));
        }
    }
    Ok(people)
}

impl Person {
    /// The number that stands for a value.
    fn with(&self, dimension: usize, mark: u64) -> Option<u32> {
        if self.marks.0[dimension] == mark {
            return Some(self.number);
        }
        let alias = self.aliases.iter().find(|(_, marks)| marks.0[dimension] == mark);
        alias.map(|(alias, _)| *alias)
    }

    /// The values that no number stands for yet; all zero where there are none.
    fn lacks(&self, marks: AttributeHashes) -> AttributeHashes {
        let mut lacking = marks;
        for dimension in 0..Dimension::ALL.len() {
            if self.with(dimension, marks.0[dimension]).is_some() {
                lacking.0[dimension] = 0;
            }
        }
        lacking
    }

    fn numbers(&self, marks: AttributeHashes) -> Numbers {
        let mut numbers = [None; SLOTS];
        numbers[USERS] = Some(self.number);
        for (dimension, mark) in marks.0.into_iter().enumerate().filter(|(_, mark)| *mark != 0) {
            numbers[dimension + 1] = self.with(dimension, mark);
        }
        numbers
    }
}

impl<'a> Numbering<'a> {
    /// The partitions that need new numbers.
    fn growing(&self, sightings: &[Observation<'_>], marks: &[AttributeHashes]) -> BTreeSet<u32> {
        let grows = |(sighting, marks): &(&Observation<'_>, &AttributeHashes)| {
            self.people
                .get(&sighting.key)
                .is_none_or(|person| person.lacks(**marks) != AttributeHashes::default())
        };
        // Of somebody new, a second sighting may need an alias: in the same partition.
        let growing = sightings.iter().zip(marks).filter(grows);
        growing.map(|(sighting, _)| sighting.key.partition()).collect()
    }

    fn see(&mut self, sighting: &Observation<'a>, marks: AttributeHashes) -> Result<Numbers, PeopleError> {
        let Observation { key, attributes: traits, .. } = sighting;
        let source = self.source;
        let mut next = || {
            let tail = self.tails.get_mut(&key.partition()).ok_or(PeopleError::NoNumbers(source))?;
            tail.give(*traits).ok_or(PeopleError::NoNumbers(source))
        };
        let person = match self.people.entry(*key) {
            Entry::Occupied(person) => {
                let person = person.into_mut();
                if person.marks != marks {
                    let lacking = person.lacks(marks);
                    if lacking != AttributeHashes::default() {
                        let alias = next()?;
                        person.aliases.push((alias, lacking));
                        self.new_aliases.push(Alias { number: person.number, alias, marks: lacking });
                    }
                }
                person
            }
            Entry::Vacant(place) => {
                let number = next()?;
                self.new_people.push(Known { key: *key, number, marks });
                place.insert(Person { number, marks, aliases: Vec::new() })
            }
        };
        Ok(person.numbers(marks))
    }

    async fn write(
        mut self,
        session: &mut Session,
        stored: &[(u32, StoredBlock)],
    ) -> Result<(), PeopleError> {
        self.new_people.sort_unstable_by_key(|person| person.key);
        self.new_aliases.sort_unstable_by_key(|alias| (alias.number, alias.alias));
        session.add_people(self.source, &self.new_people).await?;
        session.add_aliases(self.source, &self.new_aliases).await?;
        let mut tails: Vec<(u32, Tail<'_>)> = self.tails.drain().collect();
        tails.sort_unstable_by_key(|(partition, _)| *partition);
        for (partition, tail) in tails {
            let last = stored.iter().find(|(of, _)| *of == partition).map(|(_, stored)| stored);
            for (number, block) in tail.blocks(last)? {
                session.write_block(self.source, number, &block).await?;
            }
        }
        Ok(())
    }
}

impl<'a> Tail<'a> {
    /// Goes on behind the last block of a partition.
    fn behind(partition: u32, last: Option<&StoredBlock>) -> Self {
        let first = partition * PARTITION_NUMBERS;
        let next = last.map_or(first, |last| {
            u32::try_from(last.block * i64::from(BLOCK) + last.filled).unwrap_or(u32::MAX)
        });
        Self { next, new: Vec::new() }
    }

    /// The next number, which stands for `traits`; none where the partition is full. Its last block never is.
    fn give(&mut self, traits: Attributes<'a>) -> Option<u32> {
        let number = self.next;
        if number % PARTITION_NUMBERS >= PARTITION_NUMBERS - BLOCK || number / PARTITION_NUMBERS >= PARTITIONS
        {
            return None;
        }
        self.next += 1;
        self.new.push(traits);
        Some(number)
    }

    /// The blocks that are new or fuller than before.
    fn blocks<'b>(self, last: Option<&'b StoredBlock>) -> Result<Vec<(i64, Block<'b>)>, PeopleError>
    where
        'a: 'b,
    {
        let first = self.next - self.new.len() as u32;
        let mut open = match last.filter(|_| !first.is_multiple_of(BLOCK)) {
            Some(last) => Block::read(&last.data)?,
            None => Block::default(),
        };
        let (mut blocks, mut number) = (Vec::new(), i64::from(first / BLOCK));
        for traits in self.new {
            open.0.push(traits);
            if open.0.len() == BLOCK as usize {
                blocks.push((number, std::mem::take(&mut open)));
                number += 1;
            }
        }
        if number == i64::from(self.next / BLOCK) && self.next > first && !self.next.is_multiple_of(BLOCK) {
            blocks.push((number, open));
        }
        Ok(blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail<'a>(partition: u32, stored: Option<&StoredBlock>, new: usize) -> Tail<'a> {
        let mut tail = Tail::behind(partition, stored);
        (0..new).for_each(|_| assert!(tail.give(Attributes::default()).is_some()));
        tail
    }

    fn sizes(blocks: &[(i64, Block<'_>)]) -> Vec<(i64, usize)> {
        blocks.iter().map(|(number, block)| (*number, block.0.len())).collect()
    }

    #[test]
    fn blocks_are_filled_up_one_after_the_other() {
        let first = i64::from(3 * (PARTITION_NUMBERS / BLOCK));
        let blocks = tail(3, None, 515).blocks(None).unwrap();
        assert_eq!(sizes(&blocks), [(first, 512), (first + 1, 3)]);
        let stored = StoredBlock {
            block: first + 1,
            filled: 3,
            data: Block(vec![Attributes::default(); 3]).to_blob(),
        };
        assert!(tail(3, Some(&stored), 0).blocks(Some(&stored)).unwrap().is_empty());
        let blocks = tail(3, Some(&stored), 509).blocks(Some(&stored)).unwrap();
        assert_eq!(sizes(&blocks), [(first + 1, 512)]);
        let full = StoredBlock {
            block: first + 1,
            filled: 512,
            data: Block(vec![Attributes::default(); 512]).to_blob(),
        };
        let mut next = tail(3, Some(&full), 0);
        assert_eq!(next.give(Attributes::default()), Some(3 * PARTITION_NUMBERS + 1024));
        assert_eq!(sizes(&next.blocks(Some(&full)).unwrap()), [(first + 2, 1)]);
    }

    #[test]
    fn a_full_partition_gives_no_numbers() {
        let last = i64::from(PARTITION_NUMBERS / BLOCK) - 2;
        let full = StoredBlock { block: last, filled: BLOCK.into(), data: Vec::new() };
        assert_eq!(Tail::behind(0, Some(&full)).give(Attributes::default()), None);
    }

    #[test]
    fn a_value_has_one_number_of_a_person() {
        let mut person = Person { number: 7, marks: AttributeHashes([1, 2, 3, 4]), aliases: Vec::new() };
        let moved = AttributeHashes([1, 2, 5, 6]);
        assert_eq!(person.lacks(moved), AttributeHashes([0, 0, 5, 6]));
        person.aliases.push((9, AttributeHashes([0, 0, 5, 6])));
        assert_eq!(person.lacks(moved), AttributeHashes::default());
        assert_eq!(person.numbers(moved), [Some(7), Some(7), Some(7), Some(9), Some(9)]);
        assert_eq!(person.numbers(AttributeHashes([1, 0, 5, 0])), [Some(7), Some(7), None, Some(9), None]);
        assert_eq!(
            person.lacks(AttributeHashes([1, 0, 0, 0])),
            AttributeHashes::default(),
            "what is not told is not lacking"
        );
    }
}
