//! The answers as tables.

use prost_types::Timestamp;
use weir::contract::reporting::v1::{
    DateRange, FacebookDemographics, GetDemographicsResponse, GetEventStatisticsResponse, GetRevenueResponse,
    GroupUsers, TiktokDemographics,
};

use super::names;
use crate::output::{Page, Table, grouped, table};

/// A title, and the tables with rows.
pub(crate) struct TitledTables {
    title: String,
    tables: Vec<Table>,
}

impl TitledTables {
    pub(crate) fn page(&self) -> Page {
        let mut page = Page::default();
        page.line(&self.title);
        self.tables.iter().filter(|table| !table.is_empty()).for_each(|table| page.table(table));
        page
    }
}

/// The title with the range. The rounded range replaces the requested one.
fn title(what: &str, asked: Option<DateRange>, rounded: Option<DateRange>) -> String {
    let range = within(what, rounded.or(asked).unwrap_or_default());
    let why = "rounded to whole minutes: rows of the time between were removed";
    if rounded.is_some() { format!("{range} ({why})") } else { range }
}

fn within(what: &str, range: DateRange) -> String {
    match (names::time(range.from), names::time(range.to)) {
        (None, None) => what.to_owned(),
        (Some(from), None) => format!("{what}, from {from}"),
        (None, Some(to)) => format!("{what}, before {to}"),
        (Some(from), Some(to)) => format!("{what}, from {from}, before {to}"),
    }
}

pub(crate) fn events(answer: &GetEventStatisticsResponse) -> TitledTables {
    let rows = answer.events.iter().map(|row| {
        [
            names::source(row.source).to_owned(),
            names::funnel_stage(row.funnel_stage).to_owned(),
            names::event_type(row.event_type).to_owned(),
            grouped(row.count),
        ]
    });
    let mut tables = vec![table(["source", "stage", "type", "events"], 1, rows)];
    if !answer.series.is_empty() {
        let rows =
            answer.series.iter().map(|row| [names::time(row.bucket).unwrap_or_default(), grouped(row.count)]);
        tables.push(table(["from", "events"], 1, rows));
    }
    let total = format!("Events: {}", grouped(answer.total_events));
    TitledTables { title: title(&total, answer.date_range, answer.rounded_range), tables }
}

pub(crate) fn revenue(answer: &GetRevenueResponse) -> TitledTables {
    let sources = answer.revenue.iter().map(|row| {
        [
            names::source(row.source).to_owned(),
            grouped(row.transaction_count),
            row.total_revenue.clone(),
            row.average_transaction_value.clone(),
        ]
    });
    let campaigns = answer
        .campaigns
        .iter()
        .map(|row| [row.campaign_id.clone(), grouped(row.transaction_count), row.total_revenue.clone()]);
    let mut tables = vec![
        table(["source", "transactions", "revenue", "average"], 3, sources),
        table(["campaign", "transactions", "revenue"], 2, campaigns),
        missed_at_most(answer.missed_at_most.as_deref()),
    ];
    if !answer.series.is_empty() {
        let rows = answer.series.iter().map(|row| {
            let from = names::time(row.bucket).unwrap_or_default();
            [from, grouped(row.transaction_count), row.total_revenue.clone()]
        });
        tables.push(table(["from", "transactions", "revenue"], 2, rows));
    }
    let total = format!(
        "Revenue: {} {} in {} transactions, {} on average",
        answer.total_revenue,
        answer.currency,
        grouped(answer.total_transactions),
        answer.average_transaction_value
    );
    TitledTables { title: title(&total, answer.date_range, answer.rounded_range), tables }
}

pub(crate) fn demographics(answer: &GetDemographicsResponse) -> TitledTables {
    let facebook = answer.facebook.iter().flat_map(facebook);
    let tiktok = answer.tiktok.iter().flat_map(tiktok);
    TitledTables {
        title: title("Demographics", answer.date_range, None),
        tables: facebook.chain(tiktok).collect(),
    }
}

