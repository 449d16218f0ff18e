//! The comparison with the store: every event of the ledger against its row or its key, and every row with an
//! id of the ledger against the ledger.

use std::collections::HashMap;

use anyhow::Context as _;
use indicatif::ProgressBar;
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter, QuerySelect};
use serde_json::Value;
use weir_collectors::store::{ErasedPersons, Store};
use weir_database::{
    entity::{
        event_keys::{Column as KeyColumn, Entity as KeyEntity},
        events::Model,
    },
    event_key::EventKey,
};
use weir_event::Source;

use super::{
    columns,
    dead_letters::RejectedItems,
    expectations::{Case, Expectations, Promise},
    findings::VerifyFindings,
    rows,
};
use crate::generator::{EventStream, GeneratedBatch, Item, ItemKind, id_prefix, number_of};

/// The number of rows that one query reads.
const ROWS: usize = 1_000;

/// The store, and the erased persons.
pub(super) struct StoreReader {
    database: DatabaseConnection,
    erased: ErasedPersons,
}

impl StoreReader {
    pub(super) async fn read(database: DatabaseConnection) -> anyhow::Result<Self> {
        let erased = Store::new(&database).erased_persons().await.context("can't read the erased persons")?;
        Ok(Self { database, erased })
    }

    /// Returns true if the person of an item was erased.
    fn was_erased(&self, item: &Value) -> bool {
        let source = item["source"].as_str().and_then(Source::from_name).map(Source::number);
        let source = source.and_then(|number| i16::try_from(number).ok());
        let user_id = item["data"]["user"]["userId"].as_str();
        source.zip(user_id).is_some_and(|(source, user_id)| self.erased.was_erased(source, user_id))
    }
}

/// Compares a run with the store, both ways. Collects the rejected items for the comparison with the dead
/// letters.
pub(super) async fn compare(
    store: &StoreReader,
    case: &mut Case,
    rejected: &mut RejectedItems,
    findings: &mut VerifyFindings,
    progress: &ProgressBar,
) -> anyhow::Result<()> {
    let mut stream = EventStream::new(case.run.mix.clone(), case.run.seed);
    for (number, request) in case.run.requests.iter().enumerate() {
        let batch = stream.next_batch(request.at);
        for (index, raw) in rejected_items(case.run.seed, &batch, &case.expectations) {
            if is_erased(store, &raw) {
                findings.erased += 1;
            } else {
                rejected.expect(raw, format!("item {index} of request {number}"));
            }
        }
        let new: Vec<Item> = batch.items.into_iter().filter(|item| item.kind != ItemKind::Repeat).collect();
        for items in new.chunks(ROWS) {
            compare_rows(store, case.run.seed, items, &mut case.expectations, findings).await?;
            progress.inc(items.len() as u64);
        }
    }
    for source in Source::ALL {
        find_spurious(store, *source, case, findings).await?;
    }
    Ok(())
}

/// The rejected items, each with its index.
fn rejected_items(
    seed: u64,
    batch: &GeneratedBatch,
    expectations: &Expectations,
) -> impl Iterator<Item = (usize, Vec<u8>)> {
    let items = batch.items.iter().enumerate();
    let rejected = items.filter(move |(_, item)| {
        expectations.promise(item.source(seed), item.number) == Some(Promise::Rejected)
    });
    rejected.map(move |(index, item)| (index, item.generate(seed)))
}

fn is_erased(store: &StoreReader, raw: &[u8]) -> bool {
    serde_json::from_slice(raw).is_ok_and(|item: Value| store.was_erased(&item))
}

