//! The reconciler: compares a source's day in one state of the database, and repairs the differences.

use std::pin::pin;

use futures::StreamExt as _;
use weir_database::time_bucket::Grain;
use weir_event::Source;

use super::{
    derived_table::DerivedTable,
    difference::{Difference, Evidence, Subject},
    error::ReconcileError,
    measures::Measures,
    period::Period,
    read_transaction::{DifferenceRow, ReadTransaction},
    repair,
    sql::{self, ComparisonQuery},
};
use crate::{
    people::{Mismatch, People},
    rankings::{Rankings, WrongRanking},
    store::{Store, to_smallint},
};

/// The most differences that are reported, and repaired, at once.
const PAGE: usize = 500;

/// Compares the derived data of a store with its rows. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reconciler {
    store: Store,
    period: Period,
}

/// The unit of a query: one source on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceDay {
    pub source: Source,
    /// The day's start, µs since the Unix epoch.
    pub day: i64,
}

/// The result of comparing one source's day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComparedDay {
    /// The time from which on the rows of the source are complete, µs since the Unix epoch; `None` where no row was
    /// removed. Buckets before it could not be compared with rows.
    pub complete_from: Option<i64>,
    pub differences: u64,
}

impl Reconciler {
    /// A reconciler of every bucket that `period` touches.
    #[must_use]
    pub fn new(store: Store, period: Period) -> Self {
        Self { store, period }
    }

    /// The first and the last day of the period with a row or a bucket; µs since the Unix epoch.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn days(&self) -> Result<Option<(i64, i64)>, ReconcileError> {
        let touched = self.period.buckets(Grain::Day);
        let mut snapshot = ReadTransaction::begin(&self.store.pool).await?;
        let first = snapshot.number(sql::first_time(&touched)).await?;
        let last = snapshot.number(sql::last_time(&touched)).await?;
        snapshot.end().await?;
        Ok(first.zip(last).map(|(first, last)| (Grain::Day.start_of(first), Grain::Day.start_of(last))))
    }

    /// The next day after `day` with a row or a bucket.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn day_after(&self, day: i64) -> Result<Option<i64>, ReconcileError> {
        let mut touched = self.period.buckets(Grain::Day);
        touched.start = touched.start.max(day + Grain::Day.width());
        let mut snapshot = ReadTransaction::begin(&self.store.pool).await?;
        let next = snapshot.number(sql::first_time(&touched)).await?;
        snapshot.end().await?;
        Ok(next.map(|time| Grain::Day.start_of(time)))
    }

    /// Compares all derived data of a source's day. Calls `found` with each difference, in the order of table, grain
    /// and bucket; those of rankings and of people come last.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn compare(
        &self,
        source_day: SourceDay,
        mut found: impl FnMut(Difference),
    ) -> Result<ComparedDay, ReconcileError> {
        self.each_page(source_day, async |page: &[Difference]| {
            page.iter().for_each(|difference| found(difference.clone()));
            Ok(())
        })
        .await
    }

    /// Compares, and repairs through `writer` the differences whose evidence suffices. Storing waits while a page of
    /// differences is repaired, for some milliseconds each.
    ///
    /// # Errors
    /// The database can't be read or written. Repaired buckets stay repaired.
    pub async fn repair(
        &self,
        source_day: SourceDay,
        writer: &Store,
        mut found: impl FnMut(Difference),
    ) -> Result<ComparedDay, ReconcileError> {
        self.each_page(source_day, async |page: &[Difference]| {
            let certain = page.iter().filter(|difference| difference.is_certain());
            let (mut people, mut rankings, mut sums) = (Vec::new(), Vec::new(), Vec::new());
            for difference in certain {
                let bucket = (difference.grain.number(), difference.bucket);
                match difference.subject {
                    Subject::People => people.push(bucket),
                    Subject::Ranking => rankings.push(bucket),
                    Subject::EventKind { .. } | Subject::Campaign(_) => sums.push(difference),
                }
            }
            repair::repair(&writer.pool, &sums).await?;
            People::new(writer).rebuild_buckets(to_smallint(source_day.source.number()), &people).await?;
            Rankings::new(writer).rebuild_buckets(&rankings).await?;
            page.iter().for_each(|difference| found(difference.clone()));
            Ok(())
        })
        .await
    }

    /// Calls `take` with each page of differences. A page is of one table, of rankings, or of people.
    async fn each_page(
        &self,
        source_day: SourceDay,
        mut take: impl AsyncFnMut(&[Difference]) -> Result<(), ReconcileError>,
    ) -> Result<ComparedDay, ReconcileError> {
        let mut snapshot = ReadTransaction::begin(&self.store.pool).await?;
        let complete_from = snapshot.number(horizon_of(source_day.source)).await?;
        let mut differences = 0;
        for derived_table in DerivedTable::of(source_day.source) {
            let query = self.query(&snapshot, *derived_table, source_day, complete_from);
            let mut pages = pin!(snapshot.differences(query.differences(), PAGE));
            while let Some(page) = pages.next().await {
                let page =
                    page.into_iter().map(|found| read(&query, found?)).collect::<Result<Vec<_>, _>>()?;
                take(&page).await?;
                differences += page.len() as u64;
            }
        }
        snapshot.end().await?;
        let asked = Grain::ALL.map(|grain| self.period.buckets_of(grain, source_day.day));
        // Campaigns are Facebook's.
        if source_day.source == Source::Facebook {
            let wrong = Rankings::new(&self.store).wrong_rankings(source_day.day, &asked).await?;
            let wrong: Vec<Difference> = wrong.iter().map(of_ranking).collect();
            for page in wrong.chunks(PAGE) {
                take(page).await?;
                differences += page.len() as u64;
            }
        }
        let mismatches = People::new(&self.store)
            .mismatches(to_smallint(source_day.source.number()), source_day.day, &asked)
            .await?;
        let people: Vec<Difference> =
            mismatches.iter().map(|mismatch| of_people(source_day.source, mismatch)).collect();
        for page in people.chunks(PAGE) {
            take(page).await?;
            differences += page.len() as u64;
        }
        Ok(ComparedDay { complete_from, differences })
    }

    fn query(
        &self,
        snapshot: &ReadTransaction,
        derived_table: DerivedTable,
        SourceDay { source, day }: SourceDay,
        complete_from: Option<i64>,
    ) -> ComparisonQuery {
        let complete_from = complete_from.unwrap_or(day).clamp(day, day + Grain::Day.width());
        ComparisonQuery {
            dialect: snapshot.dialect(),
            derived_table,
            source,
            day,
            complete_from,
            period: self.period,
        }
    }
}

