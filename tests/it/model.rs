//! A model of the reports, computed from the JSON that was sent. Stories compare the system's answers with it. It
//! shares the rules with the system, but no code.

mod demographics;
mod event;
mod money;
mod normalise;
mod query;
mod rows;

use std::collections::{BTreeMap, HashSet};

use event::{Event, text};
use money::{average, decimal};
pub(crate) use normalise::normalised;
pub(crate) use query::{Query, Width};
use rows::{bucket, by_size_then_name, series};
use serde_json::{Value, json};

/// The accepted events, each identity once.
#[derive(Default)]
pub(crate) struct Model {
    events: Vec<Event>,
    identities: HashSet<(String, String)>,
}

impl Model {
    /// Adds the events of an accepted array; an identity that was there before changes nothing.
    pub(crate) fn accept(&mut self, items: &[Value]) {
        for item in items {
            let event = Event::read(item);
            if self.identities.insert((event.source.clone(), text(&item["eventId"]))) {
                self.events.push(event);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// `GET /reports/events`.
    pub(crate) fn events(&self, query: &Query) -> Value {
        let found: Vec<_> = self.matching(query).collect();
        let mut counts = BTreeMap::new();
        for event in &found {
            *counts.entry((&event.source, &event.stage, &event.event_type)).or_insert(0_u64) += 1;
        }
        let rows = by_size_then_name(counts, usize::MAX).into_iter().map(|((source, stage, event_type), count)| {
            json!({"source": source, "funnelStage": stage, "eventType": event_type, "count": count})
        });
        let mut report = json!({
            "dateRange": query.date_range(),
            "totalEvents": found.len(),
            "events": rows.collect::<Vec<_>>(),
        });
        if let Some(width) = query.group_by {
            let counts = found.iter().map(|event| (bucket(event.at, width), 1_u64));
            report["series"] =
                series(counts, width, |bucket, count| json!({"bucket": bucket, "count": count}));
        }
        report
    }

    /// `GET /reports/revenue`.
    pub(crate) fn revenue(&self, query: &Query) -> Value {
        let found: Vec<_> = self
            .matching(query)
            .filter_map(|event| Some((event, event.transaction()?)))
            .filter(|(event, _)| query.campaign_id.as_ref().is_none_or(|id| event.campaign() == Some(id)))
            .collect();
        let total = found.iter().map(|(_, amount)| *amount).collect::<Revenue>();
        let mut report = json!({
            "dateRange": query.date_range(),
            "currency": "USD",
            "totalRevenue": decimal(total.sum),
            "totalTransactions": total.count,
            "averageTransactionValue": average(total.sum, total.count),
            "revenue": revenue_by_source(&found),
            "campaigns": revenue_by_campaign(&found, query.limit()),
        });
        if let Some(width) = query.group_by {
            let revenues =
                found.iter().map(|(event, amount)| (bucket(event.at, width), Revenue::of(*amount)));
            report["series"] = series(
                revenues,
                width,
                |bucket, revenue| json!({"bucket": bucket, "totalRevenue": decimal(revenue.sum), "transactionCount": revenue.count}),
            );
        }
        report
    }

    /// `GET /reports/demographics`.
    pub(crate) fn demographics(&self, query: &Query) -> Value {
        let of =
            |source: &str| self.matching(query).filter(|event| event.source == source).collect::<Vec<_>>();
        let mut report = json!({"dateRange": query.date_range()});
        if query.source.as_deref() != Some("tiktok") {
            report["facebook"] = demographics::facebook(&of("facebook"), query.limit());
        }
        if query.source.as_deref() != Some("facebook") {
            report["tiktok"] = demographics::tiktok(&of("tiktok"), query.limit());
        }
        report
    }

    fn matching<'a>(&'a self, query: &'a Query) -> impl Iterator<Item = &'a Event> {
        self.events.iter().filter(|event| {
            query.contains(event.at)
                && query.source.as_ref().is_none_or(|source| *source == event.source)
                && query.funnel_stage.as_ref().is_none_or(|stage| *stage == event.stage)
                && query.event_type.as_ref().is_none_or(|event_type| *event_type == event.event_type)
        })
    }
}

/// An amount of revenue in ten-thousandths, and the number of its transactions.
#[derive(Clone, Copy, Default)]
struct Revenue {
    sum: i128,
    count: u64,
}

impl Revenue {
    fn of(amount: i128) -> Self {
        Self { sum: amount, count: 1 }
    }
}

impl std::ops::AddAssign for Revenue {
    fn add_assign(&mut self, other: Self) {
        self.sum += other.sum;
        self.count += other.count;
    }
}

impl FromIterator<i128> for Revenue {
    fn from_iter<I: IntoIterator<Item = i128>>(amounts: I) -> Self {
        amounts.into_iter().fold(Self::default(), |mut all, amount| {
            all += Self::of(amount);
            all
        })
    }
}

fn revenue_by_source(found: &[(&Event, i128)]) -> Vec<Value> {
    let sources = revenues(found.iter().map(|(event, amount)| (event.source.as_str(), *amount)));
    let rows = sources.into_iter().map(|(source, revenue)| {
        json!({
            "source": source,
            "totalRevenue": decimal(revenue.sum),
            "transactionCount": revenue.count,
            "averageTransactionValue": average(revenue.sum, revenue.count),
        })
    });
    rows.collect()
}

fn revenue_by_campaign(found: &[(&Event, i128)], limit: usize) -> Vec<Value> {
    let with_campaign = found.iter().filter_map(|(event, amount)| Some((event.campaign()?, *amount)));
    let campaigns = revenues(with_campaign).into_iter().take(limit).map(|(campaign, revenue)| {
        json!({
            "campaignId": campaign,
            "totalRevenue": decimal(revenue.sum),
            "transactionCount": revenue.count,
        })
    });
    campaigns.collect()
}

/// Revenue by name, ordered by amount descending, then by name.
fn revenues<'a>(amounts: impl Iterator<Item = (&'a str, i128)>) -> Vec<(&'a str, Revenue)> {
    let mut by_name = BTreeMap::<_, Revenue>::new();
    for (name, amount) in amounts {
        *by_name.entry(name).or_default() += Revenue::of(amount);
    }
    let mut rows: Vec<_> = by_name.into_iter().collect();
    rows.sort_by_key(|(name, revenue)| (std::cmp::Reverse(revenue.sum), *name));
    rows
}
