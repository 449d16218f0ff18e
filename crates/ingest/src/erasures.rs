//! The rpc that asks for a person's erasure: into the journal, where it takes its place among the person's events.
//! Nothing here logs or repeats who the person is.

use chrono::Utc;
use prost_types::Timestamp;
use tonic::{Request, Response, Status};
use tracing::{info, warn};
use weir::contract::ingest::v1::{
    ErasePersonRequest, ErasePersonResponse, erasure_service_server::ErasureService,
};
use weir_event::{Origin, check_text};
use weir_journal::{Erasure, Journal};
use weir_process::{CallContext, OperatorAccess};

use crate::{publish::refusal, request};

/// Answers the rpc.
#[derive(Debug)]
pub(crate) struct Erasures {
    pub(crate) journal: Journal,
    pub(crate) access: OperatorAccess,
}

#[tonic::async_trait]
impl ErasureService for Erasures {
    async fn erase_person(
        &self,
        request: Request<ErasePersonRequest>,
    ) -> Result<Response<ErasePersonResponse>, Status> {
        self.access.check(request.metadata())?;
        let call = CallContext::from_metadata(request.metadata());
        let erasure = read(request.into_inner(), Origin::of_call(call, Utc::now()))?;
        let (erasure_id, source) = (erasure.id.as_str(), erasure.source);
        if let Err(error) = self.journal.append(&[erasure.seal()]).await {
            warn!(erasure_id, %source, %error, "an erasure is not durable");
            return Err(refusal(&error));
        }
        info!(erasure_id, %source, suppress = erasure.suppress, "an erasure is asked for");
        let requested_at = Some(timestamp(&erasure));
        Ok(Response::new(ErasePersonResponse { erasure_id: erasure.id, requested_at }))
    }
}

fn read(request: ErasePersonRequest, origin: Origin) -> Result<Erasure, Status> {
    let source = request::source(request.source)?;
    check_text(&request.user_id).map_err(|rule| request::invalid("user_id", &rule))?;
    Ok(Erasure::new(source, request.user_id, request.suppress, origin))
}

fn timestamp(erasure: &Erasure) -> Timestamp {
    let nanos = i32::try_from(erasure.requested_at.timestamp_subsec_nanos()).unwrap_or_default();
    Timestamp { seconds: erasure.requested_at.timestamp(), nanos }
}
