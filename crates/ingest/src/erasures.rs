//! The RPC that requests a person's erasure. The request goes into the journal, in order with the person's events. No
//! log line and no response contains the person's id.

use chrono::Utc;
use tonic::{Request, Response, Status};
use tracing::{info, warn};
use weir::contract::{
    ingest::v1::{ErasePersonRequest, ErasePersonResponse, erasure_service_server::ErasureService},
    timestamp,
};
use weir_event::{Origin, check_text};
use weir_journal::{Erasure, Journal};
use weir_process::{CallContext, OperatorAccess};

use crate::{publish::append_error, request};

/// Handles the calls of `ErasureService`.
#[derive(Debug)]
pub(crate) struct ErasureHandler {
    pub(crate) journal: Journal,
    pub(crate) access: OperatorAccess,
}

#[tonic::async_trait]
impl ErasureService for ErasureHandler {
    async fn erase_person(
        &self,
        request: Request<ErasePersonRequest>,
    ) -> Result<Response<ErasePersonResponse>, Status> {
        self.access.check(request.metadata())?;
        let call = CallContext::from_metadata(request.metadata());
        let erasure = check(request.into_inner(), Origin::of_call(call, Utc::now()))?;
        let (erasure_id, source) = (erasure.id.as_str(), erasure.source);
        if let Err(error) = self.journal.append(&[erasure.seal()]).await {
            warn!(erasure_id, %source, %error, "erasure is not durable");
            return Err(append_error(&error));
        }
        info!(erasure_id, %source, suppress = erasure.suppress, "erasure requested");
        let requested_at = Some(timestamp(erasure.requested_at));
        Ok(Response::new(ErasePersonResponse { erasure_id: erasure.id, requested_at }))
    }
}

/// # Errors
/// INVALID_ARGUMENT that names the field and the rule.
fn check(request: ErasePersonRequest, origin: Origin) -> Result<Erasure, Status> {
    let source = request::source(request.source)?;
    check_text(&request.user_id).map_err(|rule| request::invalid("user_id", &rule))?;
    Ok(Erasure::new(source, request.user_id, request.suppress, origin))
}
