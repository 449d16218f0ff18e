//! The lookup of one event by its identity: stored, removed by retention, or unknown.

use prost::Message as _;
use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{Expr, ExprTrait as _, Query, SelectStatement},
};
use weir::contract::{
    event::v1::{self, Source},
    reporting::v1::{FindEventRequest, FindEventResponse, RemovedEvent, StoredEvent},
};
use weir_database::{
    dialect::Dialect,
    entity::{duplicates, event_keys, events, frame_origins},
    event_key::EventKey,
    id_code::IdCode,
};

use crate::{
    error::ReportError,
    metrics::ReportType,
    report_query::{ReportQuery, RequestParser},
    store::Snapshot,
    time_range::timestamp,
};

/// A request for one event.
#[derive(Debug)]
pub(crate) struct FindEventQuery {
    source: Option<Source>,
    event_id: String,
}

#[derive(FromQueryResult)]
struct EventRow {
    arrived_at: i64,
    stored_at: i64,
    correlation_id: String,
    traceparent: Option<String>,
    frame_id: String,
    frame_number: Option<i64>,
    origin: Option<i32>,
}

#[derive(FromQueryResult)]
struct FrameRow {
    frame_id: String,
    data: Vec<u8>,
}

#[derive(FromQueryResult)]
struct KeyRow {
    arrived_at: i64,
}

#[derive(FromQueryResult)]
struct DuplicatesRow {
    times: i64,
}

impl ReportQuery for FindEventQuery {
    type Request = FindEventRequest;
    type Response = FindEventResponse;
    type Cache = ();
    /// Not measured as a report.
    const REPORT_TYPE: Option<ReportType> = None;

    fn parse(request: FindEventRequest) -> Result<Self, ReportError> {
        let mut parser = RequestParser::default();
        let report = Self { source: parser.required_source(request.source), event_id: request.event_id };
        parser.finish(report)
    }

    async fn answer(self, snapshot: &Snapshot, _: &()) -> Result<FindEventResponse, ReportError> {
        // No stored event has such an id, and PostgreSQL does not even compare with a NUL.
        if self.event_id.contains('\0') {
            return Ok(FindEventResponse::default());
        }
        let stored = self.stored(snapshot).await?;
        let removed = if stored.is_none() { self.removed(snapshot).await? } else { None };
        Ok(FindEventResponse { stored, removed })
    }
}

impl FindEventQuery {
    async fn stored(&self, snapshot: &Snapshot) -> Result<Option<StoredEvent>, DbErr> {
        let Some(row) = self.row(snapshot).await? else { return Ok(None) };
        let duplicates = snapshot.all::<DuplicatesRow>(&self.duplicates()).await?.pop();
        let row = row.with_origin(snapshot).await?;
        Ok(Some(row.with(duplicates.map_or(0, |row| row.times.unsigned_abs()))))
    }

    /// On PostgreSQL by the code of the id. Segment 0 has ids as text.
    async fn row(&self, snapshot: &Snapshot) -> Result<Option<EventRow>, DbErr> {
        let id = self.event_id.as_str();
        let by_id: Vec<Expr> = match snapshot.dialect() {
            Dialect::Sqlite => vec![Expr::col(events::Column::EventId).eq(id)],
            Dialect::Postgres => vec![
                Expr::col("event_code").eq(IdCode::of(id).into_bytes()),
                Expr::col("segment").eq(0).and(Expr::col("old_event_id").eq(id)),
            ],
        };
        for is_event in by_id {
            let row = snapshot.all::<EventRow>(&self.event(is_event)).await?.pop();
            if row.is_some() {
                return Ok(row);
            }
        }
        Ok(None)
    }

    async fn removed(&self, snapshot: &Snapshot) -> Result<Option<RemovedEvent>, DbErr> {
        let row = snapshot.all::<KeyRow>(&self.key()).await?.pop();
        Ok(row.map(|row| RemovedEvent { arrived_at: Some(timestamp(row.arrived_at)) }))
    }

    /// The key that stays of an event when retention removes its row.
    fn key(&self) -> SelectStatement {
        use event_keys::Column;
        let keys = EventKey::all_of(&self.event_id);
        Query::select()
            .column(Column::ArrivedAt)
            .from(event_keys::Entity)
            .and_where(Expr::col(Column::Source).eq(self.source_number()))
            .and_where(Expr::col(Column::Key).is_in(keys.map(|EventKey(key)| key.to_vec())))
            .take()
    }

    fn event(&self, is_event: Expr) -> SelectStatement {
        use events::Column;
        Query::select()
            .columns([
                Column::ArrivedAt,
                Column::StoredAt,
                Column::CorrelationId,
                Column::Traceparent,
                Column::FrameId,
                Column::FrameNumber,
                Column::Origin,
            ])
            .from(events::Entity)
            .and_where(Expr::col(Column::Source).eq(self.source_number()))
            .and_where(is_event)
            .take()
    }

    fn duplicates(&self) -> SelectStatement {
        use duplicates::Column;
        Query::select()
            .column(Column::Times)
            .from(duplicates::Entity)
            .and_where(Expr::col(Column::Source).eq(self.source_number()))
            .and_where(Expr::col(Column::EventId).eq(self.event_id.as_str()))
            .take()
    }

    fn source_number(&self) -> i32 {
        self.source.unwrap_or_default().into()
    }
}

/// The frame with this number in `frame_origins`.
fn frame(number: i64) -> SelectStatement {
    use frame_origins::Column;
    Query::select()
        .columns([Column::FrameId, Column::Data])
        .from(frame_origins::Entity)
        .and_where(Expr::col(Column::Number).eq(number))
        .take()
}

impl EventRow {
    /// The row with the texts of its frame and its origin, which rows from before migration 16 have themselves.
    async fn with_origin(self, snapshot: &Snapshot) -> Result<Self, DbErr> {
        let Some(number) = self.frame_number else { return Ok(self) };
        let Some(FrameRow { frame_id, data }) = snapshot.all(&frame(number)).await?.pop() else {
            return Ok(self);
        };
        let frame = v1::Frame::decode(data.as_slice()).map_err(|error| DbErr::Custom(error.to_string()))?;
        let index = self.origin.and_then(|index| usize::try_from(index).ok());
        let origin = index.and_then(|index| frame.origins.into_iter().nth(index)).unwrap_or_default();
        let traceparent = Some(origin.traceparent);
        Ok(Self { frame_id, correlation_id: origin.correlation_id, traceparent, ..self })
    }

    fn with(self, duplicates: u64) -> StoredEvent {
        StoredEvent {
            arrived_at: Some(timestamp(self.arrived_at)),
            stored_at: Some(timestamp(self.stored_at)),
            correlation_id: self.correlation_id,
            trace_id: self.traceparent.as_deref().and_then(trace_id).unwrap_or_default().to_owned(),
            frame_id: self.frame_id,
            duplicates,
        }
    }
}

/// The trace id in a `traceparent`, which is its second part.
fn trace_id(traceparent: &str) -> Option<&str> {
    traceparent.split('-').nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_id_is_the_second_part_of_a_traceparent() {
        let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(trace_id(traceparent), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        assert_eq!(trace_id(""), None);
    }

    #[test]
    fn a_request_without_a_source_is_invalid() {
        let request = FindEventRequest { source: 0, event_id: "a".into() };
        let Err(ReportError::InvalidRequest(errors)) = FindEventQuery::parse(request) else {
            panic!("the request is valid")
        };
        assert_eq!(errors[0].field, "source");
    }
}
