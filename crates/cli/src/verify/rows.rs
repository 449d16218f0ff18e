//! Rows of `stored_events` by the ids of their events. On PostgreSQL an index has the codes of ids, and in segment 0 the
//! ids as text.

use sea_orm::{
    ColumnTrait as _, Condition, DatabaseConnection, DbErr, EntityTrait as _, ExprTrait as _, Order,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, Value},
};
use weir_database::{
    dialect::Dialect,
    entity::events::{Column, Entity, Model},
    id_code::{IdCode, id_of},
};
use weir_event::Source;

/// The number of ids that one query reads.
const IDS: u64 = 10_000;
/// Column of PostgreSQL's view: the code of the id; of segment 0 the id as text.
const EVENT_CODE: &str = "event_code";
const OLD_EVENT_ID: &str = "old_event_id";

/// The rows of a source with these ids.
pub(super) async fn with_ids(
    store: &DatabaseConnection,
    source: Source,
    ids: &[&str],
) -> Result<Vec<Model>, DbErr> {
    let of_source = || Entity::find().filter(Column::Source.eq(source.number()));
    if Dialect::of(store) == Dialect::Sqlite {
        return of_source().filter(Column::EventId.is_in(ids.iter().copied())).all(store).await;
    }
    let codes = ids.iter().map(|id| IdCode::of(id).into_bytes());
    let mut rows = of_source().filter(Expr::col(EVENT_CODE).is_in(codes)).all(store).await?;
    let of_segment_0 = of_source().filter(in_segment_0());
    rows.extend(of_segment_0.filter(Expr::col(OLD_EVENT_ID).is_in(ids.iter().copied())).all(store).await?);
    Ok(rows)
}

fn in_segment_0() -> Condition {
    Condition::all().add(Expr::col("segment").eq(0))
}

/// The ids of a source that begin with a prefix, page by page.
#[derive(Debug)]
pub(super) struct IdPages<'a> {
    store: &'a DatabaseConnection,
    source: Source,
    prefix: String,
    /// The last one is read first.
    spans: Vec<Span>,
}

/// Ids in the order of one column.
#[derive(Clone, Debug)]
struct Span {
    column: &'static str,
    rows: Condition,
    after: Value,
    before: Value,
}

impl<'a> IdPages<'a> {
    /// `prefix` is that of a generated id: the source's prefix, and the first three parts of a UUID.
    pub(super) fn with_prefix(store: &'a DatabaseConnection, source: Source, prefix: &str) -> Self {
        // `~` sorts after every character of an id.
        let end = format!("{prefix}~");
        let of_texts =
            |column, rows| Span { column, rows, after: prefix.into(), before: end.as_str().into() };
        let spans = match Dialect::of(store) {
            Dialect::Sqlite => vec![of_texts("event_id", Condition::all())],
            Dialect::Postgres => {
                let of_codes = |after: Vec<u8>, before: Vec<u8>| Span {
                    column: EVENT_CODE,
                    rows: Condition::all(),
                    after: after.into(),
                    before: before.into(),
                };
                let (first, last) = (code_of(prefix, '0'), code_of(prefix, 'f'));
                vec![
                    of_texts(OLD_EVENT_ID, in_segment_0()),
                    of_codes(prefix.into(), end.clone().into()),
                    // The prefix of the source ends a code.
                    of_codes(first, [last, vec![u8::MAX]].concat()),
                ]
            }
        };
        Self { store, source, prefix: prefix.to_owned(), spans }
    }

    /// The next page; `None` after the last one.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<String>>, DbErr> {
        while let Some(span) = self.spans.last_mut() {
            let page = Entity::find()
                .select_only()
                .filter(Column::Source.eq(self.source.number()))
                .filter(span.rows.clone())
                .filter(Expr::col(span.column).gt(span.after.clone()))
                .filter(Expr::col(span.column).lt(span.before.clone()))
                .order_by(Expr::col(span.column), Order::Asc)
                .limit(IDS)
                .expr_as(Expr::col(span.column), "id");
            let (mut ids, last): (Vec<String>, Option<Value>) = if span.column == EVENT_CODE {
                let codes: Vec<Vec<u8>> = page.into_tuple().all(self.store).await?;
                let ids = codes.iter().filter_map(|code| id_of(code)).collect();
                (ids, codes.last().map(|code| code.as_slice().into()))
            } else {
                let ids: Vec<String> = page.into_tuple().all(self.store).await?;
                let last = ids.last().map(|id| id.as_str().into());
                (ids, last)
            };
            let Some(last) = last else {
                self.spans.pop();
                continue;
            };
            span.after = last;
            ids.retain(|id| id.starts_with(&self.prefix));
            return Ok(Some(ids));
        }
        Ok(None)
    }
}

/// The code of the id with this prefix whose other digits are all `digit`, without the prefix of the source.
fn code_of(prefix: &str, digit: char) -> Vec<u8> {
    let rest: String = "-0000-000000000000".replace('0', &digit.to_string());
    let code = IdCode::of(&format!("{prefix}{rest}")).into_bytes();
    code[..1 + size_of::<u128>()].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::{event_id, id_prefix};

    #[test]
    fn codes_of_a_prefix_lie_between_those_of_its_first_and_last_id() {
        let prefix = id_prefix(Source::Facebook, 7);
        for number in [0, 1, u64::MAX] {
            let code = IdCode::of(&event_id(Source::Facebook, 7, number)).into_bytes();
            assert!(code > code_of(&prefix, '0') && code < [code_of(&prefix, 'f'), vec![u8::MAX]].concat());
        }
    }
}
