//! Closed segments of events: which of the rows to be stored they have already, as rows or as keys.
//!
//! Uniqueness of an event within one segment is an index of that segment. Across segments it is this look, which every
//! storing transaction takes. A filter says which events a segment has for certain not; all others are looked up in it,
//! and so is every event where the filter is missing. So no event is taken for a duplicate by a filter alone.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use futures::TryStreamExt as _;
use sqlx::PgConnection;
use tracing::warn;
use weir_database::{
    event_key::EventKey,
    id_code::IdCode,
    segment_filter::{FilterHash, FilterOwner, FilterReader, SegmentFilter},
};

use crate::store::{
    guards::SegmentGuard,
    row::{EventIdentity, Row},
};

/// The most memory of filters, in bytes: some 50 million events. Events are looked up in older segments without one.
const MOST_FILTER_BYTES: usize = 64 * 1024 * 1024;

const SEGMENTS: &str = "SELECT number, closed_at, removed_at IS NOT NULL FROM event_segments \
    WHERE closed_at IS NOT NULL ORDER BY number DESC";
const FILTER: &str = "SELECT data FROM segment_filters WHERE segment = $1 AND source = $2 ORDER BY part";

/// Looks up one event after the other, each in the segment that may have it.
const IN_ROWS: &str = "SELECT place \
    FROM UNNEST($1::integer[], $2::smallint[], $3::bytea[]) WITH ORDINALITY AS asked (segment, source, code, place) \
    CROSS JOIN LATERAL ( \
        SELECT 1 FROM events WHERE events.segment = asked.segment AND events.source = asked.source \
            AND events.event_code = asked.code OFFSET 0 \
    ) AS stored";
/// The same in segment 0, whose rows have their ids as text.
const IN_ROWS_OF_SEGMENT_0: &str = "SELECT place \
    FROM UNNEST($1::smallint[], $2::text[]) WITH ORDINALITY AS asked (source, event_id, place) \
    CROSS JOIN LATERAL ( \
        SELECT 1 FROM events WHERE events.segment = 0 AND events.source = asked.source \
            AND events.old_event_id = asked.event_id OFFSET 0 \
    ) AS stored";
const IN_KEYS: &str = "SELECT place \
    FROM UNNEST($1::integer[], $2::smallint[], $3::bytea[]) WITH ORDINALITY AS asked (segment, source, key, place) \
    CROSS JOIN LATERAL ( \
        SELECT 1 FROM event_keys WHERE event_keys.segment = asked.segment AND event_keys.source = asked.source \
            AND event_keys.key = asked.key OFFSET 0 \
    ) AS stored";

/// The closed segments that one store knows, with their filters. Cheap to clone; clones share them.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct ClosedSegments(Arc<Mutex<Arc<KnownSegments>>>);

/// The events of a batch that closed segments have already.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct StoredBefore<'a> {
    /// Those that have a row.
    stored: HashSet<EventIdentity<'a>>,
    /// Those whose row was removed.
    pub(super) removed: HashSet<EventIdentity<'a>>,
}

/// The closed segments as of one version, the newest first.
#[derive(Debug, Default)]
struct KnownSegments {
    version: i64,
    /// The sources whose filters are loaded.
    sources: BTreeSet<i16>,
    segments: Vec<ClosedSegment>,
}

#[derive(Debug)]
struct ClosedSegment {
    number: i32,
    /// µs since the Unix epoch. After a restore of the database, the same number may be of other events.
    closed_at: i64,
    rows_are_removed: bool,
    /// By source; a source without one has its events looked up.
    filters: HashMap<i16, Arc<SegmentFilter>>,
}

/// Rows to be looked up, each in one segment.
#[derive(Debug, Default)]
struct Suspects<'r, 'a>(Vec<(i32, &'r Row<'a>)>);

impl ClosedSegments {
    /// Finds those of `rows` that a closed segment has.
    pub(super) async fn find<'a>(
        &self,
        connection: &mut PgConnection,
        guard: SegmentGuard,
        rows: &[Row<'a>],
    ) -> Result<StoredBefore<'a>, sqlx::Error> {
        let known =
            self.as_of(connection, guard.version, rows.iter().map(|row| row.source).collect()).await?;
        if known.segments.is_empty() {
            return Ok(StoredBefore::default());
        }
        let [mut with_rows, mut with_texts, mut with_keys] = [(); 3].map(|()| Suspects::default());
        for row in rows {
            let hash = FilterHash::of(row.event_id);
            for segment in known.segments.iter().filter(|segment| segment.may_have(row.source, hash)) {
                let suspects = match segment {
                    // Its keys are looked up by the guards.
                    ClosedSegment { number: 0, rows_are_removed: true, .. } => continue,
                    ClosedSegment { rows_are_removed: true, .. } => &mut with_keys,
                    ClosedSegment { number: 0, .. } => &mut with_texts,
                    ClosedSegment { .. } => &mut with_rows,
                };
                suspects.0.push((segment.number, row));
            }
        }
        let mut stored = with_rows.stored(connection).await?;
        stored.extend(with_texts.stored_in_segment_0(connection).await?);
        Ok(StoredBefore { stored, removed: with_keys.removed(connection).await? })
    }

    /// The segments of this version, read again only where it is another one than before.
    async fn as_of(
        &self,
        connection: &mut PgConnection,
        version: i64,
        sources: BTreeSet<i16>,
    ) -> Result<Arc<KnownSegments>, sqlx::Error> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if known.version == version && known.sources.is_superset(&sources) {
            return Ok(known);
        }
        let sources = &known.sources | &sources;
        let read = Arc::new(known.read_again(connection, version, sources).await?);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = read.clone();
        Ok(read)
    }
}

