//! `weir erase`: removes a person from the stored data, and prints a receipt. Only the request identifies the
//! person; no error message and no receipt repeats it.

mod args;
mod receipt;

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
pub(crate) use args::EraseArgs;
use args::{EraseAction, EraseOptions};
use receipt::Receipt;
use tokio::time::Instant;
use tonic::transport::Channel;
use weir::contract::{
    ingest::v1::{ErasePersonRequest, erasure_service_client::ErasureServiceClient},
    reporting::v1::{ErasureReceipt, GetErasuresRequest, reporting_service_client::ReportingServiceClient},
};
use weir_process::{exit_code, retry::Retry};

use crate::{
    client::{GrpcServers, OperatorClient},
    exit::{CommandError, CommandResult},
    output::{print_json, print_page},
    wait::with_wait_notice,
};

/// The pause between requests for an erasure that is not complete yet.
const POLL_EVERY: Duration = Duration::from_millis(200);

/// The context of an error that makes a receipt incomplete.
const UNKNOWN_PROGRESS: &str = "the progress of the erasure is unknown";

/// Requests an erasure, or only its progress, and waits until it is complete.
pub(crate) async fn run(args: EraseArgs) -> CommandResult {
    let EraseOptions { action, service, reporting, wait } = args.check()?;
    let (mut receipt, is_durable) = match action {
        EraseAction::Person(person) => (request(&service, person).await?, true),
        EraseAction::Receipt(erasure_id) => (Receipt::named(erasure_id), false),
    };
    let completing = complete(&mut receipt, &reporting, wait);
    let asked = with_wait_notice("collectors to carry out the erasure", completing).await;
    if is_durable || asked.is_ok() {
        show(&receipt, args.json());
    }
    match asked {
        Ok(()) if receipt.is_complete() => return Ok(ExitCode::SUCCESS),
        Ok(()) => {}
        // The erasure is durable, even if reporting does not answer.
        Err(error) if is_durable => CommandError::from(error).report(),
        Err(error) => return Err(error.into()),
    }
    Ok(ExitCode::from(exit_code::UNFINISHED))
}

fn show(receipt: &Receipt, as_json: bool) {
    if as_json {
        print_json(receipt.json());
    } else {
        print_page(&receipt.page());
    }
}

/// Requests the erasure. When this returns, the erasure is durable and will be carried out.
async fn request(service: &OperatorClient, person: ErasePersonRequest) -> anyhow::Result<Receipt> {
    let (source, suppress) = (person.source, person.suppress);
    let mut client = ErasureServiceClient::new(service.servers.connect().await?);
    let answer = service.answered(client.erase_person(service.request(person))).await?;
    Ok(Receipt(ErasureReceipt {
        erasure_id: answer.erasure_id,
        source,
        suppress,
        requested_at: answer.requested_at,
        ..ErasureReceipt::default()
    }))
}

/// Polls until the erasure is complete, or `wait` is over. Fails if the last request failed.
async fn complete(receipt: &mut Receipt, reporting: &GrpcServers, wait: Duration) -> anyhow::Result<()> {
    let mut client = ReportingServiceClient::new(reporting.connect().await.context(UNKNOWN_PROGRESS)?);
    let mut retry = Retry::every(POLL_EVERY).until(Instant::now() + wait);
    loop {
        let answer = ask(reporting, &mut client, receipt.0.erasure_id.clone()).await;
        if let Ok(Some(known)) = &answer {
            receipt.0.clone_from(known);
        }
        if receipt.is_complete() || retry.next_attempt().await.is_err() {
            return answer.map(drop);
        }
    }
}

async fn ask(
    reporting: &GrpcServers,
    client: &mut ReportingServiceClient<Channel>,
    erasure_id: String,
) -> anyhow::Result<Option<ErasureReceipt>> {
    let answer = client.get_erasures(GetErasuresRequest { erasure_ids: vec![erasure_id] }).await;
    Ok(reporting.answered(answer).context(UNKNOWN_PROGRESS)?.erasures.pop())
}
