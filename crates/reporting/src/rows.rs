//! The pieces that queries over the rows of `events` are made of, the same on both databases.

use sea_orm::{
    FromQueryResult,
    sea_query::{Condition, Expr, ExprTrait as _, Query, SelectStatement},
};
use weir::contract::event::v1::Source;
use weir_database::entity::events::{Column, Entity};

use crate::time_range::Span;

/// Where a sum is split: 2^53 − 1, the largest number of an event, has 27 bits above, so that 2^36 of either half
/// fit an `i64`. SQLite fails where a plain sum leaves `i64`.
const LOW_BITS: i32 = 26;
const LOW_MASK: i64 = (1 << LOW_BITS) - 1;

/// `SELECT … FROM events WHERE …`, with the columns still to be named.
pub(crate) fn select(rows: Condition) -> SelectStatement {
    Query::select().from(Entity).cond_where(rows).take()
}

/// The rows within a span.
pub(crate) fn within(span: &Span) -> Condition {
    between(Expr::col(Column::OccurredAt), span)
}

/// Where a time lies within a span.
pub(crate) fn between(time: Expr, span: &Span) -> Condition {
    Condition::all()
        .add_option(span.from.map(|from| time.clone().gte(from)))
        .add_option(span.to.map(|to| time.lt(to)))
}

/// The rows of one source.
pub(crate) fn of_source(source: Source) -> Expr {
    is(Column::Source, source.into())
}

/// The rows with this number of a closed set.
pub(crate) fn is(column: Column, number: i32) -> Expr {
    Expr::col(column).eq(number)
}

/// `count(*)`.
pub(crate) fn count() -> Expr {
    Expr::cust("COUNT(*)")
}

/// A sum in two halves, which together are exact; both 0 without rows.
#[derive(Clone, Copy, Debug, Default, FromQueryResult)]
pub(crate) struct SplitSum {
    high: i64,
    low: i64,
}

impl SplitSum {
    /// Adds the two halves of the sum of `column`.
    pub(crate) fn add_to(select: &mut SelectStatement, column: Column) {
        let [high, low] = Self::halves(column);
        select.expr_as(sum(high), "high").expr_as(sum(low), "low");
    }

    /// What a row adds to either half.
    pub(crate) fn halves(column: Column) -> [Expr; 2] {
        [Expr::col(column).right_shift(LOW_BITS), Expr::col(column).bit_and(LOW_MASK)]
    }

    /// What orders groups by their exact sum of these two halves: the first expression, and the second among equals.
    pub(crate) fn order([high, low]: [Expr; 2]) -> [Expr; 2] {
        [high.add(low.clone().right_shift(LOW_BITS)), low.bit_and(LOW_MASK)]
    }

    pub(crate) fn total(self) -> i128 {
        (i128::from(self.high) << LOW_BITS) + i128::from(self.low)
    }
}

/// A sum that fits; 0 without rows. PostgreSQL's own sum of BIGINT is NUMERIC.
pub(crate) fn sum(expression: Expr) -> Expr {
    expression.sum().if_null(0_i64).cast_as("BIGINT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_halves_of_a_sum_make_it_whole() {
        let largest = (1_i64 << 53) - 1;
        let many = 1_i64 << 36;
        let sum = SplitSum { high: (largest >> LOW_BITS) * many, low: (largest & LOW_MASK) * (many - 1) };
        let expected = i128::from(largest) * i128::from(many) - i128::from(largest & LOW_MASK);
        assert_eq!(sum.total(), expected);
    }
}
