//! The SQL of a comparison. The database adds up and compares, so that only differences are sent to the client: a day
//! may have millions of campaigns.

use std::ops::Range;

use weir_database::{
    dialect::Dialect,
    split_sum::{LOW_BITS, LOW_MASK},
    time_bucket::Grain,
};
use weir_event::Source;

use super::{
    derived_table::{DerivedTable, of_rows},
    measures::Measure,
    period::Period,
};

/// A comparison of one table, for one source and day.
#[derive(Clone, Copy, Debug)]
pub(super) struct ComparisonQuery {
    pub(super) dialect: Dialect,
    pub(super) derived_table: DerivedTable,
    pub(super) source: Source,
    /// The day's start, µs since the Unix epoch.
    pub(super) day: i64,
    /// The time from which on rows are complete: a whole minute within the day, or one of its ends.
    pub(super) complete_from: i64,
    pub(super) period: Period,
}

impl ComparisonQuery {
    /// The differences by grain, bucket and key. The columns are: grain, bucket, stage, type, campaign, values in the
    /// database, expected values (see `Measures::read`), and whether both an hour and the day contradict the minutes.
    ///
    /// Minutes with complete rows are compared with their rows. Hours and days are compared with minutes: with sums
    /// of rows where these are complete, and with the written minutes elsewhere.
    pub(super) fn differences(&self) -> String {
        let keys = self.derived_table.keys().join(", ");
        let (written, expected) = (self.joined("written_"), self.joined("expected_"));
        format!(
            "WITH minutes AS MATERIALIZED ({} UNION ALL {}), sides AS ({}), differences AS ({}), judged AS ({}) \
             SELECT CAST(grain AS BIGINT), bucket, {}, {written}, {expected}, contradicted FROM judged \
             WHERE {} ORDER BY grain, bucket, {keys}",
            self.minutes_of_rows(),
            self.written_minutes(),
            self.sides(),
            self.unequal(),
            self.judged(),
            self.selected_keys(),
            self.within_period(),
        )
    }

    fn minutes_of_rows(&self) -> String {
        let keys = self.derived_table.keys().join(", ");
        let sums: Vec<String> = measure_columns(self.derived_table, of_rows);
        let Range { start, end } = self.complete();
        format!(
            "SELECT {} AS bucket, {keys}, {} FROM stored_events \
             WHERE occurred_at >= {start} AND occurred_at < {end} AND {} GROUP BY 1, {keys}",
            Grain::Minute.start_of_sql("occurred_at"),
            sums.join(", "),
            self.derived_table.rows_of(self.source),
        )
    }

    fn written_minutes(&self) -> String {
        let keys = self.derived_table.keys().join(", ");
        let sums = measure_columns(self.derived_table, |measure| {
            measure.columns().iter().map(|column| format!("SUM({column})")).collect()
        });
        format!(
            "SELECT bucket, {keys}, {} FROM {} WHERE {} GROUP BY bucket, {keys}",
            sums.join(", "),
            self.derived_table.table(),
            self.written(Grain::Minute, self.day..self.complete_from),
        )
    }

    /// Both sides as one table. Each row has zeros on the other side.
    fn sides(&self) -> String {
        let written = [(Grain::Minute, self.complete()), (Grain::Hour, self.day()), (Grain::Day, self.day())]
            .map(|(grain, buckets)| {
                let from = format!("{} WHERE {}", self.derived_table.table(), self.written(grain, buckets));
                self.side(grain, "bucket", &["", "0 * "], &from)
            });
        let expected = [
            (Grain::Minute, format!("minutes WHERE bucket >= {}", self.complete_from)),
            (Grain::Hour, "minutes".to_owned()),
            (Grain::Day, "minutes".to_owned()),
        ]
        .map(|(grain, from)| self.side(grain, &grain.start_of_sql("bucket"), &["0 * ", ""], &from));
        written.into_iter().chain(expected).collect::<Vec<_>>().join(" UNION ALL ")
    }

    /// `times` has the factor of the values on the written and on the expected side.
    fn side(&self, grain: Grain, bucket: &str, times: &[&str; 2], from: &str) -> String {
        let measures: Vec<String> = ["written_", "expected_"]
            .iter()
            .zip(times)
            .flat_map(|(side, times)| {
                columns(self.derived_table).map(move |column| format!("{times}{column} AS {side}{column}"))
            })
            .collect();
        let keys = self.derived_table.keys().join(", ");
        format!(
            "SELECT {} AS grain, {bucket} AS bucket, {keys}, {} FROM {from}",
            grain.number(),
            measures.join(", ")
        )
    }

    fn unequal(&self) -> String {
        let keys = self.derived_table.keys().join(", ");
        let sums: Vec<String> = ["written_", "expected_"]
            .iter()
            .flat_map(|side| columns(self.derived_table).map(move |column| format!("{side}{column}")))
            .map(|column| format!("SUM({column}) AS {column}"))
            .collect();
        let unequal: Vec<String> =
            self.derived_table.measures().iter().map(|measure| unequal(self.dialect, *measure)).collect();
        format!(
            "SELECT grain, bucket, {keys}, {} FROM sides GROUP BY grain, bucket, {keys} HAVING {}",
            sums.join(", "),
            unequal.join(" OR ")
        )
    }

