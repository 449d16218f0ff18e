//! The dictionary of people: each person of a source has a number, and an alias for each further combination of
//! values.

use std::collections::{BTreeSet, HashMap, hash_map::Entry};

use weir_database::people::{
    AttributeHashes, Attributes, BLOCK, Block, Dimension, Observation, PARTITION_NUMBERS, PARTITIONS,
    PersonKey, SLOTS, USERS,
};

use super::{
    PeopleError,
    transaction::{Alias, DictionaryEntry, JobTransaction, StoredBlock},
};

/// Blocks of one partition.
const PARTITION_BLOCKS: i64 = (PARTITION_NUMBERS / BLOCK) as i64;

/// The number that an observation adds to each slot of the sets.
pub(super) type Numbers = [Option<u32>; SLOTS];

/// The numbers that an observation already has.
#[derive(Clone, Copy, Debug)]
pub(super) struct FoundNumbers {
    pub(super) numbers: Numbers,
    /// How many of the person and the observed values have no number.
    pub(super) missing: usize,
}

/// A person with all numbers.
#[derive(Clone, Debug)]
struct Person {
    number: u32,
    hashes: AttributeHashes,
    aliases: Vec<(u32, AttributeHashes)>,
}

/// The end of a partition, from which its next number comes.
#[derive(Clone, Debug)]
struct PartitionTail<'a> {
    next: u32,
    /// The attributes at the new numbers.
    new: Vec<Attributes<'a>>,
}

/// The numbers of all people in the observations of one source.
#[derive(Debug)]
struct NumberAssignment<'a> {
    source: i16,
    people: HashMap<PersonKey, Person>,
    tails: HashMap<u32, PartitionTail<'a>>,
    new_people: Vec<DictionaryEntry>,
    new_aliases: Vec<Alias>,
}

