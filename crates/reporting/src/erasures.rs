//! The lookup of erasures: their receipts, with counts of rows and dead letters and the time of completion.

use sea_orm::{
    FromQueryResult,
    sea_query::{Expr, ExprTrait as _, Query},
};
use weir::contract::reporting::v1::{ErasureReceipt, GetErasuresRequest, GetErasuresResponse};
use weir_database::entity::erasures::{Column, Entity};

use crate::{
    error::{FieldError, ReportError},
    metrics::ReportType,
    report_query::ReportQuery,
    store::Snapshot,
    time_range::timestamp,
};

/// The most erasures of a request; one statement finds them.
const MAX_ERASURES: usize = 1_000;

/// A request for erasures by id.
#[derive(Debug)]
pub(crate) struct ErasuresQuery {
    ids: Vec<String>,
}

impl ReportQuery for ErasuresQuery {
    type Request = GetErasuresRequest;
    type Response = GetErasuresResponse;
    type Cache = ();
    /// Not measured as a report.
    const REPORT_TYPE: Option<ReportType> = None;

    fn parse(request: GetErasuresRequest) -> Result<Self, ReportError> {
        let ids = request.erasure_ids;
        if (1..=MAX_ERASURES).contains(&ids.len()) {
            return Ok(Self { ids });
        }
        let description = format!("must name 1 to {MAX_ERASURES} erasures, not {}", ids.len());
        Err(ReportError::InvalidRequest(vec![FieldError::new("erasure_ids", description)]))
    }

    async fn answer(self, snapshot: &Snapshot, _: &()) -> Result<GetErasuresResponse, ReportError> {
        let columns = [
            Column::ErasureId,
            Column::Source,
            Column::Suppress,
            Column::RequestedAt,
            Column::CompletedAt,
            Column::Rows,
            Column::DeadLetters,
        ];
        let is_named = Expr::col(Column::ErasureId).is_in(self.ids);
        let select = Query::select().columns(columns).from(Entity).and_where(is_named).take();
        let rows: Vec<Row> = snapshot.all(&select).await?;
        Ok(GetErasuresResponse { erasures: rows.into_iter().map(ErasureReceipt::from).collect() })
    }
}

#[derive(Debug, FromQueryResult)]
struct Row {
    erasure_id: String,
    source: i16,
    suppress: bool,
    requested_at: i64,
    completed_at: Option<i64>,
    rows: Option<i64>,
    dead_letters: Option<i64>,
}

impl From<Row> for ErasureReceipt {
    fn from(row: Row) -> Self {
        let [rows, dead_letters] =
            [row.rows, row.dead_letters].map(|count| count.unwrap_or_default().unsigned_abs());
        Self {
            erasure_id: row.erasure_id,
            source: row.source.into(),
            suppress: row.suppress,
            requested_at: Some(timestamp(row.requested_at)),
            completed_at: row.completed_at.map(timestamp),
            rows,
            dead_letters,
        }
    }
}
