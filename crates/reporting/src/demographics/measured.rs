//! What a source's events measure, ages or followers: added up from rollups, and from rows at ragged ends.

use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{CaseStatement, Condition, Expr, ExprTrait as _},
};
use weir::contract::event::v1::Source;
use weir_database::entity::events::Column;

use super::Mean;
use crate::{
    rollups::{Figures, Table, Term},
    rows::{self, SplitSum},
    store::Snapshot,
    time_range::Span,
};

#[derive(FromQueryResult)]
struct Row {
    measured: i64,
    #[sea_orm(nested)]
    sum: SplitSum,
}

/// Of every event that names somebody.
pub(super) async fn mean(snapshot: &Snapshot, source: Source, span: Span) -> Result<Mean, DbErr> {
    let column = if source == Source::Facebook { Column::Age } else { Column::Followers };
    let is_measured: Expr =
        CaseStatement::new().case(Expr::col(column).is_not_null(), 1_i64).finally(0_i64).into();
    let [high, low] = SplitSum::halves(column).map(|half| half.if_null(0_i64).cast_as("BIGINT"));
    let figures = Figures {
        table: Table::Kinds,
        spans: vec![span],
        filter: Condition::all().add(rows::of_source(source)),
        rows: Condition::all(),
        terms: vec![
            Term::new("measured", Expr::col("measured"), is_measured),
            Term::new("high", Expr::col("measure_high"), high),
            Term::new("low", Expr::col("measure_low"), low),
        ],
    };
    let all: Vec<Row> = snapshot.all(&figures.by(&[])).await?;
    let none = Mean { sum: 0, events: 0 };
    Ok(all
        .into_iter()
        .next()
        .map_or(none, |row| Mean { sum: row.sum.total(), events: row.measured.unsigned_abs() }))
}
