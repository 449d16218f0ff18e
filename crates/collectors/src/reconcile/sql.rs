//! The statements of a comparison. The database adds up and compares, so that only differences come over the wire and
//! campaigns may be millions.

use std::ops::Range;

use weir_event::Source;

use super::{
    grain::Grain,
    measures::Figure,
    period::Period,
    rollup_table::{Structure, of_rows},
};
use crate::store::rollups::{LOW_BITS, LOW_MASK};

/// How a database reckons with sums that may outgrow 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Sums are NUMERIC.
    Postgres,
    /// There is nothing wider: of two halves the carry is brought over, so that equal sums have equal halves.
    Sqlite,
}

/// What is compared: one structure of one source in one day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Comparison {
    pub(super) dialect: Dialect,
    pub(super) structure: Structure,
    pub(super) source: Source,
    /// The day's start, µs since the Unix epoch.
    pub(super) day: i64,
    /// Where rows begin to be complete, a whole minute within the day or one of its ends.
    pub(super) complete_from: i64,
    pub(super) period: Period,
}

impl Comparison {
    /// The differences by grain, bucket and key: grain, bucket, stage, type, campaign, what is written, what is expected
    /// (see `Figures::read`), and whether hours and the day contradict the minutes.
    ///
    /// A minute is compared with its rows where they are complete. Hours and days are compared with minutes: with what
    /// the rows say of those that are complete, with what is written of the others.
    pub(super) fn differences(&self) -> String {
        let keys = self.structure.keys().join(", ");
        let (written, expected) = (self.joined("written_"), self.joined("expected_"));
        format!(
            "WITH minutes AS MATERIALIZED ({} UNION ALL {}), sides AS ({}), differences AS ({}), judged AS ({}) \
             SELECT CAST(grain AS BIGINT), bucket, {}, {written}, {expected}, contradicted FROM judged \
             WHERE {} ORDER BY grain, bucket, {keys}",
            self.minutes_of_rows(),
            self.minutes_as_written(),
            self.sides(),
            self.unequal(),
            self.judged(),
            self.selected_keys(),
            self.asked_for(),
        )
    }

    fn minutes_of_rows(&self) -> String {
        let keys = self.structure.keys().join(", ");
        let sums: Vec<String> = figure_columns(self.structure, of_rows);
        let Range { start, end } = self.complete();
        format!(
            "SELECT {} AS bucket, {keys}, {} FROM events \
             WHERE occurred_at >= {start} AND occurred_at < {end} AND {} GROUP BY 1, {keys}",
            Grain::Minute.start_of("occurred_at"),
            sums.join(", "),
            self.structure.rows_of(self.source),
        )
    }

    fn minutes_as_written(&self) -> String {
        let keys = self.structure.keys().join(", ");
        let sums = figure_columns(self.structure, |figure| {
            figure.columns().iter().map(|column| format!("SUM({column})")).collect()
        });
        format!(
            "SELECT bucket, {keys}, {} FROM {} WHERE {} GROUP BY bucket, {keys}",
            sums.join(", "),
            self.structure.table(),
            self.written(Grain::Minute, self.day..self.complete_from),
        )
    }

    /// Both sides under one another, each with zeros where the other has its figures.
    fn sides(&self) -> String {
        let written = [(Grain::Minute, self.complete()), (Grain::Hour, self.day()), (Grain::Day, self.day())]
            .map(|(grain, buckets)| {
                let from = format!("{} WHERE {}", self.structure.table(), self.written(grain, buckets));
                self.side(grain, "bucket", &["", "0 * "], &from)
            });
        let expected = [
            (Grain::Minute, format!("minutes WHERE bucket >= {}", self.complete_from)),
            (Grain::Hour, "minutes".to_owned()),
            (Grain::Day, "minutes".to_owned()),
        ]
        .map(|(grain, from)| self.side(grain, &grain.start_of("bucket"), &["0 * ", ""], &from));
        written.into_iter().chain(expected).collect::<Vec<_>>().join(" UNION ALL ")
    }

    /// `times` is what the figures count for as written and as expected.
    fn side(&self, grain: Grain, bucket: &str, times: &[&str; 2], from: &str) -> String {
        let figures: Vec<String> = ["written_", "expected_"]
            .iter()
            .zip(times)
            .flat_map(|(side, times)| {
                columns(self.structure).map(move |column| format!("{times}{column} AS {side}{column}"))
            })
            .collect();
        let keys = self.structure.keys().join(", ");
        format!(
            "SELECT {} AS grain, {bucket} AS bucket, {keys}, {} FROM {from}",
            grain.number(),
            figures.join(", ")
        )
    }

    fn unequal(&self) -> String {
        let keys = self.structure.keys().join(", ");
        let sums: Vec<String> = ["written_", "expected_"]
            .iter()
            .flat_map(|side| columns(self.structure).map(move |column| format!("{side}{column}")))
            .map(|column| format!("SUM({column}) AS {column}"))
            .collect();
        let unequal: Vec<String> =
            self.structure.figures().iter().map(|figure| self.dialect.unequal(*figure)).collect();
        format!(
            "SELECT grain, bucket, {keys}, {} FROM sides GROUP BY grain, bucket, {keys} HAVING {}",
            sums.join(", "),
            unequal.join(" OR ")
        )
    }

