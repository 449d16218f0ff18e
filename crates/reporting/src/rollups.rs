//! Figures over a range, added up from rollups and, where the range begins or ends between two whole minutes, from
//! rows: one statement, the same on both databases.

use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, Query, SelectStatement, UnionType};
use weir_database::entity::{campaign_rollups, events, rollups};

use crate::{
    plan::{self, Grain, Origin, Piece},
    rows,
    series::Grouping,
    time_range::Span,
};

/// Which rollups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    /// Of all events, by source, stage and type.
    Kinds,
    /// Of Facebook's transactions, by campaign.
    Campaigns,
}

/// A figure or a key, as a rollup has it and as a row of events has it.
#[derive(Clone, Debug)]
pub(crate) struct Term {
    name: &'static str,
    of_bucket: Expr,
    of_row: Expr,
}

impl Term {
    pub(crate) fn new(name: &'static str, of_bucket: Expr, of_row: Expr) -> Self {
        Self { name, of_bucket, of_row }
    }

    /// One that both name alike.
    pub(crate) fn column(name: &'static str) -> Self {
        Self::new(name, Expr::col(name), Expr::col(name))
    }

    /// The start of the bucket of a series.
    fn bucket(grouping: Grouping) -> Self {
        let width = grouping.grain().width();
        let start = |time: Expr| time.clone().sub(time.modulo(width));
        Self::new("bucket", start(Expr::col("bucket")), start(Expr::col(events::Column::OccurredAt)))
    }
}

/// What is added up.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    pub(crate) table: Table,
    /// Without overlap.
    pub(crate) spans: Vec<Span>,
    /// What counts, by columns that rollups and rows name alike.
    pub(crate) filter: Condition,
    /// Which rows the rollups count.
    pub(crate) rows: Condition,
    /// The first of them is 0 where there is nothing.
    pub(crate) terms: Vec<Term>,
}

impl Figures {
    /// `SELECT <keys>, <sums of the terms> … GROUP BY <keys>`: groups that have something, in no order.
    pub(crate) fn by(&self, keys: &[&'static str]) -> SelectStatement {
        let keys: Vec<Term> = keys.iter().copied().map(Term::column).collect();
        self.grouped(&keys, Grain::Day)
    }

    /// The same by `bucket`, the start of the buckets of a series.
    pub(crate) fn over_time(&self, grouping: Grouping) -> SelectStatement {
        self.grouped(&[Term::bucket(grouping)], grouping.grain())
    }

    fn grouped(&self, keys: &[Term], coarsest: Grain) -> SelectStatement {
        let mut query = Query::select();
        query.from_subquery(self.parts(keys, coarsest), "parts");
        for key in keys {
            query.column(key.name).group_by_col(key.name);
        }
        for term in &self.terms {
            query.expr_as(rows::sum(Expr::col(term.name)), term.name);
        }
        if let Some(first) = self.terms.first() {
            query.and_having(rows::sum(Expr::col(first.name)).gt(0));
        }
        query
    }

    /// The pieces of the spans under one another.
    fn parts(&self, keys: &[Term], coarsest: Grain) -> SelectStatement {
        /// It has no pieces, and no rows either.
        const EMPTY: Span = Span { from: Some(0), to: Some(0) };
        let pieces = self.spans.iter().flat_map(|span| plan::pieces(*span, coarsest));
        let mut parts = pieces.map(|piece| self.part(&piece, keys));
        let mut first = parts.next().unwrap_or_else(|| self.of_rows(&EMPTY, keys));
        first.unions(parts.map(|part| (UnionType::All, part)));
        first
    }

    fn part(&self, piece: &Piece, keys: &[Term]) -> SelectStatement {
        match piece.origin {
            Origin::Rows => self.of_rows(&piece.span, keys),
            Origin::Buckets(grain) => self.of_buckets(grain, &piece.span, keys),
        }
    }

    fn of_rows(&self, span: &Span, keys: &[Term]) -> SelectStatement {
        let mut part = rows::select(rows::within(span));
        part.cond_where(self.rows.clone()).cond_where(self.filter.clone());
        for term in keys.iter().chain(&self.terms) {
            part.expr_as(term.of_row.clone(), term.name);
        }
        part
    }

    fn of_buckets(&self, grain: Grain, span: &Span, keys: &[Term]) -> SelectStatement {
        let mut part = Query::select();
        match self.table {
            Table::Kinds => part.from(rollups::Entity),
            Table::Campaigns => part.from(campaign_rollups::Entity),
        };
        part.and_where(Expr::col("grain").eq(grain.number()))
            .cond_where(rows::between(Expr::col("bucket"), span))
            .cond_where(self.filter.clone());
        for term in keys.iter().chain(&self.terms) {
            part.expr_as(term.of_bucket.clone(), term.name);
        }
        part
    }
}