fn facebook(section: &FacebookDemographics) -> [Table; 6] {
    let genders =
        section.genders.iter().map(|row| [names::gender(row.gender).to_owned(), grouped(row.users)]);
    let countries = section.countries.iter().map(|row| [row.country.clone(), grouped(row.users)]);
    let cities = section.cities.iter().map(|row| [row.country.clone(), row.city.clone(), grouped(row.users)]);
    let users = users(section.users, section.relative_error);
    [
        table(["facebook users", "average age"], 2, [[users, section.mean_age().to_string()]]),
        complete_from("facebook", section.complete_from),
        groups("age", &section.age_groups),
        table(["gender", "users"], 1, genders),
        table(["country", "users"], 1, countries),
        table(["country", "city", "users"], 1, cities),
    ]
}

fn tiktok(section: &TiktokDemographics) -> [Table; 5] {
    let countries = section.countries.iter().map(|row| [row.country.clone(), grouped(row.users)]);
    let devices =
        section.devices.iter().map(|row| [names::device(row.device).to_owned(), grouped(row.users)]);
    let users = users(section.users, section.relative_error);
    [
        table(["tiktok users", "average followers"], 2, [[users, section.mean_followers().to_string()]]),
        complete_from("tiktok", section.complete_from),
        groups("followers", &section.follower_groups),
        table(["country", "users"], 1, countries),
        table(["device", "users"], 1, devices),
    ]
}

fn groups(name: &str, groups: &[GroupUsers]) -> Table {
    table([name, "users"], 1, groups.iter().map(|row| [row.group.clone(), grouped(row.users)]))
}

/// Empty if the section covers the whole range.
fn complete_from(source: &str, start: Option<Timestamp>) -> Table {
    let title = format!("{source} from, because rows of earlier events were removed");
    table([title.as_str()], 1, names::time(start).map(|start| [start]))
}

/// Empty if the listed campaigns are the first.
fn missed_at_most(most: Option<&str>) -> Table {
    let title = "a campaign that is not listed has at most";
    table([title], 1, most.map(|most| [most.to_owned()]))
}

/// The number of users, with its error if it is an estimate.
fn users(users: u64, relative_error: Option<f64>) -> String {
    match relative_error {
        Some(error) => format!("{} ± {:.1} %", grouped(users), error * 100.0),
        None => grouped(users),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Timestamp = Timestamp { seconds: 1_757_833_200, nanos: 0 };

    #[test]
    fn a_rounded_range_replaces_the_requested_one_and_is_explained() {
        let asked = Timestamp { seconds: HOUR.seconds + 1, ..HOUR };
        let mut answer = GetEventStatisticsResponse {
            date_range: Some(DateRange { from: Some(asked), to: None }),
            ..Default::default()
        };
        assert_eq!(events(&answer).page().to_string(), "Events: 0, from 2025-09-14T07:00:01Z");
        answer.rounded_range = Some(DateRange { from: Some(HOUR), to: None });
        let shown = events(&answer).page().to_string();
        assert!(shown.starts_with("Events: 0, from 2025-09-14T07:00:00Z (rounded"), "{shown}");
    }

    #[test]
    fn campaigns_that_are_not_proven_to_be_the_first_show_what_is_missed() {
        let of = |missed_at_most| GetRevenueResponse { missed_at_most, ..Default::default() };
        let [all, bounded] =
            [None, Some("0.75".to_owned())].map(|missed| revenue(&of(missed)).page().to_string());
        assert!(!all.contains("not listed"), "{all}");
        assert!(bounded.contains("not listed has at most") && bounded.contains("0.75"), "{bounded}");
    }

    #[test]
    fn a_section_that_begins_later_shows_its_start() {
        let of = |complete_from| GetDemographicsResponse {
            tiktok: Some(TiktokDemographics { complete_from, ..Default::default() }),
            ..Default::default()
        };
        let [all, later] = [None, Some(HOUR)].map(|start| demographics(&of(start)).page().to_string());
        assert!(!all.contains("removed"), "{all}");
        assert!(later.contains("removed") && later.contains("2025-09-14T07:00:00Z"), "{later}");
    }
}