    /// Whether, of one key, an hour and the day contradict the minutes, where these are all that is left.
    fn judged(&self) -> String {
        let incomplete = format!("bucket < {}", self.complete_from);
        let any = |grain: Grain| {
            let is_one = format!("grain = {} AND {incomplete}", grain.number());
            format!("MAX(CASE WHEN {is_one} THEN 1 ELSE 0 END) OVER same = 1")
        };
        format!(
            "SELECT differences.*, CAST(CASE WHEN {incomplete} AND {} AND {} THEN 1 ELSE 0 END AS BIGINT) \
             AS contradicted FROM differences WINDOW same AS (PARTITION BY {})",
            any(Grain::Hour),
            any(Grain::Day),
            self.structure.keys().join(", ")
        )
    }

    /// The keys of either structure: stage, type, campaign.
    fn selected_keys(&self) -> &'static str {
        match self.structure {
            Structure::Kinds => "CAST(funnel_stage AS BIGINT), CAST(event_type AS BIGINT), ''",
            Structure::Campaigns => "CAST(0 AS BIGINT), CAST(0 AS BIGINT), campaign_id",
        }
    }

    /// Only now: whether minutes are contradicted shows in all of their day.
    fn asked_for(&self) -> String {
        let touched = Grain::ALL.map(|grain| {
            let Range { start, end } = self.period.buckets_of(grain, self.day);
            format!("(grain = {} AND bucket >= {start} AND bucket < {end})", grain.number())
        });
        touched.join(" OR ")
    }

    fn written(&self, grain: Grain, Range { start, end }: Range<i64>) -> String {
        let of_source = self.structure.written_of(self.source);
        format!("grain = {} AND bucket >= {start} AND bucket < {end} AND {of_source}", grain.number())
    }

    fn day(&self) -> Range<i64> {
        self.day..self.day + Grain::Day.width()
    }

    fn complete(&self) -> Range<i64> {
        self.complete_from..self.day().end
    }

    fn joined(&self, side: &str) -> String {
        joined(columns(self.structure).map(|column| format!("{side}{column}")))
    }
}

impl Dialect {
    fn unequal(self, figure: Figure) -> String {
        let sum = |side: &str, column: &str| format!("SUM({side}_{column})");
        match (figure.columns(), self) {
            ([high, low], Self::Sqlite) => {
                let carried =
                    |side: &str| format!("{} + ({} >> {LOW_BITS})", sum(side, high), sum(side, low));
                let rest = |side: &str| format!("({} & {LOW_MASK})", sum(side, low));
                let [highs, lows] = [
                    carried("written") + " <> " + &carried("expected"),
                    rest("written") + " <> " + &rest("expected"),
                ];
                format!("{highs} OR {lows}")
            }
            ([high, low], Self::Postgres) => {
                let whole =
                    |side: &str| format!("{} * {} + {}", sum(side, high), 1_i64 << LOW_BITS, sum(side, low));
                format!("{} <> {}", whole("written"), whole("expected"))
            }
            (columns, Self::Postgres | Self::Sqlite) => {
                let unequal =
                    |column: &&str| format!("{} <> {}", sum("written", column), sum("expected", column));
                columns.iter().map(unequal).collect::<Vec<_>>().join(" OR ")
            }
        }
    }
}

/// Columns as one text, with spaces between: both databases say integers of any size the same way so.
pub(super) fn joined(columns: impl Iterator<Item = String>) -> String {
    columns.map(|column| format!("CAST({column} AS TEXT)")).collect::<Vec<_>>().join(" || ' ' || ")
}

/// The columns of a structure's figures.
pub(super) fn columns(structure: Structure) -> impl Iterator<Item = &'static str> {
    structure.figures().iter().flat_map(|figure| figure.columns().iter().copied())
}

fn figure_columns(structure: Structure, of: impl Fn(Figure) -> Vec<String>) -> Vec<String> {
    let named = |figure: &Figure| {
        let named = |(sum, column): (String, &&str)| format!("{sum} AS {column}");
        of(*figure).into_iter().zip(figure.columns()).map(named).collect::<Vec<_>>()
    };
    structure.figures().iter().flat_map(named).collect()
}

/// The first time at or after `span.start`, and before its end, that a row or a bucket has; null where there is none.
pub(super) fn first_time(span: &Range<i64>) -> String {
    over_times("MIN", span)
}

/// The last one.
pub(super) fn last_time(span: &Range<i64>) -> String {
    over_times("MAX", span)
}

/// Each table is asked by its index.
fn over_times(extreme: &str, Range { start, end }: &Range<i64>) -> String {
    let of_rows = format!(
        "SELECT {extreme}(occurred_at) AS time FROM events WHERE occurred_at >= {start} AND occurred_at < {end}"
    );
    let of_buckets = [Structure::Kinds, Structure::Campaigns].into_iter().flat_map(|structure| {
        Grain::ALL.map(|grain| {
            format!(
                "SELECT {extreme}(bucket) FROM {} WHERE grain = {} AND bucket >= {start} AND bucket < {end}",
                structure.table(),
                grain.number()
            )
        })
    });
    let all: Vec<String> = [of_rows].into_iter().chain(of_buckets).collect();
    format!("SELECT {extreme}(time) FROM ({}) AS times", all.join(" UNION ALL "))
}
