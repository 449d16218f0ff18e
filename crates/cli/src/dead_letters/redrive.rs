//! `weir dead-letters redrive`: ingest sends letters through the gate again, and reporting tells what became of them.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use weir::contract::{
    ingest::v1::{RedriveDeadLettersRequest, RedriveDeadLettersResponse, RedriveResult, RedriveTotals},
    reporting::v1::{FrameAccounts, GetFramesRequest, reporting_service_client::ReportingServiceClient},
};
use weir_process::args::ConfigErrors;

use super::{args::SelectionArgs, client::Client, json, patch};
use crate::{
    client::Servers,
    client::{Service, ServiceArgs},
    exit::{Outcome, configured},
    output::{grouped, say, table},
    units,
    wait::patiently,
};

/// Frames that one question to reporting names at most.
const FRAMES: usize = 1_000;
/// Why the fate of letters is not shown.
const UNTOLD: &str = "what became of the appended letters is not known";
/// Between questions after frames that are not settled yet.
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(crate) struct RedriveArgs {
    #[command(flatten)]
    service: ServiceArgs,
    #[command(flatten)]
    selection: SelectionArgs,
    /// An RFC 6902 patch for each letter's raw JSON: a file's name (in UTF-8), - for standard input, or the JSON itself.
    #[arg(long, value_name = "FILE-OR-JSON")]
    patch: Option<String>,
    /// At most so many letters a second, up to 10000.
    #[arg(long, default_value = "1000", value_name = "LETTERS")]
    max_per_second: String,
    /// Where reporting serves gRPC: it is asked what was stored and what was a duplicate.
    #[arg(long, env = "REPORTING_URL", default_value = "http://127.0.0.1:50052", value_name = "URL")]
    reporting_url: String,
    /// How long to wait until what was appended is stored.
    #[arg(long, default_value = "30s", value_name = "DURATION")]
    wait: String,
}

/// The arguments, checked.
struct Checked {
    service: Service,
    request: RedriveDeadLettersRequest,
    reporting: Servers,
    wait: Duration,
}

/// What a redrive told, put together.
#[derive(Default)]
struct Report {
    results: Vec<RedriveResult>,
    frame_ids: Vec<String>,
    totals: RedriveTotals,
}

/// What became of the frames; `None` where reporting could not be asked.
#[derive(Default)]
struct Fate {
    stored: u64,
    duplicate: u64,
    parked: u64,
    unsettled: u64,
}

pub(super) async fn redrive(args: RedriveArgs) -> Outcome {
    let Checked { service, request, reporting, wait } = check(&args)?;
    let mut client = Client::connect(service).await?;
    let dry_run = request.dry_run;
    let request = client.request(request);
    let mut answers = client.access.answered(client.service.redrive_dead_letters(request)).await?;
    let mut report = Report::default();
    let mut cursor = String::new();
    loop {
        match patiently("ingest", answers.message()).await {
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
                    .explained(&status)
                    .context(format!("the redrive broke off{place}"))
                    .into());
            }
        }
    }
    let settled = fate(&report, &reporting, wait);
    let fate = patiently("collectors to store what was appended", settled).await;
    if args.service.json {
        say(format_args!("{:#}", report.json(dry_run, fate.as_ref().ok())));
    } else {
        report.show(dry_run, fate.as_ref().ok());
    }
    fate?;
    Ok(ExitCode::SUCCESS)
}

fn check(args: &RedriveArgs) -> Result<Checked, crate::exit::Failure> {
    let mut mistakes = ConfigErrors::default();
    let service = args.service.check(&mut mistakes);
    let selection = args.selection.check(&mut mistakes);
    let patch = mistakes.check("--patch", args.patch.as_deref().map(patch::read).transpose());
    let rate = mistakes.check("--max-per-second", units::at_least(1, &args.max_per_second));
    let reporting = Servers::reporting(&args.reporting_url, &mut mistakes);
    let wait = mistakes.check("--wait", units::duration(&args.wait));
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
    let (service, request, reporting, wait) = configured(checked(), mistakes)?;
    Ok(Checked { service, request, reporting, wait })
}