fn horizon_of(source: Source) -> String {
    format!("SELECT complete_from FROM horizons WHERE source = {}", source.number())
}

fn of_people(source: Source, mismatch: &Mismatch) -> Difference {
    let (grain, bucket) = mismatch.bucket;
    let grain = Grain::from_number(grain.into()).expect("only these grains are compared");
    Difference {
        source,
        grain,
        bucket,
        subject: Subject::People,
        written: Measures::of_people(mismatch.written, mismatch.misplaced),
        expected: Measures::of_people(mismatch.expected, 0),
        evidence: if grain == Grain::Minute { Evidence::Rows } else { Evidence::Minutes },
    }
}

fn of_ranking(wrong: &WrongRanking) -> Difference {
    let (grain, bucket) = wrong.bucket;
    Difference {
        source: Source::Facebook,
        grain: Grain::from_number(grain.into()).expect("only these grains are compared"),
        bucket,
        subject: Subject::Ranking,
        written: Measures::of_ranking(wrong.misplaced),
        expected: Measures::of_ranking(0),
        evidence: Evidence::Campaigns,
    }
}

fn read(query: &ComparisonQuery, found: DifferenceRow) -> Result<Difference, ReconcileError> {
    let (grain, bucket, funnel_stage, event_type, campaign, written, expected, contradicted) = found;
    let measures =
        |text: &str| Measures::read(query.derived_table.measures(), text).ok_or(ReconcileError::TooLarge);
    let number = |number| i16::try_from(number).map_err(|_| ReconcileError::TooLarge);
    Ok(Difference {
        source: query.source,
        grain: Grain::from_number(grain).expect("only these grains are compared"),
        bucket,
        subject: match query.derived_table {
            DerivedTable::Kinds => {
                Subject::EventKind { funnel_stage: number(funnel_stage)?, event_type: number(event_type)? }
            }
            DerivedTable::Campaigns => Subject::Campaign(campaign),
        },
        written: measures(&written)?,
        expected: measures(&expected)?,
        evidence: match (bucket < query.complete_from, contradicted == 1) {
            (false, _) => Evidence::Rows,
            (true, false) => Evidence::Minutes,
            (true, true) => Evidence::Contradicted,
        },
    })
}