    /// Marks the keys where both an hour and the day contradict the minutes, and no rows are left to decide.
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
            self.derived_table.keys().join(", ")
        )
    }

    /// The keys of both tables: stage, type, campaign.
    fn selected_keys(&self) -> &'static str {
        match self.derived_table {
            DerivedTable::Kinds => "CAST(funnel_stage AS BIGINT), CAST(event_type AS BIGINT), ''",
            DerivedTable::Campaigns => "CAST(0 AS BIGINT), CAST(0 AS BIGINT), campaign_id",
        }
    }

    /// Applied last, because only a whole day shows whether its minutes are contradicted.
    fn within_period(&self) -> String {
        let touched = Grain::ALL.map(|grain| {
            let Range { start, end } = self.period.buckets_of(grain, self.day);
            format!("(grain = {} AND bucket >= {start} AND bucket < {end})", grain.number())
        });
        touched.join(" OR ")
    }

    fn written(&self, grain: Grain, Range { start, end }: Range<i64>) -> String {
        let of_source = self.derived_table.written_of(self.source);
        format!("grain = {} AND bucket >= {start} AND bucket < {end} AND {of_source}", grain.number())
    }

    fn day(&self) -> Range<i64> {
        self.day..self.day + Grain::Day.width()
    }

    fn complete(&self) -> Range<i64> {
        self.complete_from..self.day().end
    }

    fn joined(&self, side: &str) -> String {
        joined(columns(self.derived_table).map(|column| format!("{side}{column}")))
    }
}

/// The condition that the two sums of a measure differ.
///
/// A sum of halves may exceed 64 bits. PostgreSQL's sums are NUMERIC. SQLite has no wider integer: there the carry of the
/// low half moves to the high half, so that equal sums have equal halves.
fn unequal(dialect: Dialect, measure: Measure) -> String {
    let sum = |side: &str, column: &str| format!("SUM({side}_{column})");
    match (measure.columns(), dialect) {
        ([high, low], Dialect::Sqlite) => {
            let carried = |side: &str| format!("{} + ({} >> {LOW_BITS})", sum(side, high), sum(side, low));
            let rest = |side: &str| format!("({} & {LOW_MASK})", sum(side, low));
            let [highs, lows] = [
                carried("written") + " <> " + &carried("expected"),
                rest("written") + " <> " + &rest("expected"),
            ];
            format!("{highs} OR {lows}")
        }
        ([high, low], Dialect::Postgres) => {
            let whole =
                |side: &str| format!("{} * {} + {}", sum(side, high), 1_i64 << LOW_BITS, sum(side, low));
            format!("{} <> {}", whole("written"), whole("expected"))
        }
        (columns, Dialect::Postgres | Dialect::Sqlite) => {
            let unequal =
                |column: &&str| format!("{} <> {}", sum("written", column), sum("expected", column));
            columns.iter().map(unequal).collect::<Vec<_>>().join(" OR ")
        }
    }
}

/// Columns as one text with spaces between. Both databases write integers of any size alike.
pub(super) fn joined(columns: impl Iterator<Item = String>) -> String {
    columns.map(|column| format!("CAST({column} AS TEXT)")).collect::<Vec<_>>().join(" || ' ' || ")
}

/// The columns of a table's measures.
pub(super) fn columns(derived_table: DerivedTable) -> impl Iterator<Item = &'static str> {
    derived_table.measures().iter().flat_map(|measure| measure.columns().iter().copied())
}

fn measure_columns(derived_table: DerivedTable, of: impl Fn(Measure) -> Vec<String>) -> Vec<String> {
    let named = |measure: &Measure| {
        let named = |(sum, column): (String, &&str)| format!("{sum} AS {column}");
        of(*measure).into_iter().zip(measure.columns()).map(named).collect::<Vec<_>>()
    };
    derived_table.measures().iter().flat_map(named).collect()
}

/// The first time of a row or a bucket in `span`; null where there is none.
pub(super) fn first_time(span: &Range<i64>) -> String {
    over_times("MIN", span)
}

/// The last time of a row or a bucket in `span`.
pub(super) fn last_time(span: &Range<i64>) -> String {
    over_times("MAX", span)
}

/// Each table is read by its index.
fn over_times(extreme: &str, Range { start, end }: &Range<i64>) -> String {
    let of_rows = format!(
        "SELECT {extreme}(occurred_at) AS time FROM events WHERE occurred_at >= {start} AND occurred_at < {end}"
    );
    let of_buckets = [DerivedTable::Kinds, DerivedTable::Campaigns].into_iter().flat_map(|derived_table| {
        Grain::ALL.map(|grain| {
            format!(
                "SELECT {extreme}(bucket) FROM {} WHERE grain = {} AND bucket >= {start} AND bucket < {end}",
                derived_table.table(),
                grain.number()
            )
        })
    });
    let all: Vec<String> = [of_rows].into_iter().chain(of_buckets).collect();
    format!("SELECT {extreme}(time) FROM ({}) AS times", all.join(" UNION ALL "))
}
