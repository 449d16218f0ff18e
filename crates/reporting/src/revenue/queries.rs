//! Queries of revenue, from rollups.

use std::iter::Sum;

use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{Condition, Expr, ExprTrait as _, JoinType, Order, Query, SelectStatement},
};
use weir::contract::{
    Money,
    event::v1::{EventType, Source},
};
use weir_database::{
    entity::{campaign_rollups, events::Column},
    split_sum::{SplitSum, halves, order_by_total, sum_or_zero},
    time_bucket::Grain,
};

use crate::{
    decimal::mean_of_money,
    rollups::{RollupColumn, RollupQuery, RollupTable, column_is, source_is},
    series::{Grouping, MAX_BUCKETS},
    store::Snapshot,
    time_range::TimeRange,
};

/// The transactions that a report selects, besides its range.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    pub(super) source: Option<Source>,
    pub(super) campaign_id: Option<String>,
}

/// The sum of some transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Revenue {
    pub(super) total: Money,
    pub(super) transactions: u64,
}

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

/// Revenue by source; only sources with revenue, in no order.
pub(super) async fn by_source(
    snapshot: &Snapshot,
    filter: &Filter,
    range: TimeRange,
) -> Result<Vec<(i32, Revenue)>, DbErr> {
    let Some(query) = query_of(filter, range) else { return Ok(Vec::new()) };
    if query.table == RollupTable::Campaigns {
        let all: Vec<AmountsRow> = snapshot.all(&query.group_by(&[])).await?;
        return Ok(all.into_iter().map(|row| (Source::Facebook.into(), row.into())).collect());
    }
    let sources: Vec<SourceRow> = snapshot.all(&query.group_by(&["source"])).await?;
    Ok(sources.into_iter().map(|row| (row.source.into(), row.amounts.into())).collect())
}

/// The campaigns with the most revenue, by revenue descending, then by name.
pub(super) async fn top_campaigns(
    snapshot: &Snapshot,
    filter: &Filter,
    range: TimeRange,
    limit: u64,
) -> Result<Vec<(String, Revenue)>, DbErr> {
    let mut query = query_of_campaigns(filter, vec![range]).group_by(&["campaign_id"]);
    let halves = ["high", "low"].map(|half| sum_or_zero(Expr::col(half)));
    limit_to_top(&mut query, halves, Expr::col("campaign_id"), limit);
    ranked(snapshot, &query).await
}

/// Every campaign with revenue in `ranges`, in no order.
pub(super) async fn campaigns_of(
    snapshot: &Snapshot,
    filter: &Filter,
    ranges: Vec<TimeRange>,
) -> Result<Vec<(String, Revenue)>, DbErr> {
    ranked(snapshot, &query_of_campaigns(filter, ranges).group_by(&["campaign_id"])).await
}

/// The campaigns with the most revenue among those with revenue in `rest`, by revenue descending, then by name. Their
/// revenue is that of `rest` and `days` together. PostgreSQL only.
pub(super) async fn top_campaigns_of_rest(
    snapshot: &Snapshot,
    filter: &Filter,
    days: TimeRange,
    rest: &[TimeRange],
    limit: u64,
) -> Result<Vec<(String, Revenue)>, DbErr> {
    const REST: &str = "rest";
    const DAYS: &str = "days";
    let of_rest = query_of_campaigns(filter, rest.to_vec()).group_by(&["campaign_id"]);
    let campaign_id = || Expr::col((REST, "campaign_id"));
    // Not a `RollupQuery`: PostgreSQL would need an outer join for its `HAVING`, and 500 campaigns take twice as long.
    let mut of_days = Query::select();
    of_days
        .from(campaign_rollups::Entity)
        .and_where(Expr::col("grain").eq(Grain::Day.number()))
        .and_where(Expr::col("campaign_id").eq(campaign_id()))
        .cond_where(days.contains(Expr::col("bucket")));
    let mut query = Query::select();
    query.expr_as(campaign_id(), "campaign_id");
    let sums = [("transactions", "transactions"), ("amount_high", "high"), ("amount_low", "low")];
    let [_, high, low] = sums.map(|(column, name)| {
        of_days.expr_as(sum_or_zero(Expr::col(column)), name);
        let both = Expr::col((REST, name)).add(Expr::col((DAYS, name)));
        query.expr_as(both.clone(), name);
        both
    });
    // The join looks each campaign of the rest up by its name, and never sums all campaigns of the days.
    query.from_subquery(of_rest, REST).join_lateral(JoinType::InnerJoin, of_days, DAYS, Condition::all());
    limit_to_top(&mut query, [high, low], campaign_id(), limit);
    ranked(snapshot, &query).await
}

