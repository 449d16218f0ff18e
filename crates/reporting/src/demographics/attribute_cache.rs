//! What is known of each number, kept in memory: blocks of columns never change but for their ends, so that an answer
//! reads only what is new.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use roaring::RoaringBitmap;
use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{Condition, Expr, ExprTrait as _, Query},
};
use weir::contract::event::v1::Source;
use weir_database::{
    entity::people_columns::{Column, Entity},
    people::{BLOCK, Block},
};

use super::{interner::Names, read_sets::malformed};
use crate::store::Snapshot;

/// Numbers of a chunk: little enough that the last one of each partition is copied quickly where it has grown.
pub(super) const CHUNK: u32 = 16 * BLOCK;
const BLOCKS: usize = (CHUNK / BLOCK) as usize;
/// What is kept between answers takes at most as many bytes; one answer may need more for itself. 2 million people,
/// each in a city of its own, take about 130 MB; the usual million takes 10 MB.
const MOST_BYTES: usize = 256 << 20;
/// What nobody asked for in so long is dropped.
const KEPT: Duration = Duration::from_secs(300);
/// Blocks that are read at once: some 10 MB.
const BLOCKS_AT_ONCE: usize = 1_024;
/// Ranges of blocks in one statement.
const RANGES_AT_ONCE: usize = 64;

/// The cache, and above how many users of a section groups are estimated. Cheap to clone; every clone has the same.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    generation: Arc<Mutex<Arc<Generation>>>,
    pub(super) exact_users: u64,
    pub(crate) sections: Sections,
}

/// How many sections were counted, by what they were counted from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sections(pub(crate) Family<SectionLabels, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct SectionLabels {
    from: &'static str,
}

impl Sections {
    pub(super) fn count(&self, from: &'static str) {
        self.0.get_or_create(&SectionLabels { from }).inc();
    }
}

/// Chunks and the names that they number. Numbers of names mean something in one generation alone.
#[derive(Debug)]
pub(super) struct Generation {
    kept: Mutex<Kept>,
}

#[derive(Debug)]
pub(super) struct Kept {
    chunks: HashMap<(i32, u32), Arc<Chunk>>,
    pub(super) countries: Names,
    pub(super) cities: Names,
    asked: Instant,
}

/// What is known of some numbers that follow each other; 0 is nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunk {
    /// How many numbers of each block are known.
    filled: [u16; BLOCKS],
    pub(super) groups: Vec<u8>,
    pub(super) kinds: Vec<u8>,
    pub(super) countries: Vec<u32>,
    pub(super) cities: Vec<u32>,
}

#[derive(FromQueryResult)]
struct BlockRow {
    block: i64,
    data: Vec<u8>,
}

impl Columns {
    pub(crate) fn new(exact_users: u64) -> Self {
        let generation = Arc::new(Mutex::new(Generation::new()));
        Self { generation, exact_users, sections: Sections::default() }
    }

    /// What is kept, to be used and added to for one answer; a new generation where the last one grew too large.
    pub(super) fn generation(&self) -> Arc<Generation> {
        let mut generation = self.generation.lock().unwrap_or_else(PoisonError::into_inner);
        if generation.kept().bytes() > MOST_BYTES {
            *generation = Generation::new();
        }
        generation.kept().asked = Instant::now();
        Arc::clone(&generation)
    }

    /// Drops what nobody asked for lately.
    pub(crate) fn drop_unused(&self) {
        let mut generation = self.generation.lock().unwrap_or_else(PoisonError::into_inner);
        let unused = generation.kept().asked.elapsed() > KEPT;
        if unused {
            *generation = Generation::new();
        }
    }

    /// Bytes that are kept.
    pub(crate) fn bytes(&self) -> usize {
        let generation = self.generation.lock().unwrap_or_else(PoisonError::into_inner);
        generation.kept().bytes()
    }
}

impl Generation {
    fn new() -> Arc<Self> {
        Arc::new(Self { kept: Mutex::default() })
    }