/// Compares items with the rows of their ids, column by column.
async fn compare_rows(
    store: &StoreReader,
    seed: u64,
    items: &[Item],
    expectations: &mut Expectations,
    findings: &mut VerifyFindings,
) -> anyhow::Result<()> {
    for source in Source::ALL {
        let mut generated = generated(seed, items, *source, expectations)?;
        let ids: Vec<&str> = generated.keys().map(String::as_str).collect();
        let stored = rows::with_ids(&store.database, *source, &ids).await?;
        for row in stored {
            match generated.remove(&row.event_id) {
                Some(event) => compare_row(&row, &event, expectations, findings),
                // PostgreSQL itself allows only one row in each segment.
                None => findings.double.add(|| format!("{}, two rows", row.event_id)),
            }
        }
        let without_row: HashMap<&str, u64> =
            generated.iter().map(|(id, (number, _))| (id.as_str(), *number)).collect();
        // The keys are read after the rows, because an event that is removed meanwhile has its key by then.
        for number in removed_numbers(&store.database, *source, &without_row).await? {
            expectations.note_stored(number);
            findings.removed += 1;
        }
        let of_erased = generated.values().filter(|(_, event)| store.was_erased(event));
        of_erased.for_each(|(number, _)| expectations.note_erased(*number));
    }
    Ok(())
}

/// The numbers of a source's events that have a key, by their ids.
async fn removed_numbers(
    store: &DatabaseConnection,
    source: Source,
    numbers: &HashMap<&str, u64>,
) -> anyhow::Result<Vec<u64>> {
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let keys =
        |(id, number): (&&str, &u64)| EventKey::all_of(id).map(|EventKey(key)| (key.to_vec(), *number));
    let by_key: HashMap<Vec<u8>, u64> = numbers.iter().flat_map(keys).collect();
    let found = KeyEntity::find()
        .select_only()
        .column(KeyColumn::Key)
        .filter(KeyColumn::Source.eq(source.number()))
        .filter(KeyColumn::Key.is_in(by_key.keys().cloned()))
        .into_tuple::<Vec<u8>>()
        .all(store)
        .await?;
    Ok(found.iter().filter_map(|key| by_key.get(key).copied()).collect())
}

/// The items of a source that may be stored, by their ids.
fn generated(
    seed: u64,
    items: &[Item],
    source: Source,
    expectations: &Expectations,
) -> anyhow::Result<HashMap<String, (u64, Value)>> {
    let mut generated = HashMap::new();
    for item in items {
        let promise = expectations.promise(source, item.number);
        if matches!(promise, Some(Promise::Accepted | Promise::Nothing)) {
            let event: Value = serde_json::from_slice(&item.generate(seed))?;
            if let Some(id) = event["eventId"].as_str() {
                generated.insert(id.to_owned(), (item.number, event));
            }
        }
    }
    Ok(generated)
}

fn compare_row(
    row: &Model,
    (number, event): &(u64, Value),
    expectations: &mut Expectations,
    findings: &mut VerifyFindings,
) {
    expectations.note_stored(*number);
    findings.anonymous += u64::from(columns::is_anonymous(row));
    if let Some(column) = columns::first_difference(event, row) {
        findings.altered.add(|| format!("{}, column {column}", row.event_id));
    }
}

/// Finds rows of the run's ids, of either source, that the ledger does not explain.
async fn find_spurious(
    store: &StoreReader,
    source: Source,
    case: &Case,
    findings: &mut VerifyFindings,
) -> anyhow::Result<()> {
    for prefix in Source::ALL.iter().map(|prefix_of| id_prefix(*prefix_of, case.run.seed)) {
        let mut pages = rows::IdPages::with_prefix(&store.database, source, &prefix);
        while let Some(ids) = pages.next().await? {
            for id in ids.iter().filter(|id| !is_allowed(id, source, case)) {
                findings.spurious.add(|| format!("{id}, stored"));
            }
        }
    }
    Ok(())
}

/// An operator may have corrected and redriven a rejected item.
fn is_allowed(id: &str, source: Source, case: &Case) -> bool {
    let promise =
        number_of(id, source, case.run.seed).and_then(|number| case.expectations.promise(source, number));
    matches!(promise, Some(Promise::Accepted | Promise::Nothing | Promise::Rejected))
}
