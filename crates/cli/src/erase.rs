//! `weir erase`: takes a person out of what is stored, and prints a receipt. Who the person is stands in the request
//! and nowhere else: no mistake, no failure and no receipt repeats it.

mod args;
mod receipt;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context as _;
pub(crate) use args::EraseArgs;
use args::{Subject, Task};
use receipt::Receipt;
use tokio::time::sleep;
use tonic::transport::Channel;
use weir::contract::{
    ingest::v1::{ErasePersonRequest, erasure_service_client::ErasureServiceClient},
    reporting::v1::{ErasureReceipt, GetErasuresRequest, reporting_service_client::ReportingServiceClient},
};
use weir_process::exit_code;

use crate::{
    client::Servers,
    client::Service,
    exit::{Failure, Outcome},
    output::say,
    wait::patiently,
};

/// Between questions after an erasure that is not complete yet.
const PAUSE: Duration = Duration::from_millis(200);

/// Why a receipt shows less than there is.
const UNTOLD: &str = "how far the erasure is can't be told";

/// Asks for an erasure, or only how far one is, and waits until it is complete.
pub(crate) async fn run(args: EraseArgs) -> Outcome {
    let Task { subject, service, reporting, wait } = args.check()?;
    let (mut receipt, is_durable) = match subject {
        Subject::Person(person) => (request(&service, person).await?, true),
        Subject::Receipt(erasure_id) => (Receipt::named(erasure_id), false),
    };
    let completing = complete(&mut receipt, &reporting, wait);
    let asked = patiently("collectors to carry out the erasure", completing).await;
    if is_durable || asked.is_ok() {
        show(&receipt, args.json());
    }
    match asked {
        Ok(()) if receipt.is_complete() => return Ok(ExitCode::SUCCESS),
        Ok(()) => {}
        // The order stands, whether reporting answers or not.
        Err(error) if is_durable => Failure::from(error).tell(),
        Err(error) => return Err(error.into()),
    }
    Ok(ExitCode::from(exit_code::UNFINISHED))
}

fn show(receipt: &Receipt, as_json: bool) {
    if as_json {
        say(format_args!("{:#}", receipt.json()));
    } else {
        say(receipt);
    }
}

/// When this returns, the erasure is durable and will be carried out.
async fn request(service: &Service, person: ErasePersonRequest) -> anyhow::Result<Receipt> {
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

/// Asks until the erasure is complete, or `wait` is over; fails where the last question failed.
async fn complete(receipt: &mut Receipt, reporting: &Servers, wait: Duration) -> anyhow::Result<()> {
    let mut client = ReportingServiceClient::new(reporting.connect().await.context(UNTOLD)?);
    let deadline = Instant::now() + wait;
    loop {
        let answer = ask(reporting, &mut client, receipt.0.erasure_id.clone()).await;
        if let Ok(Some(known)) = &answer {
            receipt.0.clone_from(known);
        }
        if receipt.is_complete() || Instant::now() >= deadline {
            return answer.map(drop);
        }
        sleep(PAUSE).await;
    }
}

async fn ask(
    reporting: &Servers,
    client: &mut ReportingServiceClient<Channel>,
    erasure_id: String,
) -> anyhow::Result<Option<ErasureReceipt>> {
    let answer = client.get_erasures(GetErasuresRequest { erasure_ids: vec![erasure_id] }).await;
    Ok(reporting.answered(answer).context(UNTOLD)?.erasures.pop())
}
