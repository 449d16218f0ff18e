//! The filters of closed segments: made once, from the rows of a segment or from the keys that stay of them.
//!
//! Ids come by `COPY`, in the format that the section "Binary Format" of
//! <https://www.postgresql.org/docs/current/sql-copy.html> documents: millions of rows of a query take longer.

use std::collections::HashMap;

use futures::TryStreamExt as _;
use sqlx::{AssertSqlSafe, PgConnection};
use tracing::debug;
use weir_database::{
    event_key::EventKey,
    segment_filter::{FilterHash, FilterOwner, SegmentFilter},
};

/// The newest closed segment with fewer filters than sources, and whether its rows are removed.
const MISSING: &str = "SELECT number, removed_at IS NOT NULL FROM event_segments WHERE closed_at IS NOT NULL \
    AND (SELECT count(DISTINCT source) FROM segment_filters WHERE segment = number) < cardinality($1::smallint[]) \
    ORDER BY number DESC LIMIT 1";
const DELETE: &str = "DELETE FROM segment_filters WHERE segment = $1";
const INSERT: &str = "INSERT INTO segment_filters (segment, source, part, data) VALUES ($1, $2, $3, $4)";
/// Stores read the filters again then.
const RAISE_VERSION: &str =
    "UPDATE event_segments SET version = weir_next_segment_version() WHERE number = $1";

/// Blocks of so many bytes are counted. Together they have some two hundred thousand ids.
const COUNTED_BYTES: f64 = (32 << 20) as f64;
/// The room of a counted sample, as a multiple of the ids that it stands for. Neighbouring rows are of one source, so that
/// the share of a source in a sample varies by some hundredths.
const SPARE: f64 = 1.05;
/// For the ids of a source that a sample misses.
const LEAST_ROOM: u64 = 10_000;

/// Makes the filters of the newest segment without them, one for each source, in the transaction of this connection.
/// Returns false where no segment is without.
pub(super) async fn make_next(connection: &mut PgConnection, sources: &[i16]) -> Result<bool, sqlx::Error> {
    let missing: Option<(i32, bool)> =
        sqlx::query_as(MISSING).bind(sources).fetch_optional(&mut *connection).await?;
    let Some((segment, rows_are_removed)) = missing else { return Ok(false) };
    let ids = IdsOfSegment::new(segment, rows_are_removed);
    let (counts, sample) = ids.count(&mut *connection).await?;
    let room = |source| room_for(counts.get(source).copied().unwrap_or(0), sample);
    let mut filters: HashMap<i16, SegmentFilter> =
        sources.iter().map(|source| (*source, SegmentFilter::with_room(room(source)))).collect();
    let mut copy = Copied::default();
    let mut pieces = connection.copy_out_raw(&ids.copy()).await?;
    while let Some(piece) = pieces.try_next().await? {
        copy.read(&piece, |source, bytes| {
            if let Some(filter) = filters.get_mut(&source) {
                filter.insert(hash_of(bytes, rows_are_removed));
            }
        });
    }
    drop(pieces);
    sqlx::query(DELETE).bind(segment).execute(&mut *connection).await?;
    for (source, filter) in &filters {
        for (part, data) in (0_i32..).zip(filter.parts(FilterOwner { segment, source: *source })) {
            let insert = sqlx::query(INSERT).bind(segment).bind(source).bind(part).bind(data);
            insert.execute(&mut *connection).await?;
        }
        debug!(segment, source, ids = filter.ids(), "made the filter of a closed segment");
    }
    sqlx::query(RAISE_VERSION).bind(segment).execute(connection).await?;
    Ok(true)
}

/// The ids of a segment in SQL: the keys of removed events, or the codes of the others.
#[derive(Clone, Debug)]
struct IdsOfSegment {
    ids: &'static str,
    table: &'static str,
    segment: i32,
}

impl IdsOfSegment {
    /// Segment 0 has texts in place of codes. Its keys are of ids and not of codes; storing transactions look those up
    /// without a filter.
    fn new(segment: i32, rows_are_removed: bool) -> Self {
        let (ids, table) = match (rows_are_removed, segment) {
            (true, _) => ("key", "event_keys"),
            (false, 0) => ("weir_code(old_event_id)", "events"),
            (false, _) => ("event_code", "events"),
        };
        Self { ids, table, segment }
    }

    fn condition(&self) -> String {
        // The keys of segment 0 are of ids.
        let of_codes = if self.table == "event_keys" { "segment > 0 AND " } else { "" };
        format!("{of_codes}segment = {}", self.segment)
    }

