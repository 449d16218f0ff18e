//! A cache of the attributes of each number. A stored block only grows at its end, so that a report reads only new
//! blocks and grown ones.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _},
    metrics::{MetricType, counter::Counter, family::Family, gauge::ConstGauge},
    registry::Registry,
};
use roaring::RoaringBitmap;
use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{Condition, Expr, ExprTrait as _, Query},
};
use tokio::sync::{Semaphore, SemaphorePermit};
use weir::contract::event::v1::Source;
use weir_database::{
    entity::people_columns::{Column, Entity},
    people::{BLOCK, Block},
};

use super::interner::Interner;
use crate::store::{Snapshot, malformed};

/// Numbers of a chunk: few enough that a copy of a partition's last chunk is quick when it has grown.
pub(super) const CHUNK: u32 = 16 * BLOCK;
const BLOCKS: usize = (CHUNK / BLOCK) as usize;
/// The most bytes that stay between reports; one report may need more for itself. 2 million people, each in a city of
/// its own, take about 130 MB; the usual million takes 10 MB.
const MAX_BYTES: usize = 96 << 20;
/// The cache is dropped when no report has used it for so long.
const MAX_IDLE: Duration = Duration::from_secs(300);
/// Events that are not folded from which on an answer is large: 7 MB, where each has another user.
const LARGE_ANSWER: u64 = 1 << 18;
/// Blocks of one statement: some 10 MB.
const BLOCKS_PER_STATEMENT: usize = 1_024;
/// Ranges of blocks in one statement.
const RANGES_PER_STATEMENT: usize = 64;

/// The cache. Cheap to clone; all clones share it.
#[derive(Clone, Debug)]
pub(crate) struct AttributeCache {
    epoch: Arc<Mutex<Arc<CacheEpoch>>>,
    /// Where a section has more users, its groups are estimated.
    pub(super) max_exact_users: u64,
    pub(super) sections: SectionCounter,
    /// A permit for the one large answer that may run at a time.
    large_answers: Arc<Semaphore>,
}

/// The number of counted sections, by the data that they were counted from.
#[derive(Clone, Debug, Default)]
pub(super) struct SectionCounter(Family<SectionLabels, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SectionLabels {
    from: &'static str,
}

impl SectionCounter {
    pub(super) fn count(&self, from: &'static str) {
        self.0.get_or_create(&SectionLabels { from }).inc();
    }
}

/// The bytes of the cache, read at each scrape.
#[derive(Debug)]
struct CachedBytes(AttributeCache);

impl Collector for CachedBytes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "Bytes of people's attributes that reporting caches, at most 96 MiB between reports";
        let bytes = ConstGauge::new(self.0.bytes() as i64);
        bytes.encode(encoder.encode_descriptor("weir_people_kept_bytes", help, None, MetricType::Gauge)?)
    }
}

/// The content of the cache from one drop to the next. Numbers of names are valid within one epoch only.
#[derive(Debug)]
pub(super) struct CacheEpoch {
    attributes: Mutex<CachedAttributes>,
}

#[derive(Debug)]
pub(super) struct CachedAttributes {
    /// By source and index.
    chunks: HashMap<(i32, u32), Arc<Chunk>>,
    pub(super) countries: Interner,
    pub(super) cities: Interner,
    last_used: Instant,
}

/// The attributes of consecutive numbers; 0 is no value.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunk {
    /// Cached numbers of each block.
    filled: [u16; BLOCKS],
    pub(super) groups: Vec<u8>,
    pub(super) genders_or_devices: Vec<u8>,
    pub(super) countries: Vec<u32>,
    pub(super) cities: Vec<u32>,
}

#[derive(FromQueryResult)]
struct BlockRow {
    block: i64,
    data: Vec<u8>,
}

impl AttributeCache {
    /// An empty cache.
    pub(crate) fn new(max_exact_users: u64) -> Self {
        let epoch = Arc::new(Mutex::new(CacheEpoch::new()));
        let large_answers = Arc::new(Semaphore::new(1));
        Self { epoch, max_exact_users, sections: SectionCounter::default(), large_answers }
    }