    pub(super) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The chunks at some places, in which everything of `numbers` is known.
    pub(super) async fn chunks(
        &self,
        snapshot: &Snapshot,
        source: Source,
        places: &[u32],
        numbers: &RoaringBitmap,
    ) -> Result<Vec<(u32, Arc<Chunk>)>, DbErr> {
        let missing = self.kept().missing(source, places, numbers);
        let mut read = HashMap::new();
        for ranges in in_parts(&missing) {
            let blocks = read_blocks(snapshot, source, &ranges).await?;
            self.kept().take(source, &blocks, numbers, &mut read)?;
        }
        let kept = self.kept();
        let chunk = |place: &u32| {
            let chunk = read.get(place).or_else(|| kept.chunks.get(&(source.into(), *place)));
            (*place, chunk.cloned().unwrap_or_default())
        };
        Ok(places.iter().map(chunk).collect())
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            chunks: HashMap::new(),
            countries: Names::default(),
            cities: Names::default(),
            asked: Instant::now(),
        }
    }
}

impl Kept {
    fn bytes(&self) -> usize {
        let chunks: usize = self.chunks.values().map(|chunk| chunk.bytes()).sum();
        chunks + self.countries.bytes() + self.cities.bytes()
    }

    /// Blocks in which a number is not known yet, ascending.
    fn missing(&self, source: Source, places: &[u32], numbers: &RoaringBitmap) -> Vec<u32> {
        let mut missing = Vec::new();
        for place in places {
            let filled = self.chunks.get(&(source.into(), *place)).map_or([0; BLOCKS], |chunk| chunk.filled);
            for (block, filled) in (place * BLOCKS as u32..).zip(filled) {
                if u32::from(filled) == BLOCK {
                    continue;
                }
                let unknown = block * BLOCK + u32::from(filled)..=block * BLOCK + (BLOCK - 1);
                if numbers.range(unknown).next().is_some() {
                    missing.push(block);
                }
            }
        }
        missing
    }

    /// Adds blocks that were read. Where too much is kept they are for this answer alone, and only what it asks for.
    fn take(
        &mut self,
        source: Source,
        blocks: &[BlockRow],
        numbers: &RoaringBitmap,
        read: &mut HashMap<u32, Arc<Chunk>>,
    ) -> Result<(), DbErr> {
        let is_full = self.bytes() > MOST_BYTES;
        for BlockRow { block, data } in blocks {
            let block = u32::try_from(*block).map_err(|_| DbErr::Custom("a block of people".into()))?;
            let place = block / BLOCKS as u32;
            let kept = self.chunks.remove(&(source.into(), place));
            let chunk = read.entry(place).or_insert_with(|| kept.unwrap_or_default());
            let only = is_full.then_some(numbers);
            Arc::make_mut(chunk).take(block, data, only, &mut self.countries, &mut self.cities)?;
        }
        if !is_full {
            for BlockRow { block, .. } in blocks {
                let place = u32::try_from(*block).unwrap_or_default() / BLOCKS as u32;
                let chunk = read.get(&place).map(Arc::clone);
                self.chunks.extend(chunk.map(|chunk| ((source.into(), place), chunk)));
            }
        }
        Ok(())
    }
}

impl Chunk {
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.groups.capacity()
            + self.kinds.capacity()
            + (self.countries.capacity() + self.cities.capacity()) * size_of::<u32>()
    }

    fn take(
        &mut self,
        block: u32,
        data: &[u8],
        only: Option<&RoaringBitmap>,
        countries: &mut Names,
        cities: &mut Names,
    ) -> Result<(), DbErr> {
        let (records, names) = Block::records(data).map_err(malformed)?;
        let within = block as usize % BLOCKS;
        let first = within * BLOCK as usize;
        let end = first + records.len();
        if self.groups.len() < end {
            self.groups.resize(end, 0);
            self.kinds.resize(end, 0);
            self.countries.resize(end, 0);
        }
        if self.cities.len() < end && records.iter().any(|record| record.city != 0) {
            self.cities.resize(end, 0);
        }
        let name = |place: u16| names[usize::from(place) - 1];
        let mut known_countries = vec![0; names.len() + 1];
        for (offset, record) in records.iter().enumerate() {
            let number = block * BLOCK + offset as u32;
            if only.is_some_and(|only| !only.contains(number)) {
                continue;
            }
            self.groups[first + offset] = record.group;
            self.kinds[first + offset] = record.kind;
            let country = &mut known_countries[usize::from(record.country)];
            if record.country != 0 && *country == 0 {
                *country = countries.number(0, name(record.country));
            }
            self.countries[first + offset] = *country;
            if record.city != 0 {
                self.cities[first + offset] = cities.number(*country, name(record.city));
            }
        }
        self.filled[within] = records.len() as u16;
        Ok(())
    }
}