impl KnownSegments {
    /// Reads the segments, and the filters that are not known yet.
    async fn read_again(
        &self,
        connection: &mut PgConnection,
        version: i64,
        sources: BTreeSet<i16>,
    ) -> Result<Self, sqlx::Error> {
        let closed: Vec<(i32, i64, bool)> = sqlx::query_as(SEGMENTS).fetch_all(&mut *connection).await?;
        let (mut segments, mut bytes) = (Vec::new(), 0);
        for (number, closed_at, rows_are_removed) in closed {
            let is_same = |known: &&ClosedSegment| (known.number, known.closed_at) == (number, closed_at);
            let before = self.segments.iter().find(is_same);
            let mut filters = HashMap::new();
            for source in &sources {
                let filter = match before.and_then(|segment| segment.filters.get(source)) {
                    Some(filter) => Some(filter.clone()),
                    None if bytes < MOST_FILTER_BYTES => read_filter(connection, number, *source).await?,
                    None => None,
                };
                if let Some(filter) = filter.filter(|filter| bytes + filter.size() <= MOST_FILTER_BYTES) {
                    bytes += filter.size();
                    filters.insert(*source, filter);
                }
            }
            segments.push(ClosedSegment { number, closed_at, rows_are_removed, filters });
        }
        Ok(Self { version, sources, segments })
    }
}

async fn read_filter(
    connection: &mut PgConnection,
    segment: i32,
    source: i16,
) -> Result<Option<Arc<SegmentFilter>>, sqlx::Error> {
    let mut reader = FilterReader::of(FilterOwner { segment, source });
    let mut read = None;
    let mut parts = sqlx::query_scalar(FILTER).bind(segment).bind(source).fetch(connection);
    while let Some(part) = parts.try_next().await? {
        let part: Vec<u8> = part;
        read = Some(read.unwrap_or(Ok(())).and_then(|()| reader.read(&part)));
    }
    let filter = read.map(|read| read.and_then(|()| reader.finish()));
    match filter.transpose() {
        Ok(filter) => Ok(filter.map(Arc::new)),
        Err(error) => {
            warn!(segment, source, %error, "events are looked up without it");
            Ok(None)
        }
    }
}

impl ClosedSegment {
    fn may_have(&self, source: i16, hash: FilterHash) -> bool {
        self.filters.get(&source).is_none_or(|filter| filter.may_have(hash))
    }
}

impl StoredBefore<'_> {
    pub(super) fn contains(&self, row: &Row<'_>) -> bool {
        let identity = row.identity();
        self.stored.contains(&identity) || self.removed.contains(&identity)
    }
}

impl<'a> Suspects<'_, 'a> {
    async fn stored(&self, connection: &mut PgConnection) -> Result<HashSet<EventIdentity<'a>>, sqlx::Error> {
        self.look_up(connection, IN_ROWS, |id| IdCode::of(id).into_bytes()).await
    }

    async fn removed(
        &self,
        connection: &mut PgConnection,
    ) -> Result<HashSet<EventIdentity<'a>>, sqlx::Error> {
        self.look_up(connection, IN_KEYS, |id| EventKey::of_code(&IdCode::of(id)).as_bytes().to_vec()).await
    }

    async fn stored_in_segment_0(
        &self,
        connection: &mut PgConnection,
    ) -> Result<HashSet<EventIdentity<'a>>, sqlx::Error> {
        if self.0.is_empty() {
            return Ok(HashSet::new());
        }
        let places = sqlx::query_scalar(IN_ROWS_OF_SEGMENT_0)
            .bind(self.0.iter().map(|(_, row)| row.source).collect::<Vec<_>>())
            .bind(self.0.iter().map(|(_, row)| row.event_id).collect::<Vec<_>>())
            .persistent(false)
            .fetch_all(connection)
            .await?;
        Ok(self.identities(places))
    }

    async fn look_up(
        &self,
        connection: &mut PgConnection,
        statement: &'static str,
        stored_as: impl Fn(&str) -> Vec<u8>,
    ) -> Result<HashSet<EventIdentity<'a>>, sqlx::Error> {
        if self.0.is_empty() {
            return Ok(HashSet::new());
        }
        let places = sqlx::query_scalar(statement)
            .bind(self.0.iter().map(|(segment, _)| *segment).collect::<Vec<_>>())
            .bind(self.0.iter().map(|(_, row)| row.source).collect::<Vec<_>>())
            .bind(self.0.iter().map(|(_, row)| stored_as(row.event_id)).collect::<Vec<_>>())
            // Planned each time: the next segment has other tables.
            .persistent(false)
            .fetch_all(connection)
            .await?;
        Ok(self.identities(places))
    }

    /// The identities at these places, which count from 1.
    fn identities(&self, places: Vec<i64>) -> HashSet<EventIdentity<'a>> {
        let at = |place: i64| self.0.get(usize::try_from(place - 1).ok()?).map(|(_, row)| row.identity());
        places.into_iter().filter_map(at).collect()
    }
}