    /// Counts the ids of each source in a sample of the blocks, which are all of a small segment. Returns the share of the
    /// blocks too.
    async fn count(&self, connection: &mut PgConnection) -> Result<(HashMap<i16, i64>, f64), sqlx::Error> {
        let size: Option<i64> = sqlx::query_scalar("SELECT pg_relation_size(to_regclass($1))")
            .bind(format!("{}_{}", self.table, self.segment))
            .fetch_one(&mut *connection)
            .await?;
        let sample = size.map_or(1.0, |size| (COUNTED_BYTES / size.max(1) as f64).min(1.0));
        let count = format!(
            "SELECT source, count(*) FROM {} TABLESAMPLE SYSTEM ({}) WHERE {} GROUP BY source",
            self.table,
            sample * 100.0,
            self.condition()
        );
        let counts: Vec<(i16, i64)> =
            sqlx::query_as(AssertSqlSafe(count)).persistent(false).fetch_all(connection).await?;
        Ok((counts.into_iter().collect(), sample))
    }

    fn copy(&self) -> String {
        format!(
            "COPY (SELECT source, {} FROM {} WHERE {}) TO STDOUT (FORMAT BINARY)",
            self.ids,
            self.table,
            self.condition()
        )
    }
}

/// The room of a filter for the ids of which this share of the blocks has so many. With a few more ids than that, it is a
/// little less sharp.
fn room_for(count: i64, sample: f64) -> u64 {
    let count = count as f64;
    if sample < 1.0 { (count / sample * SPARE).ceil() as u64 + LEAST_ROOM } else { count as u64 }
}

fn hash_of(bytes: &[u8], is_key: bool) -> FilterHash {
    let key = match bytes.try_into() {
        Ok(key) if is_key => EventKey(key),
        _ => EventKey::of_bytes(bytes),
    };
    FilterHash::of_key(&key)
}

/// Reads a copy of sources and ids without nulls, piece by piece.
#[derive(Debug, Default)]
struct Copied {
    header_is_read: bool,
    /// The begin of a row whose end comes with the next piece.
    rest: Vec<u8>,
}

impl Copied {
    /// The signature, the flags and the length of an extension that no server sends.
    const HEADER: usize = 19;

    fn read(&mut self, piece: &[u8], mut row: impl FnMut(i16, &[u8])) {
        self.rest.extend_from_slice(piece);
        let mut unread = self.rest.as_slice();
        if !self.header_is_read {
            let Some(rows) = unread.get(Self::HEADER..) else { return };
            (self.header_is_read, unread) = (true, rows);
        }
        while let Some((source, id, next)) = Self::row(unread) {
            row(source, id);
            unread = next;
        }
        let read = self.rest.len() - unread.len();
        self.rest.drain(..read);
    }

    /// The first row, and what follows it. Before its values it has their number, and before each its length. The
    /// trailer is shorter.
    fn row(bytes: &[u8]) -> Option<(i16, &[u8], &[u8])> {
        let ([_, _, _, _, _, _, source @ .., _, _, _, _], _) = bytes.split_first_chunk::<12>()?;
        let (length, behind) = bytes[8..].split_first_chunk()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
        let (id, next) = behind.split_at_checked(length)?;
        Some((i16::from_be_bytes(*source), id, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counted_sample_leaves_room_for_more_ids() {
        assert_eq!(room_for(1_234, 1.0), 1_234);
        assert_eq!(room_for(0, 0.5), 10_000);
        assert_eq!(room_for(100_000, 0.25), 430_000);
    }

    #[test]
    fn a_copy_is_read_wherever_its_pieces_end() {
        let mut copied = [&b"PGCOPY\n\xff\r\n\0"[..], &[0; 8]].concat();
        let rows = [(1, &b"one"[..]), (2, b""), (515, b"three")];
        for (source, id) in rows {
            copied.extend_from_slice(&[0, 2, 0, 0, 0, 2]);
            copied.extend_from_slice(&i16::to_be_bytes(source));
            copied.extend_from_slice(&[0, 0, 0, id.len() as u8]);
            copied.extend_from_slice(id);
        }
        copied.extend_from_slice(&[0xff, 0xff]);
        for size in 1..=copied.len() {
            let (mut copy, mut read) = (Copied::default(), Vec::new());
            copied
                .chunks(size)
                .for_each(|piece| copy.read(piece, |source, id| read.push((source, id.to_vec()))));
            assert_eq!(read, rows.map(|(source, id)| (source, id.to_vec())), "{size}");
        }
    }
}
