//! Queries of rollups: sums over a range, from buckets and, where the range begins or ends between two whole minutes,
//! from rows of `events`. Each is one statement, the same on both databases.

use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, Query, SelectStatement, UnionType};
use weir::contract::event::v1::Source;
use weir_database::{
    entity::{campaign_rollups, events, rollups},
    split_sum::sum_or_zero,
    time_bucket::Grain,
};

use crate::{
    plan::{self, Granularity, Piece},
    series::Grouping,
    time_range::TimeRange,
};

/// A table of rollups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RollupTable {
    /// All events, by source, stage and type.
    Events,
    /// Transactions of Facebook, by campaign.
    Campaigns,
}

/// A key or a summand: its expression in a rollup, and in a row of `events`.
#[derive(Clone, Debug)]
pub(crate) struct RollupColumn {
    name: &'static str,
    of_bucket: Expr,
    of_row: Expr,
}

impl RollupColumn {
    pub(crate) fn new(name: &'static str, of_bucket: Expr, of_row: Expr) -> Self {
        Self { name, of_bucket, of_row }
    }

    /// A column that rollups and rows have under the same name.
    pub(crate) fn shared(name: &'static str) -> Self {
        Self::new(name, Expr::col(name), Expr::col(name))
    }

    /// The start of the bucket of a series.
    fn bucket(grouping: Grouping) -> Self {
        let width = grouping.grain().width();
        let start = |time: Expr| time.clone().sub(time.modulo(width));
        Self::new("bucket", start(Expr::col("bucket")), start(Expr::col(events::Column::OccurredAt)))
    }
}

/// A query of sums.
#[derive(Clone, Debug)]
pub(crate) struct RollupQuery {
    pub(crate) table: RollupTable,
    /// Ranges without overlap.
    pub(crate) ranges: Vec<TimeRange>,
    /// A condition on columns that rollups and rows have under the same name.
    pub(crate) filter: Condition,
    /// The rows that the rollups count.
    pub(crate) rows: Condition,
    /// The columns that are added up. A group whose first sum is 0 has no events, and is left out.
    pub(crate) sums: Vec<RollupColumn>,
}

impl RollupQuery {
    /// `SELECT <keys>, <sums> … GROUP BY <keys>`: the groups that have something, in no order.
    pub(crate) fn group_by(&self, keys: &[&'static str]) -> SelectStatement {
        let keys: Vec<RollupColumn> = keys.iter().copied().map(RollupColumn::shared).collect();
        self.grouped(&keys, Grain::Day)
    }

    /// The same by `bucket`, the start of the buckets of a series.
    pub(crate) fn group_by_bucket(&self, grouping: Grouping) -> SelectStatement {
        self.grouped(&[RollupColumn::bucket(grouping)], grouping.grain())
    }

    fn grouped(&self, keys: &[RollupColumn], coarsest: Grain) -> SelectStatement {
        let mut query = Query::select();
        query.from_subquery(self.pieces(keys, coarsest), "parts");
        for key in keys {
            query.column(key.name).group_by_col(key.name);
        }
        for column in &self.sums {
            query.expr_as(sum_or_zero(Expr::col(column.name)), column.name);
        }
        if let Some(first) = self.sums.first() {
            query.and_having(sum_or_zero(Expr::col(first.name)).gt(0));
        }
        query
    }

    /// The union of the pieces of all ranges.
    fn pieces(&self, keys: &[RollupColumn], coarsest: Grain) -> SelectStatement {
        /// A range without pieces and without rows.
        const EMPTY: TimeRange = TimeRange { from: Some(0), to: Some(0) };
        let pieces = self.ranges.iter().flat_map(|range| plan::pieces(*range, coarsest));
        let mut selects = pieces.map(|piece| self.piece(&piece, keys));
        let mut first = selects.next().unwrap_or_else(|| self.of_rows(&EMPTY, keys));
        first.unions(selects.map(|select| (UnionType::All, select)));
        first
    }

    fn piece(&self, piece: &Piece, keys: &[RollupColumn]) -> SelectStatement {
        match piece.granularity {
            Granularity::Rows => self.of_rows(&piece.range, keys),
            Granularity::Buckets(grain) => self.of_buckets(grain, &piece.range, keys),
        }
    }

    fn of_rows(&self, range: &TimeRange, keys: &[RollupColumn]) -> SelectStatement {
        let mut select = select_events(occurred_in(range));
        select.cond_where(self.rows.clone()).cond_where(self.filter.clone());
        for column in keys.iter().chain(&self.sums) {
            select.expr_as(column.of_row.clone(), column.name);
        }
        select
    }

    fn of_buckets(&self, grain: Grain, range: &TimeRange, keys: &[RollupColumn]) -> SelectStatement {
        let mut select = Query::select();
        match self.table {
            RollupTable::Events => select.from(rollups::Entity),
            RollupTable::Campaigns => select.from(campaign_rollups::Entity),
        };
        select
            .and_where(Expr::col("grain").eq(grain.number()))
            .cond_where(range.contains(Expr::col("bucket")))
            .cond_where(self.filter.clone());
        for column in keys.iter().chain(&self.sums) {
            select.expr_as(column.of_bucket.clone(), column.name);
        }
        select
    }
}

/// `SELECT … FROM events WHERE …`; the caller adds the columns.
pub(crate) fn select_events(rows: Condition) -> SelectStatement {
    Query::select().from(events::Entity).cond_where(rows).take()
}

/// The condition that an event lies in a range.
pub(crate) fn occurred_in(range: &TimeRange) -> Condition {
    range.contains(Expr::col(events::Column::OccurredAt))
}

/// The condition that an event has this source.
pub(crate) fn source_is(source: Source) -> Expr {
    column_is(events::Column::Source, source.into())
}

/// The condition that a column has this number of a closed set.
pub(crate) fn column_is(column: events::Column, number: i32) -> Expr {
    Expr::col(column).eq(number)
}
