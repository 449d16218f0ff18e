//! The RPCs of `DeadLetterService`: list dead letters, send them through the gate again, or discard them.

mod discard;
mod field_errors;
mod filter;
mod groups;
mod letter;
mod redrive;
mod responses;
mod revalidate;
mod scan;
mod selection;

use tonic::{Request, Response, Status};
use tracing::Instrument as _;
use weir::contract::ingest::v1::{
    DiscardDeadLettersRequest, DiscardDeadLettersResponse, GetDeadLetterRequest, GetDeadLetterResponse,
    GroupDeadLettersRequest, GroupDeadLettersResponse, ListDeadLettersRequest, ListDeadLettersResponse,
    RedriveDeadLettersRequest, RedriveDeadLettersResponse, dead_letter_service_server::DeadLetterService,
};
use weir_event::EventMetrics;
use weir_journal::Journal;
use weir_process::{OperatorAccess, Stop};

use self::{
    discard::Discard,
    field_errors::{FieldErrors, journal_error},
    filter::Filter,
    letter::LetterId,
    redrive::Redrive,
    responses::{ResponseSender, ResponseStream},
    scan::Scan,
};

/// Letters of a page whose request names no size.
const DEFAULT_PAGE: u32 = 100;
/// The most letters of a page.
const MAX_PAGE: u32 = 1_000;
/// The most letters that one call reads. With a filter that matches few letters, the call then returns a short page in
/// time.
const MAX_READ: usize = 20_000;

/// Handles the calls of `DeadLetterService`.
#[derive(Debug)]
pub(crate) struct DeadLetterHandler {
    pub(crate) journal: Journal,
    pub(crate) metrics: EventMetrics,
    pub(crate) access: OperatorAccess,
    pub(crate) stop: Stop,
}

#[tonic::async_trait]
impl DeadLetterService for DeadLetterHandler {
    type RedriveDeadLettersStream = ResponseStream<RedriveDeadLettersResponse>;
    type DiscardDeadLettersStream = ResponseStream<DiscardDeadLettersResponse>;

    async fn group_dead_letters(
        &self,
        request: Request<GroupDeadLettersRequest>,
    ) -> Result<Response<GroupDeadLettersResponse>, Status> {
        self.access.check(request.metadata())?;
        let mut errors = FieldErrors::default();
        let filter = Filter::check(request.into_inner().filter, &mut errors);
        errors.into_result()?;
        let scan = Scan::start(self.journal.clone(), filter, None).await.map_err(journal_error)?;
        groups::group(scan).await.map(Response::new).map_err(journal_error)
    }

    async fn list_dead_letters(
        &self,
        request: Request<ListDeadLettersRequest>,
    ) -> Result<Response<ListDeadLettersResponse>, Status> {
        self.access.check(request.metadata())?;
        let request = request.into_inner();
        let mut errors = FieldErrors::default();
        let filter = Filter::check(request.filter, &mut errors);
        let cursor = selection::parse_cursor("page_token", &request.page_token, &mut errors);
        let size = if request.page_size == 0 { DEFAULT_PAGE } else { request.page_size };
        if size > MAX_PAGE {
            errors.add::<()>("page_size", format!("must be at most {MAX_PAGE}"));
        }
        errors.into_result()?;
        let scan = Scan::start(self.journal.clone(), filter, cursor).await.map_err(journal_error)?;
        page(scan, size as usize).await.map(Response::new)
    }

    async fn get_dead_letter(
        &self,
        request: Request<GetDeadLetterRequest>,
    ) -> Result<Response<GetDeadLetterResponse>, Status> {
        self.access.check(request.metadata())?;
        let mut errors = FieldErrors::default();
        let id = LetterId::parse(&request.into_inner().id)
            .or_else(|| errors.add("id", "must be such as rejected-17 or parked-3"));
        errors.into_result()?;
        let absent = || Status::not_found("there is no such dead letter, or it was removed");
        let LetterId { stream, sequence } = id.ok_or_else(absent)?;
        let stored = self.journal.dead_letter(stream, sequence).await.map_err(journal_error)?;
        let stored = stored.ok_or_else(absent)?;
        let letter = letter::message(stream, &stored);
        let letter = weir::contract::ingest::v1::DeadLetter { raw: stored.letter.raw.to_vec(), ..letter };
        Ok(Response::new(GetDeadLetterResponse { letter: Some(letter) }))
    }

    async fn redrive_dead_letters(
        &self,
        request: Request<RedriveDeadLettersRequest>,
    ) -> Result<Response<Self::RedriveDeadLettersStream>, Status> {
        self.access.check(request.metadata())?;
        let redrive = Redrive::check(request.into_inner())?;
        let (responses, stream) = ResponseSender::new(self.stop.clone());
        let (journal, metrics) = (self.journal.clone(), self.metrics.clone());
        let work = async move {
            let result = redrive.run(&journal, &metrics, &responses).await;
            responses.end(result).await;
        };
        tokio::spawn(work.in_current_span());
        Ok(Response::new(stream))
    }

    async fn discard_dead_letters(
        &self,
        request: Request<DiscardDeadLettersRequest>,
    ) -> Result<Response<Self::DiscardDeadLettersStream>, Status> {
        self.access.check(request.metadata())?;
        let discard = Discard::check(request.into_inner())?;
        let (responses, stream) = ResponseSender::new(self.stop.clone());
        let journal = self.journal.clone();
        let work = async move {
            let result = discard.run(&journal, &responses).await;
            responses.end(result).await;
        };
        tokio::spawn(work.in_current_span());
        Ok(Response::new(stream))
    }
}

/// Reads on until the page is full, the scan ends, or the call has read its most letters.
async fn page(mut scan: Scan, size: usize) -> Result<ListDeadLettersResponse, Status> {
    let mut letters = Vec::new();
    let mut read = 0;
    while letters.len() < size && read < MAX_READ {
        let wanted = size - letters.len();
        let Some(found) = scan.next(wanted).await.map_err(journal_error)? else {
            return Ok(ListDeadLettersResponse { letters, next_page_token: String::new() });
        };
        read += wanted;
        letters.extend(found.iter().map(|(id, stored)| letter::message(id.stream, stored)));
    }
    let next_page_token = scan.cursor().map(|cursor| cursor.to_string()).unwrap_or_default();
    Ok(ListDeadLettersResponse { letters, next_page_token })
}