    /// Registers the metrics of the cache. A process calls it once.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "weir_demographics_sections",
            "Sections of demographics that were counted from sets of people, or from rows where those miss an event",
            self.sections.0.clone(),
        );
        registry.register_collector(Box::new(CachedBytes(self.clone())));
    }

    /// The epoch for one report to use and extend; a new one where the last one grew too large.
    pub(super) fn epoch(&self) -> Arc<CacheEpoch> {
        let mut epoch = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        if epoch.lock().bytes() > MAX_BYTES {
            *epoch = CacheEpoch::new();
        }
        epoch.lock().last_used = Instant::now();
        Arc::clone(&epoch)
    }

    /// Waits until an answer may read so many events that are not folded. Of answers that need much memory for them one
    /// runs at a time.
    pub(super) async fn large_answer(&self, unfolded_events: u64) -> Option<SemaphorePermit<'_>> {
        if unfolded_events < LARGE_ANSWER {
            return None;
        }
        self.large_answers.acquire().await.ok()
    }

    /// Drops the content when no report has used it lately.
    pub(crate) fn drop_unused(&self) {
        let mut epoch = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        let is_unused = epoch.lock().last_used.elapsed() > MAX_IDLE;
        if is_unused {
            *epoch = CacheEpoch::new();
        }
    }

    /// Bytes in the cache.
    fn bytes(&self) -> usize {
        let epoch = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        epoch.lock().bytes()
    }
}

impl CacheEpoch {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { attributes: Mutex::default() })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, CachedAttributes> {
        self.attributes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The chunks at these indexes, with the attributes of all `numbers` in them.
    pub(super) async fn chunks(
        &self,
        snapshot: &Snapshot,
        source: Source,
        indexes: &[u32],
        numbers: &RoaringBitmap,
    ) -> Result<Vec<(u32, Arc<Chunk>)>, DbErr> {
        let missing = self.lock().missing_blocks(source, indexes, numbers);
        let mut read = HashMap::new();
        for ranges in statements(&missing) {
            let blocks = read_blocks(snapshot, source, &ranges).await?;
            self.lock().add(source, &blocks, numbers, &mut read)?;
        }
        let cached = self.lock();
        let chunk = |index: &u32| {
            let chunk = read.get(index).or_else(|| cached.chunks.get(&(source.into(), *index)));
            (*index, chunk.cloned().unwrap_or_default())
        };
        Ok(indexes.iter().map(chunk).collect())
    }
}

impl Default for CachedAttributes {
    fn default() -> Self {
        Self {
            chunks: HashMap::new(),
            countries: Interner::default(),
            cities: Interner::default(),
            last_used: Instant::now(),
        }
    }
}

impl CachedAttributes {
    fn bytes(&self) -> usize {
        let chunks: usize = self.chunks.values().map(|chunk| chunk.bytes()).sum();
        chunks + self.countries.bytes() + self.cities.bytes()
    }

    /// The blocks with a number that is not cached, ascending.
    fn missing_blocks(&self, source: Source, indexes: &[u32], numbers: &RoaringBitmap) -> Vec<u32> {
        let mut missing = Vec::new();
        for index in indexes {
            let filled = self.chunks.get(&(source.into(), *index)).map_or([0; BLOCKS], |chunk| chunk.filled);
            for (block, filled) in (index * BLOCKS as u32..).zip(filled) {
                if u32::from(filled) == BLOCK {
                    continue;
                }
                let absent = block * BLOCK + u32::from(filled)..=block * BLOCK + (BLOCK - 1);
                if numbers.range(absent).next().is_some() {
                    missing.push(block);
                }
            }
        }
        missing
    }

    /// Adds blocks to the cache and to `read`. A full cache does not take them: then `read` alone has them, with only
    /// the attributes of `numbers`.
    fn add(
        &mut self,
        source: Source,
        blocks: &[BlockRow],
        numbers: &RoaringBitmap,
        read: &mut HashMap<u32, Arc<Chunk>>,
    ) -> Result<(), DbErr> {
        let is_full = self.bytes() > MAX_BYTES;
        for BlockRow { block, data } in blocks {
            let block = u32::try_from(*block).map_err(|_| DbErr::Custom("a block of people".into()))?;
            let index = block / BLOCKS as u32;
            let cached = self.chunks.remove(&(source.into(), index));
            let chunk = read.entry(index).or_insert_with(|| cached.unwrap_or_default());
            let only = is_full.then_some(numbers);
            Arc::make_mut(chunk).add(block, data, only, &mut self.countries, &mut self.cities)?;
        }
        if !is_full {
            for BlockRow { block, .. } in blocks {
                let index = u32::try_from(*block).unwrap_or_default() / BLOCKS as u32;
                let chunk = read.get(&index).map(Arc::clone);
                self.chunks.extend(chunk.map(|chunk| ((source.into(), index), chunk)));
            }
        }
        Ok(())
    }
}

