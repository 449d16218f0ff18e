//! A day of a source compared, in one state of the store.

use std::pin::pin;

use futures::StreamExt as _;
use weir_event::Source;

use super::{
    difference::{Difference, Evidence, Subject},
    error::ReconcileError,
    grain::Grain,
    measures::Figures,
    period::Period,
    repair,
    rollup_table::Structure,
    snapshot::{Found, Snapshot},
    sql::{self, Comparison},
};
use crate::{
    people::{Astray, People},
    store::{Store, row::small},
};

/// Differences that are handed over, and repaired, at once.
const PAGE: usize = 500;

/// Compares a store with itself. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reconciler {
    store: Store,
    period: Period,
}

/// What is compared at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    pub source: Source,
    /// The day's start, µs since the Unix epoch.
    pub day: i64,
}

/// A piece that was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    /// Since when the rows of the source are complete, µs since the Unix epoch; `None` where all of them are there.
    /// What lies before could not be compared with rows.
    pub complete_from: Option<i64>,
    pub differences: u64,
}

impl Reconciler {
    /// Every bucket that `period` touches is compared.
    #[must_use]
    pub fn new(store: Store, period: Period) -> Self {
        Self { store, period }
    }

    /// The first day of the period with anything in it, and the last; µs since the Unix epoch.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn days(&self) -> Result<Option<(i64, i64)>, ReconcileError> {
        let touched = self.period.buckets(Grain::Day);
        let mut snapshot = Snapshot::begin(&self.store.pool).await?;
        let first = snapshot.number(sql::first_time(&touched)).await?;
        let last = snapshot.number(sql::last_time(&touched)).await?;
        snapshot.end().await?;
        Ok(first.zip(last).map(|(first, last)| (Grain::Day.start(first), Grain::Day.start(last))))
    }

    /// The next day after `day` with anything in it.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn day_after(&self, day: i64) -> Result<Option<i64>, ReconcileError> {
        let mut touched = self.period.buckets(Grain::Day);
        touched.start = touched.start.max(day + Grain::Day.width());
        let mut snapshot = Snapshot::begin(&self.store.pool).await?;
        let next = snapshot.number(sql::first_time(&touched)).await?;
        snapshot.end().await?;
        Ok(next.map(|time| Grain::Day.start(time)))
    }

    /// Compares everything that is derived from the rows of a piece; `found` is handed the differences as they are
    /// found, by structure, grain and bucket, those of people last.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn compare(
        &self,
        piece: Piece,
        mut found: impl FnMut(Difference),
    ) -> Result<Compared, ReconcileError> {
        self.each_page(piece, async |page: &[Difference]| {
            page.iter().for_each(|difference| found(difference.clone()));
            Ok(())
        })
        .await
    }

    /// The same, and sets right through `writer` what it finds and is certain of. Storing waits while a page of
    /// differences is set right: some milliseconds each.
    ///
    /// # Errors
    /// The store can't be read or does not take it; what was set right until then stays so.
    pub async fn repair(
        &self,
        piece: Piece,
        writer: &Store,
        mut found: impl FnMut(Difference),
    ) -> Result<Compared, ReconcileError> {
        self.each_page(piece, async |page: &[Difference]| {
            let certain = page.iter().filter(|difference| difference.is_certain());
            let (people, sums): (Vec<&Difference>, Vec<&Difference>) =
                certain.partition(|difference| difference.subject == Subject::People);
            repair::repair(&writer.pool, &sums).await?;
            let astray: Vec<_> = people.iter().map(|astray| (astray.grain.number(), astray.bucket)).collect();
            People::new(writer).remake(small(piece.source.number()), &astray).await?;
            page.iter().for_each(|difference| found(difference.clone()));
            Ok(())
        })
        .await
    }

    /// A page is of one structure, or of people.
    async fn each_page(
        &self,
        piece: Piece,
        mut take: impl AsyncFnMut(&[Difference]) -> Result<(), ReconcileError>,
    ) -> Result<Compared, ReconcileError> {
        let mut snapshot = Snapshot::begin(&self.store.pool).await?;
        let complete_from = snapshot.number(horizon_of(piece.source)).await?;
        let mut differences = 0;
        for structure in Structure::of(piece.source) {
            let comparison = self.comparison(&snapshot, *structure, piece, complete_from);
            let mut pages = pin!(snapshot.differences(comparison.differences(), PAGE));
            while let Some(page) = pages.next().await {
                let page =
                    page.into_iter().map(|found| read(&comparison, found?)).collect::<Result<Vec<_>, _>>()?;
                take(&page).await?;
                differences += page.len() as u64;
            }
        }
        snapshot.end().await?;
        let asked = Grain::ALL.map(|grain| self.period.buckets_of(grain, piece.day));
        let astray = People::new(&self.store).astray(small(piece.source.number()), piece.day, &asked).await?;
        let people: Vec<Difference> = astray.iter().map(|astray| of_people(piece.source, astray)).collect();
        for page in people.chunks(PAGE) {
            take(page).await?;
            differences += page.len() as u64;
        }
        Ok(Compared { complete_from, differences })
    }

    fn comparison(
        &self,
        snapshot: &Snapshot,
        structure: Structure,
        Piece { source, day }: Piece,
        complete_from: Option<i64>,
    ) -> Comparison {
        let complete_from = complete_from.unwrap_or(day).clamp(day, day + Grain::Day.width());
        Comparison { dialect: snapshot.dialect(), structure, source, day, complete_from, period: self.period }
    }
}

fn horizon_of(source: Source) -> String {
    format!("SELECT complete_from FROM horizons WHERE source = {}", source.number())
}

fn of_people(source: Source, astray: &Astray) -> Difference {
    let (grain, bucket) = astray.bucket;
    let grain = Grain::of_number(grain.into()).expect("only these grains are compared");
    Difference {
        source,
        grain,
        bucket,
        subject: Subject::People,
        written: Figures::of_people(astray.written, astray.misplaced),
        expected: Figures::of_people(astray.expected, 0),
        evidence: if grain == Grain::Minute { Evidence::Rows } else { Evidence::Minutes },
    }
}

fn read(comparison: &Comparison, found: Found) -> Result<Difference, ReconcileError> {
    let (grain, bucket, funnel_stage, event_type, campaign, written, expected, contradicted) = found;
    let figures =
        |text: &str| Figures::read(comparison.structure.figures(), text).ok_or(ReconcileError::TooLarge);
    let number = |number| i16::try_from(number).map_err(|_| ReconcileError::TooLarge);
    Ok(Difference {
        source: comparison.source,
        grain: Grain::of_number(grain).expect("only these grains are compared"),
        bucket,
        subject: match comparison.structure {
            Structure::Kinds => {
                Subject::Kind { funnel_stage: number(funnel_stage)?, event_type: number(event_type)? }
            }
            Structure::Campaigns => Subject::Campaign(campaign),
        },
        written: figures(&written)?,
        expected: figures(&expected)?,
        evidence: match (bucket < comparison.complete_from, contradicted == 1) {
            (false, _) => Evidence::Rows,
            (true, false) => Evidence::Minutes,
            (true, true) => Evidence::Contradicted,
        },
    })
}