/// Asks until every frame is settled, at most for `wait`.
async fn fate(report: &Report, reporting: &Servers, wait: Duration) -> anyhow::Result<Fate> {
    let mut fate = Fate { unsettled: report.totals.appended, ..Fate::default() };
    if report.frame_ids.is_empty() {
        return Ok(Fate::default());
    }
    let mut client = ReportingServiceClient::new(reporting.connect().await.context(UNTOLD)?);
    let deadline = Instant::now() + wait;
    let mut unsettled = report.frame_ids.clone();
    loop {
        let mut settled = Vec::new();
        for frame_ids in unsettled.chunks(FRAMES) {
            let request = GetFramesRequest { frame_ids: frame_ids.to_vec() };
            let answer = client.get_frames(request).await;
            let answer = reporting.answered(answer).context(UNTOLD)?;
            settled.extend(answer.frames);
        }
        settled.iter().for_each(|frame| fate.settle(frame));
        unsettled.retain(|id| settled.iter().all(|frame| frame.frame_id != *id));
        if unsettled.is_empty() || Instant::now() >= deadline {
            return Ok(fate);
        }
        sleep(PAUSE).await;
    }
}

impl Fate {
    fn settle(&mut self, frame: &FrameAccounts) {
        self.stored += frame.stored;
        self.duplicate += frame.duplicate;
        self.parked += frame.parked;
        self.unsettled = self.unsettled.saturating_sub(frame.stored + frame.duplicate + frame.parked);
    }
}

impl Report {
    fn add(&mut self, answer: RedriveDeadLettersResponse) {
        self.results.extend(answer.results);
        self.frame_ids.extend(answer.frame_ids);
        self.totals = answer.totals.unwrap_or(self.totals);
    }

    fn json(&self, dry_run: bool, fate: Option<&Fate>) -> Value {
        let RedriveTotals { appended, still_bad, not_redrivable, gone } = self.totals;
        let results: Vec<_> = self.results.iter().map(|result| json::result(result, dry_run)).collect();
        let fate = fate.map(|fate| {
            json!({
                "stored": fate.stored,
                "duplicate": fate.duplicate,
                "parked": fate.parked,
                "unsettled": fate.unsettled,
            })
        });
        json!({
            "dryRun": dry_run,
            "appended": appended,
            "stillBad": still_bad,
            "notRedrivable": not_redrivable,
            "gone": gone,
            "fate": fate,
            "results": results,
        })
    }

    fn show(&self, dry_run: bool, fate: Option<&Fate>) {
        let rows = self.results.iter().map(|result| {
            let violations = result.violations.iter();
            let mut told: Vec<String> =
                violations.map(|violation| format!("{} {}", violation.pointer, violation.message)).collect();
            told.extend(Some(result.reason.clone()).filter(|reason| !reason.is_empty()));
            [result.id.clone(), json::outcome(result.outcome, dry_run).to_owned(), told.join("; ")]
        });
        if !self.results.is_empty() {
            say(table(["letter", "outcome", "why"], 0, rows));
        }
        let RedriveTotals { appended, still_bad, not_redrivable, gone } = self.totals;
        let would = if dry_run { "Would be appended" } else { "Appended" };
        say(format_args!(
            "{would}: {}, still bad: {}, not redrivable: {}, gone: {}",
            grouped(appended),
            grouped(still_bad),
            grouped(not_redrivable),
            grouped(gone)
        ));
        if let Some(fate) = fate.filter(|_| !dry_run && appended > 0) {
            say(format_args!(
                "Of what was appended: stored {}, duplicate {}, parked again {}, on its way {}",
                grouped(fate.stored),
                grouped(fate.duplicate),
                grouped(fate.parked),
                grouped(fate.unsettled)
            ));
        }
    }
}