/// The first `limit` groups by the total of these halves descending, then by name.
fn limit_to_top(query: &mut SelectStatement, halves: [Expr; 2], campaign_id: Expr, limit: u64) {
    for expression in order_by_total(halves) {
        query.order_by_expr(expression, Order::Desc);
    }
    query.order_by_expr(campaign_id, Order::Asc).limit(limit);
}

async fn ranked(snapshot: &Snapshot, query: &SelectStatement) -> Result<Vec<(String, Revenue)>, DbErr> {
    let campaigns: Vec<CampaignRow> = snapshot.all(query).await?;
    Ok(campaigns.into_iter().map(|row| (row.campaign_id, row.amounts.into())).collect())
}

/// Revenue by the start of its bucket in µs, ascending; only buckets with revenue. One bucket more than the most of a
/// response is enough to refuse the series.
pub(super) async fn over_time(
    snapshot: &Snapshot,
    filter: &Filter,
    range: TimeRange,
    grouping: Grouping,
) -> Result<Vec<(i64, Revenue)>, DbErr> {
    let Some(query) = query_of(filter, range) else { return Ok(Vec::new()) };
    let mut query = query.group_by_bucket(grouping);
    query.order_by("bucket", Order::Asc).limit(MAX_BUCKETS + 1);
    let buckets: Vec<BucketRow> = snapshot.all(&query).await?;
    Ok(buckets.into_iter().map(|row| (row.bucket, row.amounts.into())).collect())
}

/// The query of a filter; `None` where no row can match, because only Facebook has campaigns.
fn query_of(filter: &Filter, range: TimeRange) -> Option<RollupQuery> {
    match (&filter.campaign_id, filter.source) {
        (None, source) => Some(query_of_sources(source, vec![range])),
        (Some(_), Some(Source::Tiktok)) => None,
        (Some(_), _) => Some(query_of_campaigns(filter, vec![range])),
    }
}

fn query_of_sources(source: Option<Source>, ranges: Vec<TimeRange>) -> RollupQuery {
    let filter = Condition::all().add_option(source.map(source_is));
    let paid = |source, event_type: EventType| {
        source_is(source).and(column_is(Column::EventType, event_type.into()))
    };
    let sold =
        paid(Source::Facebook, EventType::CheckoutComplete).or(paid(Source::Tiktok, EventType::Purchase));
    let rows = Condition::all().add(Expr::col(Column::PurchaseAmount).is_not_null()).add(sold);
    RollupQuery { table: RollupTable::Events, ranges, filter, rows, sums: amounts() }
}

fn query_of_campaigns(filter: &Filter, ranges: Vec<TimeRange>) -> RollupQuery {
    let campaign_id = || Expr::col(Column::CampaignId);
    let of_sources = query_of_sources(None, ranges);
    let rows = of_sources.rows.add(source_is(Source::Facebook)).add(campaign_id().is_not_null());
    let filter = Condition::all().add_option(filter.campaign_id.as_deref().map(|id| campaign_id().eq(id)));
    RollupQuery { table: RollupTable::Campaigns, filter, rows, ..of_sources }
}

fn amounts() -> Vec<RollupColumn> {
    let [high, low] = halves(Expr::col(Column::PurchaseAmount));
    vec![
        RollupColumn::new("transactions", Expr::col("transactions"), Expr::val(1_i64)),
        RollupColumn::new("high", Expr::col("amount_high"), high),
        RollupColumn::new("low", Expr::col("amount_low"), low),
    ]
}

impl Revenue {
    pub(super) fn mean(&self) -> String {
        mean_of_money(self.total, self.transactions).to_string()
    }
}

impl Sum for Revenue {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |sum, part| Self {
            total: Money(sum.total.0 + part.total.0),
            transactions: sum.transactions + part.transactions,
        })
    }
}

impl From<AmountsRow> for Revenue {
    fn from(row: AmountsRow) -> Self {
        Self { total: Money(row.sum.total()), transactions: row.transactions.unsigned_abs() }
    }
}
