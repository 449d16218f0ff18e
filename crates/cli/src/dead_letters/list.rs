//! `weir dead-letters list` and `show`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use weir::contract::ingest::v1::{
    DeadLetter, GetDeadLetterRequest, GroupDeadLettersRequest, GroupDeadLettersResponse,
    ListDeadLettersRequest,
};
use weir_process::args::ConfigErrors;

use super::{args::FilterArgs, client::DeadLetterClient, json};
use crate::{
    client::OperatorClientArgs,
    exit::{CommandResult, configured},
    output::{Cell, grouped, print_json, print_line, print_table, table},
    report::names,
    units,
};

/// The largest page of ingest.
const PAGE: usize = 1_000;

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    service: OperatorClientArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// List letters one by one, oldest first, and not by their violations.
    #[arg(long)]
    each: bool,
    /// With --each: the largest number of letters.
    #[arg(long, default_value = "100", value_name = "LETTERS")]
    limit: String,
    /// With --each: continue after this cursor, which the page before printed.
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    service: OperatorClientArgs,
    /// The id of the letter, such as rejected-17.
    #[arg(value_name = "ID")]
    id: String,
}

pub(super) async fn list(args: ListArgs) -> CommandResult {
    let mut errors = ConfigErrors::default();
    let service = args.service.check(&mut errors);
    let filter = args.filter.check(&mut errors);
    let limit = errors.check("--limit", units::at_least(1, &args.limit));
    let checked = service.zip(filter).zip(limit);
    let ((service, filter), limit) = configured(checked, errors)?;
    let mut client = DeadLetterClient::connect(service).await?;
    if !args.each {
        let request = client.request(GroupDeadLettersRequest { filter: Some(filter) });
        let answer = client.access.answered(client.service.group_dead_letters(request)).await?;
        show_groups(&answer, args.service.json);
        return Ok(ExitCode::SUCCESS);
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut token = args.cursor.unwrap_or_default();
    let mut letters = Vec::new();
    while letters.len() < limit {
        let page_size = u32::try_from(PAGE.min(limit - letters.len())).unwrap_or_default();
        let request = ListDeadLettersRequest { filter: Some(filter.clone()), page_size, page_token: token };
        let request = client.request(request);
        let page = client.access.answered(client.service.list_dead_letters(request)).await?;
        letters.extend(page.letters);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    show_letters(&letters, &token, args.service.json);
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn show(args: ShowArgs) -> CommandResult {
    let mut errors = ConfigErrors::default();
    let service = args.service.check(&mut errors);
    let mut client = DeadLetterClient::connect(configured(service, errors)?).await?;
    let request = client.request(GetDeadLetterRequest { id: args.id });
    let answer = client.access.answered(client.service.get_dead_letter(request)).await?;
    let letter = answer.letter.unwrap_or_default();
    let value = json::letter(&letter);
    if args.service.json {
        print_json(&value);
        return Ok(ExitCode::SUCCESS);
    }
    let fields = value.as_object().into_iter().flatten();
    let rows = fields.map(|(name, value)| {
        let lines = || Cell::lines(format!("{value:#}").lines());
        [name.clone().into(), value.as_str().map_or_else(lines, |text| text.to_owned().into())]
    });
    print_table(&table(["field", "value"], 0, rows));
    Ok(ExitCode::SUCCESS)
}

fn show_groups(answer: &GroupDeadLettersResponse, as_json: bool) {
    if as_json {
        let groups: Vec<_> = answer.groups.iter().map(json::group).collect();
        let value = json!({ "letters": answer.letters, "groups": groups, "truncated": answer.truncated });
        return print_json(&value);
    }
    print_line(format_args!("Dead letters: {}", grouped(answer.letters)));
    let rows = answer.groups.iter().map(|group| {
        [
            group.fingerprint.clone(),
            json::graveyard(group.graveyard).to_owned(),
            names::source(group.source).to_owned(),
            group.reason.clone(),
            names::time(group.first_seen).unwrap_or_default(),
            names::time(group.last_seen).unwrap_or_default(),
            group.sample.as_ref().map(|sample| sample.id.clone()).unwrap_or_default(),
            grouped(group.count),
        ]
    });
    let header =
        ["fingerprint", "graveyard", "source", "reason", "first seen", "last seen", "sample", "letters"];
    if !answer.groups.is_empty() {
        print_table(&table(header, 1, rows));
    }
    if answer.truncated {
        print_line("There are groups besides: narrow the filter to see them.");
    }
}

fn show_letters(letters: &[DeadLetter], cursor: &str, as_json: bool) {
    if as_json {
        let letters: Vec<_> = letters.iter().map(json::letter).collect();
        let cursor = Some(cursor).filter(|cursor| !cursor.is_empty());
        return print_json(json!({ "letters": letters, "cursor": cursor }));
    }
    let rows = letters.iter().map(|letter| {
        let violations =
            letter.violations.iter().map(|violation| format!("{} {}", violation.pointer, violation.message));
        [
            letter.id.clone(),
            names::time(letter.laid_down_at).unwrap_or_default(),
            names::source(letter.source).to_owned(),
            letter.event_id.clone(),
            violations.collect::<Vec<_>>().join("; "),
            if letter.cut { "cut".to_owned() } else { String::new() },
            grouped(letter.size),
        ]
    });
    print_table(&table(["id", "laid down", "source", "event", "reason", "", "bytes"], 1, rows));
    if !cursor.is_empty() {
        print_line(format_args!("More follow: --cursor {cursor}"));
    }
}
