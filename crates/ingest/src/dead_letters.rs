//! The rpcs over dead letters: look at them, send them through the gate again, throw them away.

mod discard;
mod field_errors;
mod filter;
mod groups;
mod letter;
mod redrive;
mod revalidate;
mod scan;
mod selection;
mod stream;

use tonic::{Request, Response, Status};
use tracing::Instrument as _;
use weir::contract::ingest::v1::{
    DiscardDeadLettersRequest, DiscardDeadLettersResponse, GetDeadLetterRequest, GetDeadLetterResponse,
    GroupDeadLettersRequest, GroupDeadLettersResponse, ListDeadLettersRequest, ListDeadLettersResponse,
    RedriveDeadLettersRequest, RedriveDeadLettersResponse, dead_letter_service_server::DeadLetterService,
};
use weir_journal::Journal;
use weir_process::{OperatorAccess, Stop};

use self::{
    discard::Discard,
    field_errors::{Faults, unreadable},
    filter::Filter,
    letter::LetterId,
    redrive::Redrive,
    scan::Walk,
    stream::{AnswerStream, Answers},
};
use crate::publish::Publisher;

const DEFAULT_PAGE: u32 = 100;
const MAX_PAGE: u32 = 1_000;
/// Letters that one call looks at: a filter that matches few answers in time all the same, with a short page.
const MOST_LOOKED_AT: usize = 20_000;

/// Answers the rpcs.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    pub(crate) publisher: Publisher,
    pub(crate) access: OperatorAccess,
    pub(crate) stop: Stop,
}

#[tonic::async_trait]
impl DeadLetterService for DeadLetters {
    type RedriveDeadLettersStream = AnswerStream<RedriveDeadLettersResponse>;
    type DiscardDeadLettersStream = AnswerStream<DiscardDeadLettersResponse>;

    async fn group_dead_letters(
        &self,
        request: Request<GroupDeadLettersRequest>,
    ) -> Result<Response<GroupDeadLettersResponse>, Status> {
        self.access.check(request.metadata())?;
        let mut faults = Faults::default();
        let filter = Filter::read(request.into_inner().filter, &mut faults);
        faults.into_result()?;
        let walk = Walk::start(self.journal(), filter, None).await.map_err(unreadable)?;
        groups::group(walk).await.map(Response::new).map_err(unreadable)
    }

    async fn list_dead_letters(
        &self,
        request: Request<ListDeadLettersRequest>,
    ) -> Result<Response<ListDeadLettersResponse>, Status> {
        self.access.check(request.metadata())?;
        let request = request.into_inner();
        let mut faults = Faults::default();
        let filter = Filter::read(request.filter, &mut faults);
        let cursor = selection::read_cursor("page_token", &request.page_token, &mut faults);
        let size = if request.page_size == 0 { DEFAULT_PAGE } else { request.page_size };
        if size > MAX_PAGE {
            faults.add::<()>("page_size", format!("must be at most {MAX_PAGE}"));
        }
        faults.into_result()?;
        let walk = Walk::start(self.journal(), filter, cursor).await.map_err(unreadable)?;
        page(walk, size as usize).await.map(Response::new)
    }

    async fn get_dead_letter(
        &self,
        request: Request<GetDeadLetterRequest>,
    ) -> Result<Response<GetDeadLetterResponse>, Status> {
        self.access.check(request.metadata())?;
        let mut faults = Faults::default();
        let id = LetterId::parse(&request.into_inner().id)
            .or_else(|| faults.add("id", "must be such as rejected-17 or parked-3"));
        faults.into_result()?;
        let absent = || Status::not_found("there is no such dead letter, or none any more");
        let LetterId { graveyard, sequence } = id.ok_or_else(absent)?;
        let stored = self.publisher.journal.dead_letter(graveyard, sequence).await.map_err(unreadable)?;
        let stored = stored.ok_or_else(absent)?;
        let letter = letter::letter(graveyard, &stored);
        let letter = weir::contract::ingest::v1::DeadLetter { raw: stored.letter.raw.to_vec(), ..letter };
        Ok(Response::new(GetDeadLetterResponse { letter: Some(letter) }))
    }

    async fn redrive_dead_letters(
        &self,
        request: Request<RedriveDeadLettersRequest>,
    ) -> Result<Response<Self::RedriveDeadLettersStream>, Status> {
        self.access.check(request.metadata())?;
        let redrive = Redrive::read(request.into_inner())?;
        let (answers, stream) = Answers::new(self.stop.clone());
        let publisher = self.publisher.clone();
        let work = async move {
            let ended = redrive.run(&publisher, &answers).await;
            answers.end(ended).await;
        };
        tokio::spawn(work.in_current_span());
        Ok(Response::new(stream))
    }

    async fn discard_dead_letters(
        &self,
        request: Request<DiscardDeadLettersRequest>,
    ) -> Result<Response<Self::DiscardDeadLettersStream>, Status> {
        self.access.check(request.metadata())?;
        let discard = Discard::read(request.into_inner())?;
        let (answers, stream) = Answers::new(self.stop.clone());
        let journal = self.journal();
        let work = async move {
            let ended = discard.run(&journal, &answers).await;
            answers.end(ended).await;
        };
        tokio::spawn(work.in_current_span());
        Ok(Response::new(stream))
    }
}

impl DeadLetters {
    fn journal(&self) -> Journal {
        self.publisher.journal.clone()
    }
}

/// Goes on until the page is full, the walk ends, or enough was looked at.
async fn page(mut walk: Walk, size: usize) -> Result<ListDeadLettersResponse, Status> {
    let mut letters = Vec::new();
    let mut looked_at = 0;
    while letters.len() < size && looked_at < MOST_LOOKED_AT {
        let wanted = size - letters.len();
        let Some(found) = walk.next(wanted).await.map_err(unreadable)? else {
            return Ok(ListDeadLettersResponse { letters, next_page_token: String::new() });
        };
        looked_at += wanted;
        letters.extend(found.iter().map(|(id, stored)| letter::letter(id.graveyard, stored)));
    }
    let next_page_token = walk.cursor().map(|cursor| cursor.to_string()).unwrap_or_default();
    Ok(ListDeadLettersResponse { letters, next_page_token })
}
