//! The money, from rollups.

use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{Condition, Expr, ExprTrait as _, JoinType, Order, Query, SelectStatement},
};
use weir::contract::event::v1::{EventType, Source};
use weir_database::entity::{campaign_rollups, events::Column};

use super::{Revenue, RevenueQuestion, closed_days::Settled};
use crate::{
    decimal::Money,
    plan::Grain,
    rollups::{Figures, Table, Term},
    rows::{self, SplitSum},
    series::{Grouping, MAX_BUCKETS},
    store::Snapshot,
    time_range::Span,
};

#[derive(FromQueryResult)]
struct SourceRow {
    source: i16,
    #[sea_orm(nested)]
    amounts: AmountsRow,
}

#[derive(FromQueryResult)]
struct CampaignRow {
    campaign_id: String,
    #[sea_orm(nested)]
    amounts: AmountsRow,
}

#[derive(FromQueryResult)]
struct BucketRow {
    bucket: i64,
    #[sea_orm(nested)]
    amounts: AmountsRow,
}

#[derive(FromQueryResult)]
struct AmountsRow {
    transactions: i64,
    #[sea_orm(nested)]
    sum: SplitSum,
}

/// Revenue by source; only sources that have some, in no order.
pub(super) async fn by_source(
    snapshot: &Snapshot,
    question: &RevenueQuestion,
    span: Span,
) -> Result<Vec<(i32, Revenue)>, DbErr> {
    let Some(figures) = figures(question, span) else { return Ok(Vec::new()) };
    if figures.table == Table::Campaigns {
        let all: Vec<AmountsRow> = snapshot.all(&figures.by(&[])).await?;
        return Ok(all.into_iter().map(|row| (Source::Facebook.into(), row.into())).collect());
    }
    let sources: Vec<SourceRow> = snapshot.all(&figures.by(&["source"])).await?;
    Ok(sources.into_iter().map(|row| (row.source.into(), row.amounts.into())).collect())
}

/// The campaigns with the most revenue, by revenue descending, then by name.
pub(super) async fn top_campaigns(
    snapshot: &Snapshot,
    question: &RevenueQuestion,
    span: Span,
) -> Result<Vec<(String, Revenue)>, DbErr> {
    let mut query = of_campaigns(question, vec![span]).by(&["campaign_id"]);
    let halves = ["high", "low"].map(|half| rows::sum(Expr::col(half)));
    first_of(&mut query, halves, Expr::col("campaign_id"), question.limit);
    ranked(snapshot, &query).await
}

/// The campaigns with the most revenue of all that have some in the rest of a range, with what they have in its days
/// too, by revenue descending, then by name. PostgreSQL alone.
pub(super) async fn top_campaigns_of_rest(
    snapshot: &Snapshot,
    question: &RevenueQuestion,
    settled: &Settled,
) -> Result<Vec<(String, Revenue)>, DbErr> {
    const REST: &str = "rest";
    const DAYS: &str = "days";
    let rest = of_campaigns(question, settled.rest.clone()).by(&["campaign_id"]);
    let campaign_id = || Expr::col((REST, "campaign_id"));
    // Not `Figures`, whose `HAVING` PostgreSQL would need an outer join for: 500 campaigns take it twice as long.
    let mut days = Query::select();
    days.from(campaign_rollups::Entity)
        .and_where(Expr::col("grain").eq(Grain::Day.number()))
        .and_where(Expr::col("campaign_id").eq(campaign_id()))
        .cond_where(rows::between(Expr::col("bucket"), &settled.days));
    let mut query = Query::select();
    query.expr_as(campaign_id(), "campaign_id");
    let terms = [("transactions", "transactions"), ("amount_high", "high"), ("amount_low", "low")];
    let [_, high, low] = terms.map(|(column, name)| {
        days.expr_as(rows::sum(Expr::col(column)), name);
        let both = Expr::col((REST, name)).add(Expr::col((DAYS, name)));
        query.expr_as(both.clone(), name);
        both
    });
    // Each campaign of the rest is looked up by its name: a table of all campaigns of the days is never made.
    query.from_subquery(rest, REST).join_lateral(JoinType::InnerJoin, days, DAYS, Condition::all());
    first_of(&mut query, [high, low], campaign_id(), question.limit);
    ranked(snapshot, &query).await
}