impl Chunk {
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.groups.capacity()
            + self.genders_or_devices.capacity()
            + (self.countries.capacity() + self.cities.capacity()) * size_of::<u32>()
    }

    /// Adds the attributes of a block, or `only` those of some numbers.
    fn add(
        &mut self,
        block: u32,
        data: &[u8],
        only: Option<&RoaringBitmap>,
        countries: &mut Interner,
        cities: &mut Interner,
    ) -> Result<(), DbErr> {
        let (records, names) = Block::records(data).map_err(malformed)?;
        let within = block as usize % BLOCKS;
        let first = within * BLOCK as usize;
        let end = first + records.len();
        if self.groups.len() < end {
            self.groups.resize(end, 0);
            self.genders_or_devices.resize(end, 0);
            self.countries.resize(end, 0);
        }
        if self.cities.len() < end && records.iter().any(|record| record.city != 0) {
            self.cities.resize(end, 0);
        }
        let name = |index: u16| names[usize::from(index) - 1];
        let mut interned_countries = vec![0; names.len() + 1];
        for (offset, record) in records.iter().enumerate() {
            let number = block * BLOCK + offset as u32;
            if only.is_some_and(|only| !only.contains(number)) {
                continue;
            }
            self.groups[first + offset] = record.group;
            self.genders_or_devices[first + offset] = record.gender_or_device;
            let country = &mut interned_countries[usize::from(record.country)];
            if record.country != 0 && *country == 0 {
                *country = countries.intern(0, name(record.country));
            }
            self.countries[first + offset] = *country;
            if record.city != 0 {
                self.cities[first + offset] = cities.intern(*country, name(record.city));
            }
        }
        self.filled[within] = records.len() as u16;
        Ok(())
    }
}

/// The ranges of consecutive blocks, for each statement that reads them.
fn statements(blocks: &[u32]) -> Vec<Vec<(u32, u32)>> {
    let mut statements = Vec::new();
    let (mut ranges, mut taken): (Vec<(u32, u32)>, usize) = (Vec::new(), 0);
    for block in blocks {
        match ranges.last_mut() {
            Some((_, end)) if *end == *block => *end += 1,
            _ => ranges.push((*block, block + 1)),
        }
        taken += 1;
        if taken == BLOCKS_PER_STATEMENT || ranges.len() == RANGES_PER_STATEMENT {
            statements.push(std::mem::take(&mut ranges));
            taken = 0;
        }
    }
    if !ranges.is_empty() {
        statements.push(ranges);
    }
    statements
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
        assert_eq!(statements(&[3, 4, 5, 9]), [vec![(3, 6), (9, 10)]]);
        let many: Vec<u32> = (0..BLOCKS_PER_STATEMENT as u32 + 2).collect();
        assert_eq!(statements(&many), [vec![(0, 1_024)], vec![(1_024, 1_026)]]);
        let scattered: Vec<u32> = (0..RANGES_PER_STATEMENT as u32 + 1).map(|block| block * 2).collect();
        assert_eq!(statements(&scattered).iter().map(Vec::len).collect::<Vec<_>>(), [64, 1]);
        assert!(statements(&[]).is_empty());
    }

    #[test]
    fn a_block_is_read_again_only_when_it_has_grown() {
        let mut cached = CachedAttributes::default();
        let attributes =
            |group| Attributes { group, gender_or_device: 1, country: Some("Peru"), city: Some("Ica") };
        let row =
            |block, attributes: Vec<Attributes<'_>>| BlockRow { block, data: Block(attributes).to_blob() };
        let numbers: RoaringBitmap = [0, 1, BLOCK].into_iter().collect();
        assert_eq!(cached.missing_blocks(Source::Facebook, &[0], &numbers), [0, 1]);
        let rows = [row(0, vec![attributes(1), attributes(2)]), row(1, vec![attributes(3)])];
        let mut read = HashMap::new();
        cached.add(Source::Facebook, &rows, &numbers, &mut read).unwrap();
        assert!(cached.missing_blocks(Source::Facebook, &[0], &numbers).is_empty());
        assert_eq!(cached.missing_blocks(Source::Tiktok, &[0], &numbers), [0, 1]);
        let chunk = &read[&0];
        assert_eq!((chunk.groups[0], chunk.groups[1], chunk.groups[512]), (1, 2, 3));
        assert_eq!((chunk.countries[512], chunk.cities[512]), (1, 1));
        assert_eq!(cached.missing_blocks(Source::Facebook, &[0], &[2].into()), [0]);

        let grown = [row(0, vec![attributes(1), attributes(2), attributes(6)])];
        let mut read = HashMap::new();
        cached.add(Source::Facebook, &grown, &[2].into(), &mut read).unwrap();
        assert_eq!((read[&0].groups[2], read[&0].groups[512]), (6, 3));
        assert!(cached.missing_blocks(Source::Facebook, &[0], &[2].into()).is_empty());
    }
}
