//! `weir dead-letters redrive`: ingest sends letters through the gate again, and reporting returns their
//! outcomes.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};
use tokio::time::Instant;
use tonic::transport::Channel;
use weir::contract::{
    ingest::v1::{RedriveDeadLettersRequest, RedriveDeadLettersResponse, RedriveResult, RedriveTotals},
    reporting::v1::{FrameAccounts, GetFramesRequest, reporting_service_client::ReportingServiceClient},
};
use weir_process::{args::ConfigErrors, retry::Retry};

use super::{args::SelectionArgs, client::DeadLetterClient, json, patch};
use crate::{
    client::{GrpcServers, OperatorClient, OperatorClientArgs},
    exit::{CommandResult, configured},
    output::{grouped, print_json, print_line, print_table, table},
    units,
    wait::with_wait_notice,
};

/// The largest number of frames in one request to reporting.
const MAX_FRAMES: usize = 1_000;
/// The context of an error that hides the outcomes.
const UNKNOWN_OUTCOMES: &str = "what became of the appended letters is not known";
/// The pause between requests for frames that are not settled yet.
const POLL_EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(crate) struct RedriveArgs {
    #[command(flatten)]
    service: OperatorClientArgs,
    #[command(flatten)]
    selection: SelectionArgs,
    /// An RFC 6902 patch for the raw JSON of each letter: the name of a UTF-8 file, - for standard input, or
    /// the JSON itself.
    #[arg(long, value_name = "FILE-OR-JSON")]
    patch: Option<String>,
    /// The largest number of letters per second, up to 10000.
    #[arg(long, default_value = "1000", value_name = "LETTERS")]
    max_per_second: String,
    /// The gRPC address of reporting, which knows the stored events and the duplicates.
    #[arg(long, env = "REPORTING_URL", default_value = "http://127.0.0.1:50052", value_name = "URL")]
    reporting_url: String,
    /// The longest wait until the appended letters are stored.
    #[arg(long, default_value = "30s", value_name = "DURATION")]
    wait: String,
}

/// The checked arguments.
struct RedriveOptions {
    service: OperatorClient,
    request: RedriveDeadLettersRequest,
    reporting: GrpcServers,
    wait: Duration,
}

/// The answers of a redrive, put together.
#[derive(Default)]
struct RedriveReport {
    results: Vec<RedriveResult>,
    frame_ids: Vec<String>,
    totals: RedriveTotals,
}

/// The outcomes of the appended frames.
#[derive(Default)]
struct FrameOutcomes {
    stored: u64,
    duplicate: u64,
    parked: u64,
    unsettled: u64,
}

pub(super) async fn redrive(args: RedriveArgs) -> CommandResult {
    let RedriveOptions { service, request, reporting, wait } = check(&args)?;
    let mut client = DeadLetterClient::connect(service).await?;
    let dry_run = request.dry_run;
    let request = client.request(request);
    let mut answers = client.access.answered(client.service.redrive_dead_letters(request)).await?;
    let mut report = RedriveReport::default();
    let mut cursor = String::new();
    loop {
        match with_wait_notice("ingest", answers.message()).await {
            Ok(Some(answer)) => {
                cursor.clone_from(&answer.cursor);
                report.add(answer);
            }
            Ok(None) => break,
            Err(status) => {
                let place =
                    if cursor.is_empty() { String::new() } else { format!("; go on with --cursor {cursor}") };
                return Err(client
                    .access
                    .explanation(&status)
                    .context(format!("the redrive broke off{place}"))
                    .into());
            }
        }
    }
    let settled = await_outcomes(&report, &reporting, wait);
    let outcomes = with_wait_notice("collectors to store the appended letters", settled).await;
    if args.service.json {
        print_json(report.json(dry_run, outcomes.as_ref().ok()));
    } else {
        report.show(dry_run, outcomes.as_ref().ok());
    }
    outcomes?;
    Ok(ExitCode::SUCCESS)
}

fn check(args: &RedriveArgs) -> Result<RedriveOptions, crate::exit::CommandError> {
    let mut errors = ConfigErrors::default();
    let service = args.service.check(&mut errors);
    let selection = args.selection.check(&mut errors);
    let patch = errors.check("--patch", args.patch.as_deref().map(patch::read).transpose());
    let rate = errors.check("--max-per-second", units::at_least(1, &args.max_per_second));
    let reporting = GrpcServers::reporting(&args.reporting_url, &mut errors);
    let wait = errors.check("--wait", units::duration(&args.wait));
    let checked = || {
        let selection = selection?;
        let request = RedriveDeadLettersRequest {
            ids: selection.ids,
            filter: selection.filter,
            dry_run: args.selection.dry_run,
            json_patch: patch?.unwrap_or_default(),
            max_per_second: u32::try_from(rate?).unwrap_or(u32::MAX),
            cursor: args.selection.cursor.clone().unwrap_or_default(),
        };
        Some((service?, request, reporting?, wait?))
    };
    let (service, request, reporting, wait) = configured(checked(), errors)?;
    Ok(RedriveOptions { service, request, reporting, wait })
}

