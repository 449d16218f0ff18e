//! `weir dead-letters discard`: removes letters for good.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use weir::contract::ingest::v1::{DiscardDeadLettersRequest, DiscardDeadLettersResponse};
use weir_process::args::ConfigErrors;

use super::{args::SelectionArgs, client::DeadLetterClient};
use crate::{
    client::OperatorClientArgs,
    exit::{CommandResult, configured},
    output::{grouped, print_json, print_line},
    wait::with_wait_notice,
};

#[derive(Debug, Args)]
pub(crate) struct DiscardArgs {
    #[command(flatten)]
    service: OperatorClientArgs,
    #[command(flatten)]
    selection: SelectionArgs,
}

pub(super) async fn discard(args: DiscardArgs) -> CommandResult {
    let mut errors = ConfigErrors::default();
    let service = args.service.check(&mut errors);
    let selection = args.selection.check(&mut errors);
    let (service, selection) = configured(service.zip(selection), errors)?;
    let mut client = DeadLetterClient::connect(service).await?;
    let dry_run = args.selection.dry_run;
    let cursor = args.selection.cursor.unwrap_or_default();
    let request = DiscardDeadLettersRequest { ids: selection.ids, filter: selection.filter, dry_run, cursor };
    let request = client.request(request);
    let mut answers = client.access.answered(client.service.discard_dead_letters(request)).await?;
    let (mut ids, mut last) = (Vec::new(), DiscardDeadLettersResponse::default());
    while let Some(mut answer) = with_wait_notice("ingest", answers.message())
        .await
        .map_err(|status| client.access.explanation(&status))?
    {
        ids.append(&mut answer.ids);
        last = answer;
    }
    let DiscardDeadLettersResponse { discarded, gone, .. } = last;
    if args.service.json {
        let value = json!({ "dryRun": dry_run, "discarded": discarded, "gone": gone, "ids": ids });
        print_json(&value);
    } else {
        let would = if dry_run { "Would be discarded" } else { "Discarded" };
        print_line(format_args!("{would}: {}, gone: {}", grouped(discarded), grouped(gone)));
    }
    Ok(ExitCode::SUCCESS)
}
