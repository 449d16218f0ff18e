//! The lookup of frames: the accounts that their storing transactions wrote.

use sea_orm::{
    FromQueryResult,
    sea_query::{Expr, ExprTrait as _, Query},
};
use weir::contract::reporting::v1::{FrameAccounts, GetFramesRequest, GetFramesResponse};
use weir_database::entity::frames::{Column, Entity};

use crate::{
    error::{FieldError, ReportError},
    metrics::ReportType,
    report_query::ReportQuery,
    store::Snapshot,
};

/// The most frames of a request; one statement finds them.
const MAX_FRAMES: usize = 1_000;

/// A request for frames by id.
#[derive(Debug)]
pub(crate) struct FramesQuery {
    ids: Vec<String>,
}

impl ReportQuery for FramesQuery {
    type Request = GetFramesRequest;
    type Response = GetFramesResponse;
    type Cache = ();
    /// Not measured as a report.
    const REPORT_TYPE: Option<ReportType> = None;

    fn parse(request: GetFramesRequest) -> Result<Self, ReportError> {
        let ids = request.frame_ids;
        if (1..=MAX_FRAMES).contains(&ids.len()) {
            return Ok(Self { ids });
        }
        let description = format!("must name 1 to {MAX_FRAMES} frames, not {}", ids.len());
        Err(ReportError::InvalidRequest(vec![FieldError::new("frame_ids", description)]))
    }

    async fn answer(self, snapshot: &Snapshot, _: &()) -> Result<GetFramesResponse, ReportError> {
        let columns = [Column::FrameId, Column::Source, Column::Stored, Column::Duplicate, Column::Parked];
        let is_named = Expr::col(Column::FrameId).is_in(self.ids);
        let select = Query::select().columns(columns).from(Entity).and_where(is_named).take();
        let rows: Vec<Row> = snapshot.all(&select).await?;
        Ok(GetFramesResponse { frames: rows.into_iter().map(FrameAccounts::from).collect() })
    }
}

#[derive(Debug, FromQueryResult)]
struct Row {
    frame_id: String,
    source: i16,
    stored: i64,
    duplicate: i64,
    parked: i64,
}

impl From<Row> for FrameAccounts {
    fn from(row: Row) -> Self {
        let [stored, duplicate, parked] = [row.stored, row.duplicate, row.parked].map(i64::unsigned_abs);
        Self { frame_id: row.frame_id, source: row.source.into(), stored, duplicate, parked }
    }
}