/// Returns the numbers of each observation. A new person gets the next number of the partition, and a new value of a
/// known person gets an alias; both are then in the dictionary and in the columns.
pub(super) async fn assign_numbers(
    transaction: &mut JobTransaction,
    source: i16,
    observations: &[Observation<'_>],
) -> Result<Vec<Numbers>, PeopleError> {
    let hashes: Vec<AttributeHashes> =
        observations.iter().map(|observation| observation.attributes.hashes()).collect();
    let mut assignment = NumberAssignment {
        source,
        people: known_people(transaction, source, observations, &hashes).await?,
        tails: HashMap::new(),
        new_people: Vec::new(),
        new_aliases: Vec::new(),
    };
    let mut stored = Vec::new();
    for partition in assignment.partitions_to_extend(observations, &hashes) {
        let first = i64::from(partition) * PARTITION_BLOCKS;
        let tail = transaction.last_block(source, first, first + PARTITION_BLOCKS).await?;
        assignment.tails.insert(partition, PartitionTail::after(partition, tail.as_ref()));
        stored.extend(tail.map(|tail| (partition, tail)));
    }
    let numbers = observations
        .iter()
        .zip(&hashes)
        .map(|(observation, hashes)| assignment.assign(observation, *hashes))
        .collect();
    let numbers: Vec<Numbers> = Result::from_iter::<Vec<_>>(numbers)?;
    assignment.write(transaction, &stored).await?;
    Ok(numbers)
}

/// Returns the numbers that each observation already has. It assigns none.
pub(super) async fn find_numbers(
    transaction: &mut JobTransaction,
    source: i16,
    observations: &[Observation<'_>],
) -> Result<Vec<FoundNumbers>, PeopleError> {
    let hashes: Vec<AttributeHashes> =
        observations.iter().map(|observation| observation.attributes.hashes()).collect();
    let people = known_people(transaction, source, observations, &hashes).await?;
    let find = |(observation, hashes): (&Observation<'_>, &AttributeHashes)| {
        let numbers = people.get(&observation.key).map_or([None; SLOTS], |person| person.numbers(*hashes));
        let wanted = 1 + hashes.0.iter().filter(|hash| **hash != 0).count();
        FoundNumbers { numbers, missing: wanted - numbers.iter().flatten().count() }
    };
    Ok(observations.iter().zip(&hashes).map(find).collect())
}

/// The people of the observations that have a number. Those with other values than in the dictionary come with their
/// aliases.
async fn known_people(
    transaction: &mut JobTransaction,
    source: i16,
    observations: &[Observation<'_>],
    hashes: &[AttributeHashes],
) -> Result<HashMap<PersonKey, Person>, PeopleError> {
    let mut keys: Vec<PersonKey> = observations.iter().map(|observation| observation.key).collect();
    keys.sort_unstable();
    keys.dedup();
    let found = transaction.people(source, &keys).await?;
    let person = |known: DictionaryEntry| {
        (known.key, Person { number: known.number, hashes: known.hashes, aliases: Vec::new() })
    };
    let mut people: HashMap<PersonKey, Person> = found.into_iter().map(person).collect();
    let with_other_values: BTreeSet<(u32, PersonKey)> = observations
        .iter()
        .zip(hashes)
        .filter_map(|(observation, hashes)| {
            let person = people.get(&observation.key)?;
            (person.hashes != *hashes).then_some((person.number, observation.key))
        })
        .collect();
    let key_of: HashMap<u32, PersonKey> = with_other_values.iter().copied().collect();
    let numbers: Vec<u32> = with_other_values.into_iter().map(|(number, _)| number).collect();
    for Alias { number, alias, hashes } in transaction.aliases(source, &numbers).await? {
        if let Some(person) = key_of.get(&number).and_then(|key| people.get_mut(key)) {
            person.aliases.push((alias, hashes));
        }
    }
    Ok(people)
}

impl Person {
    /// The number that stands for a value.
    fn number_of(&self, dimension: usize, hash: u64) -> Option<u32> {
        if self.hashes.0[dimension] == hash {
            return Some(self.number);
        }
        let alias = self.aliases.iter().find(|(_, hashes)| hashes.0[dimension] == hash);
        alias.map(|(alias, _)| *alias)
    }

    /// The values that no number stands for yet; all zero where there are none.
    fn missing_values(&self, hashes: AttributeHashes) -> AttributeHashes {
        let mut missing = hashes;
        for dimension in 0..Dimension::ALL.len() {
            if self.number_of(dimension, hashes.0[dimension]).is_some() {
                missing.0[dimension] = 0;
            }
        }
        missing
    }

    fn numbers(&self, hashes: AttributeHashes) -> Numbers {
        let mut numbers = [None; SLOTS];
        numbers[USERS] = Some(self.number);
        for (dimension, hash) in hashes.0.into_iter().enumerate().filter(|(_, hash)| *hash != 0) {
            numbers[dimension + 1] = self.number_of(dimension, hash);
        }
        numbers
    }
}

impl<'a> NumberAssignment<'a> {
    /// The partitions that need new numbers.
    fn partitions_to_extend(
        &self,
        observations: &[Observation<'_>],
        hashes: &[AttributeHashes],
    ) -> BTreeSet<u32> {
        let grows = |(observation, hashes): &(&Observation<'_>, &AttributeHashes)| {
            self.people
                .get(&observation.key)
                .is_none_or(|person| person.missing_values(**hashes) != AttributeHashes::default())
        };
        // A second observation of a new person may need an alias, which is in the same partition.
        let growing = observations.iter().zip(hashes).filter(grows);
        growing.map(|(observation, _)| observation.key.partition()).collect()
    }

    fn assign(
        &mut self,
        observation: &Observation<'a>,
        hashes: AttributeHashes,
    ) -> Result<Numbers, PeopleError> {
        let Observation { key, attributes, .. } = observation;
        let source = self.source;
        let mut next_number = || {
            let tail = self.tails.get_mut(&key.partition()).ok_or(PeopleError::NoNumbers(source))?;
            tail.next_number(*attributes).ok_or(PeopleError::NoNumbers(source))
        };
        let person = match self.people.entry(*key) {
            Entry::Occupied(person) => {
                let person = person.into_mut();
                if person.hashes != hashes {
                    let missing = person.missing_values(hashes);
                    if missing != AttributeHashes::default() {
                        let alias = next_number()?;
                        person.aliases.push((alias, missing));
                        self.new_aliases.push(Alias { number: person.number, alias, hashes: missing });
                    }
                }
                person
            }
            Entry::Vacant(entry) => {
                let number = next_number()?;
                self.new_people.push(DictionaryEntry { key: *key, number, hashes });
                entry.insert(Person { number, hashes, aliases: Vec::new() })
            }
        };
        Ok(person.numbers(hashes))
    }

    async fn write(
        mut self,
        transaction: &mut JobTransaction,
        stored: &[(u32, StoredBlock)],
    ) -> Result<(), PeopleError> {
        self.new_people.sort_unstable_by_key(|person| person.key);
        self.new_aliases.sort_unstable_by_key(|alias| (alias.number, alias.alias));
        transaction.add_people(self.source, &self.new_people).await?;
        transaction.add_aliases(self.source, &self.new_aliases).await?;
        let mut tails: Vec<(u32, PartitionTail<'_>)> = self.tails.drain().collect();
        tails.sort_unstable_by_key(|(partition, _)| *partition);
        for (partition, tail) in tails {
            let last = stored.iter().find(|(of, _)| *of == partition).map(|(_, stored)| stored);
            for (number, block) in tail.blocks(last)? {
                transaction.write_block(self.source, number, &block).await?;
            }
        }
        Ok(())
    }
}

impl<'a> PartitionTail<'a> {
    /// The end of a partition, given its last block.
    fn after(partition: u32, last: Option<&StoredBlock>) -> Self {
        let first = partition * PARTITION_NUMBERS;
        let next = last.map_or(first, |last| {
            u32::try_from(last.block * i64::from(BLOCK) + last.filled).unwrap_or(u32::MAX)
        });
        Self { next, new: Vec::new() }
    }

    /// The next number, which stands for `attributes`; `None` where the partition is full. Its last block stays empty.
    fn next_number(&mut self, attributes: Attributes<'a>) -> Option<u32> {
        let number = self.next;
        if number % PARTITION_NUMBERS >= PARTITION_NUMBERS - BLOCK || number / PARTITION_NUMBERS >= PARTITIONS
        {
            return None;
        }
        self.next += 1;
        self.new.push(attributes);
        Some(number)
    }

    /// The blocks that are new, or fuller than before.
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
        for attributes in self.new {
            open.0.push(attributes);
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

    fn tail<'a>(partition: u32, stored: Option<&StoredBlock>, new: usize) -> PartitionTail<'a> {
        let mut tail = PartitionTail::after(partition, stored);
        (0..new).for_each(|_| assert!(tail.next_number(Attributes::default()).is_some()));
        tail
    }

    fn sizes(blocks: &[(i64, Block<'_>)]) -> Vec<(i64, usize)> {
        blocks.iter().map(|(number, block)| (*number, block.0.len())).collect()
    }

    #[test]
    fn numbers_fill_one_block_after_the_other() {
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
        assert_eq!(next.next_number(Attributes::default()), Some(3 * PARTITION_NUMBERS + 1024));
        assert_eq!(sizes(&next.blocks(Some(&full)).unwrap()), [(first + 2, 1)]);
    }

    #[test]
    fn a_full_partition_gives_no_numbers() {
        let last = i64::from(PARTITION_NUMBERS / BLOCK) - 2;
        let full = StoredBlock { block: last, filled: BLOCK.into(), data: Vec::new() };
        assert_eq!(PartitionTail::after(0, Some(&full)).next_number(Attributes::default()), None);
    }

    #[test]
    fn a_value_has_one_number_of_a_person() {
        let mut person = Person { number: 7, hashes: AttributeHashes([1, 2, 3, 4]), aliases: Vec::new() };
        let moved = AttributeHashes([1, 2, 5, 6]);
        assert_eq!(person.missing_values(moved), AttributeHashes([0, 0, 5, 6]));
        person.aliases.push((9, AttributeHashes([0, 0, 5, 6])));
        assert_eq!(person.missing_values(moved), AttributeHashes::default());
        assert_eq!(person.numbers(moved), [Some(7), Some(7), Some(7), Some(9), Some(9)]);
        assert_eq!(person.numbers(AttributeHashes([1, 0, 5, 0])), [Some(7), Some(7), None, Some(9), None]);
        assert_eq!(
            person.missing_values(AttributeHashes([1, 0, 0, 0])),
            AttributeHashes::default(),
            "a value that was not observed is not missing"
        );
    }
}
