//! The money, from the rows.

use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{Condition, Expr, ExprTrait as _, Order, SelectStatement},
};
use weir::contract::event::v1::{EventType, Source};
use weir_migration::entity::events::Column;

use super::{Revenue, RevenueQuestion};
use crate::{
    decimal::Money,
    rows::{self, SplitSum},
    series::{Grouping, MAX_BUCKETS},
    store::Snapshot,
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
) -> Result<Vec<(i32, Revenue)>, DbErr> {
    let query = amounts(question).column(Column::Source).group_by_col(Column::Source).take();
    let sources: Vec<SourceRow> = snapshot.all(&query).await?;
    Ok(sources.into_iter().map(|row| (row.source.into(), row.amounts.into())).collect())
}

/// The campaigns with the most revenue, by revenue descending, then by name.
pub(super) async fn top_campaigns(
    snapshot: &Snapshot,
    question: &RevenueQuestion,
) -> Result<Vec<(String, Revenue)>, DbErr> {
    let [first, second] = SplitSum::order(Column::PurchaseAmount);
    let query = amounts(question)
        .column(Column::CampaignId)
        .cond_where(rows::of_source(Source::Facebook))
        .group_by_col(Column::CampaignId)
        .order_by_expr(first, Order::Desc)
        .order_by_expr(second, Order::Desc)
        .order_by(Column::CampaignId, Order::Asc)
        .limit(question.limit)
        .take();
    let campaigns: Vec<CampaignRow> = snapshot.all(&query).await?;
    Ok(campaigns.into_iter().map(|row| (row.campaign_id, row.amounts.into())).collect())
}

/// Revenue by bucket start in microseconds, ascending; only buckets that have some, and no more of them than show
/// that there are too many.
pub(super) async fn over_time(
    snapshot: &Snapshot,
    question: &RevenueQuestion,
    grouping: Grouping,
) -> Result<Vec<(i64, Revenue)>, DbErr> {
    let query = amounts(question)
        .expr_as(rows::bucket(grouping), "bucket")
        .group_by_col("bucket")
        .order_by("bucket", Order::Asc)
        .limit(MAX_BUCKETS + 1)
        .take();
    let buckets: Vec<BucketRow> = snapshot.all(&query).await?;
    Ok(buckets.into_iter().map(|row| (row.bucket, row.amounts.into())).collect())
}

/// `SELECT` the count and the sum of the transactions asked for.
fn amounts(question: &RevenueQuestion) -> SelectStatement {
    let mut query = rows::select(transactions(question));
    query.expr_as(rows::count(), "transactions");
    SplitSum::add_to(&mut query, Column::PurchaseAmount);
    query
}

fn transactions(question: &RevenueQuestion) -> Condition {
    let paid = |source, event_type: EventType| {
        rows::of_source(source).and(rows::is(Column::EventType, event_type.into()))
    };
    rows::within(&question.bounds)
        .add(Expr::col(Column::PurchaseAmount).is_not_null())
        .add(
            paid(Source::Facebook, EventType::CheckoutComplete).or(paid(Source::Tiktok, EventType::Purchase)),
        )
        .add_option(question.source.map(rows::of_source))
        .add_option(question.campaign_id.as_deref().map(of_campaign))
}

/// Only Facebook has campaigns.
fn of_campaign(campaign_id: &str) -> Expr {
    rows::of_source(Source::Facebook).and(Expr::col(Column::CampaignId).eq(campaign_id))
}

impl From<AmountsRow> for Revenue {
    fn from(row: AmountsRow) -> Self {
        Self { total: Money(row.sum.total()), transactions: row.transactions.unsigned_abs() }
    }
}
