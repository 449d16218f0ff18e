//! `weir dead-letters discard`: removes letters for good.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use weir::contract::ingest::v1::{DiscardDeadLettersRequest, DiscardDeadLettersResponse};
use weir_process::args::ConfigErrors;

use super::{args::SelectionArgs, client::Client};
use crate::{
    client::ServiceArgs,
    exit::{Outcome, configured},
    output::{grouped, say},
    wait::patiently,
};

#[derive(Debug, Args)]
pub(crate) struct DiscardArgs {
    #[command(flatten)]
    service: ServiceArgs,
    #[command(flatten)]
    selection: SelectionArgs,
}

pub(super) async fn discard(args: DiscardArgs) -> Outcome {
    let mut mistakes = ConfigErrors::default();
    let service = args.service.check(&mut mistakes);
    let selection = args.selection.check(&mut mistakes);
    let (service, selection) = configured(service.zip(selection), mistakes)?;
    let mut client = Client::connect(service).await?;
    let dry_run = args.selection.dry_run;
    let cursor = args.selection.cursor.unwrap_or_default();
    let request = DiscardDeadLettersRequest { ids: selection.ids, filter: selection.filter, dry_run, cursor };
    let request = client.request(request);
    let mut answers = client.access.answered(client.service.discard_dead_letters(request)).await?;
    let (mut ids, mut last) = (Vec::new(), DiscardDeadLettersResponse::default());
    while let Some(mut answer) =
        patiently("ingest", answers.message()).await.map_err(|status| client.access.explained(&status))?
    {
        ids.append(&mut answer.ids);
        last = answer;
    }
    let DiscardDeadLettersResponse { discarded, gone, .. } = last;
    if args.service.json {
        let value = json!({ "dryRun": dry_run, "discarded": discarded, "gone": gone, "ids": ids });
        say(format_args!("{value:#}"));
    } else {
        let would = if dry_run { "Would be discarded" } else { "Discarded" };
        say(format_args!("{would}: {}, gone: {}", grouped(discarded), grouped(gone)));
    }
    Ok(ExitCode::SUCCESS)
}
