//! `COPY` of many rows in PostgreSQL's binary format. Rows are sent in pieces, so that the server stores the first ones
//! while the client encodes the next ones.
//!
//! The section "Binary Format" of <https://www.postgresql.org/docs/current/sql-copy.html> documents the format.

use sqlx::{
    Encode, PgConnection, Postgres,
    encode::IsNull,
    postgres::{PgArgumentBuffer, PgCopyIn},
};

/// The signature, no flags, and no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Ends the data, in the place of a tuple's number of columns.
const TRAILER: i16 = -1;
/// Marks NULL, in the place of a value's length.
const NULL: i32 = -1;
/// The size at which a piece is sent, in bytes: a few hundred rows of events.
const PIECE_BYTES: usize = 128 * 1024;

/// A row that `COPY` can send.
pub(super) trait CopyRow {
    /// Pushes all columns, in the statement's order.
    ///
    /// # Errors
    /// A value is too long for PostgreSQL.
    fn copy_into(&self, tuple: &mut Tuple<'_>) -> Result<(), sqlx::Error>;
}

/// A row that is being encoded.
#[derive(Debug)]
pub(super) struct Tuple<'a> {
    buffer: &'a mut PgArgumentBuffer,
    /// The offset of its number of columns.
    start: usize,
    columns: i16,
}

impl<'a> Tuple<'a> {
    fn begin(buffer: &'a mut PgArgumentBuffer) -> Self {
        let start = buffer.len();
        buffer.extend_from_slice(&0_i16.to_be_bytes());
        Self { buffer, start, columns: 0 }
    }

    /// Appends the value of the next column.
    ///
    /// # Errors
    /// The value is too long for PostgreSQL.
    pub(super) fn push<'q>(&mut self, value: impl Encode<'q, Postgres>) -> Result<(), sqlx::Error> {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&NULL.to_be_bytes());
        if let IsNull::No = value.encode_by_ref(self.buffer).map_err(sqlx::Error::Encode)? {
            let length = self.buffer.len() - start - size_of_val(&NULL);
            let length = i32::try_from(length).map_err(|error| sqlx::Error::Encode(error.into()))?;
            put(self.buffer, start, length.to_be_bytes());
        }
        self.columns += 1;
        Ok(())
    }

    fn end(self) {
        put(self.buffer, self.start, self.columns.to_be_bytes());
    }
}

fn put<const N: usize>(buffer: &mut PgArgumentBuffer, at: usize, bytes: [u8; N]) {
    buffer[at..][..N].copy_from_slice(&bytes);
}

/// Runs a `COPY … FROM STDIN (FORMAT BINARY)` and returns the result of `meanwhile`, which runs while PostgreSQL stores
/// the rows.
///
/// # Errors
/// Those of an `INSERT` of the same rows. No row is stored then, and the transaction has failed.
pub(super) async fn copy<T>(
    connection: &mut PgConnection,
    statement: &str,
    rows: impl ExactSizeIterator<Item = impl CopyRow>,
    meanwhile: impl FnOnce() -> T,
) -> Result<T, sqlx::Error> {
    if rows.len() == 0 {
        return Ok(meanwhile());
    }
    let mut copying = connection.copy_in_raw(statement).await?;
    if let Err(error) = send(&mut copying, rows).await {
        copying.abort("the rows could not be sent").await?;
        return Err(error);
    }
    let result = meanwhile();
    copying.finish().await?;
    Ok(result)
}

async fn send(
    copying: &mut PgCopyIn<&mut PgConnection>,
    rows: impl Iterator<Item = impl CopyRow>,
) -> Result<(), sqlx::Error> {
    let mut buffer = PgArgumentBuffer::default();
    buffer.extend_from_slice(HEADER);
    for row in rows {
        let mut tuple = Tuple::begin(&mut buffer);
        row.copy_into(&mut tuple)?;
        tuple.end();
        if buffer.len() >= PIECE_BYTES {
            copying.send(buffer.as_slice()).await?;
            buffer.clear();
        }
    }
    buffer.extend_from_slice(&TRAILER.to_be_bytes());
    copying.send(buffer.as_slice()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tuple_has_its_number_of_columns_and_null_has_no_length() {
        let mut buffer = PgArgumentBuffer::default();
        let mut tuple = Tuple::begin(&mut buffer);
        tuple.push(2_i16).unwrap();
        tuple.push(None::<&str>).unwrap();
        tuple.push(Some("é")).unwrap();
        tuple.end();
        let expected: &[u8] = &[0, 3, 0, 0, 0, 2, 0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 2, 0xc3, 0xa9];
        assert_eq!(buffer.as_slice(), expected);
    }
}
