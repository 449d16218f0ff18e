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

/// Makes the filters of the newest segment without them, one for each source, in the transaction of this connection.
/// Returns false where no segment is without.
pub(super) async fn make_next(connection: &mut PgConnection, sources: &[i16]) -> Result<bool, sqlx::Error> {
    let missing: Option<(i32, bool)> =
        sqlx::query_as(MISSING).bind(sources).fetch_optional(&mut *connection).await?;
    let Some((segment, rows_are_removed)) = missing else { return Ok(false) };
    let ids = IdsOfSegment::new(segment, rows_are_removed);
    let numbers: Vec<(i16, i64)> =
        sqlx::query_as(AssertSqlSafe(ids.count())).persistent(false).fetch_all(&mut *connection).await?;
    let numbers: HashMap<i16, i64> = numbers.into_iter().collect();
    let room = |source: &i16| numbers.get(source).map_or(0, |number| number.unsigned_abs());
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
    rows: String,
}

impl IdsOfSegment {
    /// Segment 0 has texts in place of codes. Its keys are of ids and not of codes; storing transactions look those up
    /// without a filter.
    fn new(segment: i32, rows_are_removed: bool) -> Self {
        let (ids, table) = match (rows_are_removed, segment) {
            (true, _) => ("key", "event_keys WHERE segment > 0 AND"),
            (false, 0) => ("weir_code(old_event_id)", "events WHERE"),
            (false, _) => ("event_code", "events WHERE"),
        };
        Self { ids, rows: format!("{table} segment = {segment}") }
    }

    fn count(&self) -> String {
        format!("SELECT source, count(*) FROM {} GROUP BY source", self.rows)
    }

    fn copy(&self) -> String {
        format!("COPY (SELECT source, {} FROM {}) TO STDOUT (FORMAT BINARY)", self.ids, self.rows)
    }
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