/// Only so many, by the sum of these halves descending, then by name.
fn first_of(query: &mut SelectStatement, halves: [Expr; 2], campaign_id: Expr, limit: u64) {
    for half in SplitSum::order(halves) {
        query.order_by_expr(half, Order::Desc);
    }
    query.order_by_expr(campaign_id, Order::Asc).limit(limit);
}

async fn ranked(snapshot: &Snapshot, query: &SelectStatement) -> Result<Vec<(String, Revenue)>, DbErr> {
    let campaigns: Vec<CampaignRow> = snapshot.all(query).await?;
    Ok(campaigns.into_iter().map(|row| (row.campaign_id, row.amounts.into())).collect())
}

/// Revenue by bucket start in microseconds, ascending; only buckets that have some, and no more of them than show
/// that there are too many.
pub(super) async fn over_time(
    snapshot: &Snapshot,
    question: &RevenueQuestion,
    span: Span,
    grouping: Grouping,
) -> Result<Vec<(i64, Revenue)>, DbErr> {
    let Some(figures) = figures(question, span) else { return Ok(Vec::new()) };
    let mut query = figures.over_time(grouping);
    query.order_by("bucket", Order::Asc).limit(MAX_BUCKETS + 1);
    let buckets: Vec<BucketRow> = snapshot.all(&query).await?;
    Ok(buckets.into_iter().map(|row| (row.bucket, row.amounts.into())).collect())
}

/// What is asked for; `None` where nothing can match: only Facebook has campaigns.
fn figures(question: &RevenueQuestion, span: Span) -> Option<Figures> {
    match (&question.campaign_id, question.source) {
        (None, source) => Some(of_sources(source, vec![span])),
        (Some(_), Some(Source::Tiktok)) => None,
        (Some(_), _) => Some(of_campaigns(question, vec![span])),
    }
}

fn of_sources(source: Option<Source>, spans: Vec<Span>) -> Figures {
    let filter = Condition::all().add_option(source.map(rows::of_source));
    let paid = |source, event_type: EventType| {
        rows::of_source(source).and(rows::is(Column::EventType, event_type.into()))
    };
    let sold =
        paid(Source::Facebook, EventType::CheckoutComplete).or(paid(Source::Tiktok, EventType::Purchase));
    let rows = Condition::all().add(Expr::col(Column::PurchaseAmount).is_not_null()).add(sold);
    Figures { table: Table::Kinds, spans, filter, rows, terms: amounts() }
}

fn of_campaigns(question: &RevenueQuestion, spans: Vec<Span>) -> Figures {
    let campaign_id = || Expr::col(Column::CampaignId);
    let filter = Condition::all().add_option(question.campaign_id.as_deref().map(|id| campaign_id().eq(id)));
    let of_sources = of_sources(None, spans);
    let rows = of_sources.rows.add(rows::of_source(Source::Facebook)).add(campaign_id().is_not_null());
    Figures { table: Table::Campaigns, filter, rows, ..of_sources }
}

fn amounts() -> Vec<Term> {
    let [high, low] = SplitSum::halves(Column::PurchaseAmount);
    vec![
        Term::new("transactions", Expr::col("transactions"), Expr::val(1_i64)),
        Term::new("high", Expr::col("amount_high"), high),
        Term::new("low", Expr::col("amount_low"), low),
    ]
}

impl From<AmountsRow> for Revenue {
    fn from(row: AmountsRow) -> Self {
        Self { total: Money(row.sum.total()), transactions: row.transactions.unsigned_abs() }
    }
}
