//! Whether one event is stored, or was: no report, and asked by identity and not by time.

use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{Expr, ExprTrait as _, Query, SelectStatement},
};
use sha2::{Digest as _, Sha256};
use weir::contract::{
    event::v1::Source,
    reporting::v1::{FindEventRequest, FindEventResponse, RemovedEvent, StoredEvent},
};
use weir_database::entity::{duplicates, event_keys, events};

use crate::{
    error::ReportError,
    metrics::ReportType,
    report::{Question, Reader},
    store::Snapshot,
    time_range,
};

/// How much of the hash of an event's id is kept of a removed event.
const KEY_BYTES: usize = 16;

/// By identity.
#[derive(Debug)]
pub(crate) struct WhereaboutsQuestion {
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
}

#[derive(FromQueryResult)]
struct KeyRow {
    arrived_at: i64,
}

#[derive(FromQueryResult)]
struct DuplicatesRow {
    times: i64,
}

impl Question for WhereaboutsQuestion {
    type Request = FindEventRequest;
    type Answer = FindEventResponse;
    const REPORT_TYPE: Option<ReportType> = None;

    fn read(request: FindEventRequest) -> Result<Self, ReportError> {
        let mut reader = Reader::default();
        let question = Self { source: reader.required_source(request.source), event_id: request.event_id };
        reader.finish(question)
    }

    async fn answer(self, snapshot: &Snapshot) -> Result<FindEventResponse, ReportError> {
        // No stored event has such an id, and PostgreSQL does not even take a NUL to compare with.
        if self.event_id.contains('\0') {
            return Ok(FindEventResponse::default());
        }
        let stored = self.stored(snapshot).await?;
        let removed = if stored.is_none() { self.removed(snapshot).await? } else { None };
        Ok(FindEventResponse { stored, removed })
    }
}

impl WhereaboutsQuestion {
    async fn stored(&self, snapshot: &Snapshot) -> Result<Option<StoredEvent>, DbErr> {
        let Some(row) = snapshot.all::<EventRow>(&self.event()).await?.pop() else { return Ok(None) };
        let duplicates = snapshot.all::<DuplicatesRow>(&self.duplicates()).await?.pop();
        Ok(Some(row.with(duplicates.map_or(0, |row| row.times.unsigned_abs()))))
    }

    async fn removed(&self, snapshot: &Snapshot) -> Result<Option<RemovedEvent>, DbErr> {
        let row = snapshot.all::<KeyRow>(&self.key()).await?.pop();
        Ok(row.map(|row| RemovedEvent { arrived_at: Some(time_range::timestamp(row.arrived_at)) }))
    }

    /// What is left of an event after its time.
    fn key(&self) -> SelectStatement {
        use event_keys::Column;
        let hash = Sha256::digest(&self.event_id);
        Query::select()
            .column(Column::ArrivedAt)
            .from(event_keys::Entity)
            .and_where(Expr::col(Column::Source).eq(self.source_number()))
            .and_where(Expr::col(Column::Key).eq(hash[..KEY_BYTES].to_vec()))
            .take()
    }

    fn event(&self) -> SelectStatement {
        use events::Column;
        Query::select()
            .columns([
                Column::ArrivedAt,
                Column::StoredAt,
                Column::CorrelationId,
                Column::Traceparent,
                Column::FrameId,
            ])
            .from(events::Entity)
            .and_where(Expr::col(Column::Source).eq(self.source_number()))
            .and_where(Expr::col(Column::EventId).eq(self.event_id.as_str()))
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

impl EventRow {
    fn with(self, duplicates: u64) -> StoredEvent {
        StoredEvent {
            arrived_at: Some(time_range::timestamp(self.arrived_at)),
            stored_at: Some(time_range::timestamp(self.stored_at)),
            correlation_id: self.correlation_id,
            trace_id: self.traceparent.as_deref().and_then(trace_id).unwrap_or_default().to_owned(),
            frame_id: self.frame_id,
            duplicates,
        }
    }
}

/// The second part of a `traceparent`.
fn trace_id(traceparent: &str) -> Option<&str> {
    traceparent.split('-').nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_id_is_the_second_part() {
        let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(trace_id(traceparent), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        assert_eq!(trace_id(""), None);
    }

    #[test]
    fn a_source_must_be_named() {
        let request = FindEventRequest { source: 0, event_id: "a".into() };
        let Err(ReportError::Question(faults)) = WhereaboutsQuestion::read(request) else {
            panic!("it is read")
        };
        assert_eq!(faults[0].field, "source");
    }
}