/// Blocks that follow each other as ranges, no more of them in one statement than are to be read at once.
fn in_parts(blocks: &[u32]) -> Vec<Vec<(u32, u32)>> {
    let mut parts = Vec::new();
    let (mut part, mut taken): (Vec<(u32, u32)>, usize) = (Vec::new(), 0);
    for block in blocks {
        match part.last_mut() {
            Some((_, end)) if *end == *block => *end += 1,
            _ => part.push((*block, block + 1)),
        }
        taken += 1;
        if taken == BLOCKS_AT_ONCE || part.len() == RANGES_AT_ONCE {
            parts.push(std::mem::take(&mut part));
            taken = 0;
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

async fn read_blocks(
    snapshot: &Snapshot,
    source: Source,
    ranges: &[(u32, u32)],
) -> Result<Vec<BlockRow>, DbErr> {
    let block = || Expr::col(Column::Block);
    let within = ranges.iter().fold(Condition::any(), |any, (first, end)| {
        any.add(block().gte(i64::from(*first)).and(block().lt(i64::from(*end))))
    });
    let query = Query::select()
        .columns([Column::Block, Column::Data])
        .from(Entity)
        .and_where(Expr::col(Column::Source).eq(i32::from(source)))
        .cond_where(within)
        .take();
    snapshot.all(&query).await
}

#[cfg(test)]
mod tests {
    use weir_database::people::Attributes;

    use super::*;

    #[test]
    fn blocks_are_read_in_ranges() {
        assert_eq!(in_parts(&[3, 4, 5, 9]), [vec![(3, 6), (9, 10)]]);
        let many: Vec<u32> = (0..BLOCKS_AT_ONCE as u32 + 2).collect();
        assert_eq!(in_parts(&many), [vec![(0, 1_024)], vec![(1_024, 1_026)]]);
        let scattered: Vec<u32> = (0..RANGES_AT_ONCE as u32 + 1).map(|block| block * 2).collect();
        assert_eq!(in_parts(&scattered).iter().map(Vec::len).collect::<Vec<_>>(), [64, 1]);
        assert!(in_parts(&[]).is_empty());
    }

    #[test]
    fn a_block_is_read_again_only_where_it_has_grown() {
        let generation = Generation::new();
        let traits = |group| Attributes { group, kind: 1, country: Some("Peru"), city: Some("Ica") };
        let row = |block, traits: Vec<Attributes<'_>>| BlockRow { block, data: Block(traits).to_blob() };
        let numbers: RoaringBitmap = [0, 1, BLOCK].into_iter().collect();
        let mut kept = generation.kept();
        assert_eq!(kept.missing(Source::Facebook, &[0], &numbers), [0, 1]);
        let rows = [row(0, vec![traits(1), traits(2)]), row(1, vec![traits(3)])];
        let mut read = HashMap::new();
        kept.take(Source::Facebook, &rows, &numbers, &mut read).unwrap();
        assert!(kept.missing(Source::Facebook, &[0], &numbers).is_empty());
        assert_eq!(kept.missing(Source::Tiktok, &[0], &numbers), [0, 1]);
        let chunk = &read[&0];
        assert_eq!((chunk.groups[0], chunk.groups[1], chunk.groups[512]), (1, 2, 3));
        assert_eq!((chunk.countries[512], chunk.cities[512]), (1, 1));
        assert_eq!(kept.missing(Source::Facebook, &[0], &[2].into()), [0]);

        let grown = [row(0, vec![traits(1), traits(2), traits(6)])];
        let mut read = HashMap::new();
        kept.take(Source::Facebook, &grown, &[2].into(), &mut read).unwrap();
        assert_eq!((read[&0].groups[2], read[&0].groups[512]), (6, 3));
        assert!(kept.missing(Source::Facebook, &[0], &[2].into()).is_empty());
    }
}