/// Polls until every frame is settled, at most for `wait`.
async fn await_outcomes(
    report: &RedriveReport,
    reporting: &GrpcServers,
    wait: Duration,
) -> anyhow::Result<FrameOutcomes> {
    let mut outcomes = FrameOutcomes { unsettled: report.totals.appended, ..FrameOutcomes::default() };
    if report.frame_ids.is_empty() {
        return Ok(FrameOutcomes::default());
    }
    let mut client = ReportingServiceClient::new(reporting.connect().await.context(UNKNOWN_OUTCOMES)?);
    let mut unsettled = report.frame_ids.clone();
    let mut retry = Retry::every(POLL_EVERY).until(Instant::now() + wait);
    loop {
        settle(&mut client, reporting, &mut unsettled, &mut outcomes).await?;
        if unsettled.is_empty() || retry.next_attempt().await.is_err() {
            return Ok(outcomes);
        }
    }
}

/// Asks once for every unsettled frame, and counts those that are settled now.
async fn settle(
    client: &mut ReportingServiceClient<Channel>,
    reporting: &GrpcServers,
    unsettled: &mut Vec<String>,
    outcomes: &mut FrameOutcomes,
) -> anyhow::Result<()> {
    let mut settled = Vec::new();
    for frame_ids in unsettled.chunks(MAX_FRAMES) {
        let request = GetFramesRequest { frame_ids: frame_ids.to_vec() };
        let answer = client.get_frames(request).await;
        settled.extend(reporting.answered(answer).context(UNKNOWN_OUTCOMES)?.frames);
    }
    settled.iter().for_each(|frame| outcomes.add(frame));
    unsettled.retain(|id| settled.iter().all(|frame| frame.frame_id != *id));
    Ok(())
}

impl FrameOutcomes {
    fn add(&mut self, frame: &FrameAccounts) {
        self.stored += frame.stored;
        self.duplicate += frame.duplicate;
        self.parked += frame.parked;
        self.unsettled = self.unsettled.saturating_sub(frame.stored + frame.duplicate + frame.parked);
    }
}

impl RedriveReport {
    fn add(&mut self, answer: RedriveDeadLettersResponse) {
        self.results.extend(answer.results);
        self.frame_ids.extend(answer.frame_ids);
        self.totals = answer.totals.unwrap_or(self.totals);
    }

    fn json(&self, dry_run: bool, frame_outcomes: Option<&FrameOutcomes>) -> Value {
        let RedriveTotals { appended, still_bad, not_redrivable, gone } = self.totals;
        let results: Vec<_> = self.results.iter().map(|result| json::result(result, dry_run)).collect();
        let outcomes = frame_outcomes.map(|frame_outcomes| {
            json!({
                "stored": frame_outcomes.stored,
                "duplicate": frame_outcomes.duplicate,
                "parked": frame_outcomes.parked,
                "unsettled": frame_outcomes.unsettled,
            })
        });
        json!({
            "dryRun": dry_run,
            "appended": appended,
            "stillBad": still_bad,
            "notRedrivable": not_redrivable,
            "gone": gone,
            "fate": outcomes,
            "results": results,
        })
    }

    fn show(&self, dry_run: bool, frame_outcomes: Option<&FrameOutcomes>) {
        let rows = self.results.iter().map(|result| {
            let violations = result.violations.iter();
            let mut message: Vec<String> =
                violations.map(|violation| format!("{} {}", violation.pointer, violation.message)).collect();
            message.extend(Some(result.reason.clone()).filter(|reason| !reason.is_empty()));
            [result.id.clone(), json::outcome(result.outcome, dry_run).to_owned(), message.join("; ")]
        });
        if !self.results.is_empty() {
            print_table(&table(["letter", "outcome", "why"], 0, rows));
        }
        let RedriveTotals { appended, still_bad, not_redrivable, gone } = self.totals;
        let would = if dry_run { "Would be appended" } else { "Appended" };
        print_line(format_args!(
            "{would}: {}, still bad: {}, not redrivable: {}, gone: {}",
            grouped(appended),
            grouped(still_bad),
            grouped(not_redrivable),
            grouped(gone)
        ));
        if let Some(frame_outcomes) = frame_outcomes.filter(|_| !dry_run && appended > 0) {
            print_line(format_args!(
                "Of what was appended: stored {}, duplicate {}, parked again {}, on its way {}",
                grouped(frame_outcomes.stored),
                grouped(frame_outcomes.duplicate),
                grouped(frame_outcomes.parked),
                grouped(frame_outcomes.unsettled)
            ));
        }
    }
}
