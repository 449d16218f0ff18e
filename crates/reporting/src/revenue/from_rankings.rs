//! The first campaigns of a range from the rankings of its buckets, from the sales that are in no ranking yet, and from
//! the rows of partial minutes. However many campaigns there are, few are read.

use std::collections::{BTreeMap, HashMap, HashSet};

use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{Expr, ExprTrait as _, Query, SelectStatement},
};
use weir::contract::Money;
use weir_database::{
    entity::{
        campaign_deltas::{Column as DeltaColumn, Entity as Deltas},
        campaign_rankings::{Column, Entity},
        campaign_rollups,
    },
    rankings::{CampaignSales, DistinctCampaigns, RankedCampaigns, Sales, SalesDelta},
    split_sum::{SplitSum, sum_or_zero},
    time_bucket::{Grain, MINUTE},
};

use super::{
    candidates::{Candidates, Search},
    queries::{self, Filter, Revenue},
    ranking_cache::TopCampaigns,
};
use crate::{
    plan::{self, Granularity},
    store::{Snapshot, malformed},
    time_range::TimeRange,
};

/// With more transactions in deltas, the whole ranking costs less.
const MOST_WAITING: i64 = 100_000;
/// The most ranked campaigns in memory, over all buckets; some 150 bytes each.
const MOST_CANDIDATES: usize = 250_000;
/// The rankings that are read at once; one has some 200 KB at most.
const RANKINGS_AT_ONCE: usize = 16;
/// The candidates that are looked up at once, and for one answer. A look-up takes some ten microseconds a bucket.
const LOOK_UPS_AT_ONCE: usize = 512;
const MOST_LOOK_UPS: usize = 32_768;

/// A bucket without its ranking.
#[derive(FromQueryResult)]
struct HeadRow {
    bucket: i64,
    transactions: i64,
    #[sea_orm(nested)]
    amount: Halves,
}

#[derive(FromQueryResult)]
struct Halves {
    amount_high: i64,
    amount_low: i64,
}

#[derive(FromQueryResult)]
struct RankingRow {
    bucket: i64,
    data: Vec<u8>,
}

#[derive(FromQueryResult)]
struct DeltaRow {
    data: Vec<u8>,
}

#[derive(FromQueryResult)]
struct WaitingRow {
    transactions: i64,
}

#[derive(FromQueryResult)]
struct CampaignRow {
    campaign_id: String,
    transactions: i64,
    #[sea_orm(nested)]
    sum: SplitSum,
}

/// The buckets of a range whose rankings leave campaigns out, by grain.
type CutBuckets = BTreeMap<Grain, Vec<i64>>;

/// The first `limit` campaigns. `facebook` is Facebook's revenue in the range. With more than `max_exact` different
/// campaigns in the range the list may be bounded.
///
/// `None` where the rankings miss sales that the rollups count, and where they prove nothing and the protocol asks for an
/// exact list: the caller must rank all campaigns.
pub(super) async fn top_campaigns(
    snapshot: &Snapshot,
    range: TimeRange,
    limit: usize,
    facebook: Revenue,
    max_exact: u64,
) -> Result<Option<TopCampaigns>, DbErr> {
    let pieces = plan::pieces(range, Grain::Day);
    let mut buckets: Vec<(Grain, Vec<i64>)> = Vec::new();
    let (mut whole, mut partial_minutes) = (None, Vec::new());
    let mut sales = Sales::default();
    for piece in pieces {
        let Granularity::Buckets(grain) = piece.granularity else {
            partial_minutes.push(piece.range);
            continue;
        };
        let begin = whole.map_or(piece.range.from, |whole: TimeRange| whole.from);
        whole = Some(TimeRange { from: begin, to: piece.range.to });
        let heads: Vec<HeadRow> = snapshot.all(&select_heads(grain, &piece.range)).await?;
        heads.iter().for_each(|head| sales += head.sales());
        buckets.push((grain, heads.iter().map(|head| head.bucket).collect()));
    }
    // A range within one minute has no buckets.
    const NOTHING: TimeRange = TimeRange { from: Some(0), to: Some(0) };
    let whole = whole.unwrap_or(NOTHING);
    if waiting(snapshot, whole).await? > MOST_WAITING {
        return Ok(None);
    }
    let deltas = deltas(snapshot, whole).await?;
    let of_deltas = sales_within(&deltas, whole)?;
    of_deltas.iter().for_each(|of_delta| sales += of_delta.sales);
    let mut candidates = Candidates::default();
    if !partial_minutes.is_empty() {
        let everything = Filter { source: None, campaign_id: None };
        for (name, revenue) in queries::campaigns_of(snapshot, &everything, partial_minutes).await? {
            sales += revenue.into();
            candidates.add_outside(&name, revenue.into());
        }
    }
    if sales != facebook.into() {
        return Ok(None);
    }
    let (cut, distinct) = read_rankings(snapshot, &buckets, limit, &mut candidates).await?;
    let is_cut: HashSet<(Grain, i64)> =
        cut.iter().flat_map(|(grain, starts)| starts.iter().map(|start| (*grain, *start))).collect();
    for CampaignSales { minute, campaign_id, sales } in of_deltas {
        let is_inside =
            Grain::ALL.iter().any(|grain| is_cut.contains(&(*grain, grain.start_of(minute * MINUTE))));
        match is_inside {
            true => candidates.add_inside(campaign_id, sales),
            false => candidates.add_outside(campaign_id, sales),
        }
    }
    let mut search = candidates.search(limit);
    look_up(snapshot, &cut, &mut search).await?;
    let (first, missed) = search.finish();
    if missed.is_some() && distinct.at_least() <= max_exact {
        return Ok(None);
    }
    let campaigns = first.into_iter().map(|(name, sales)| (name, sales.into())).collect();
    Ok(Some(TopCampaigns { campaigns, missed_at_most: missed.map(Money) }))
}

/// Adds the rankings of these buckets to `candidates`.
async fn read_rankings(
    snapshot: &Snapshot,
    buckets: &[(Grain, Vec<i64>)],
    limit: usize,
    candidates: &mut Candidates,
) -> Result<(CutBuckets, DistinctCampaigns), DbErr> {
    let number: usize = buckets.iter().map(|(_, starts)| starts.len()).sum();
    // One more than the limit, so that the last of them has a bound behind it.
    let most = (MOST_CANDIDATES / number.max(1)).max(limit + 1);
    let (mut cut, mut distinct) = (CutBuckets::new(), DistinctCampaigns::default());
    for (grain, starts) in buckets {
        for starts in starts.chunks(RANKINGS_AT_ONCE) {
            let rows: Vec<RankingRow> = snapshot.all(&select_rankings(*grain, starts)).await?;
            for RankingRow { bucket, data } in rows {
                let ranking = RankedCampaigns::read(&data, most).map_err(malformed)?;
                candidates.add_ranking(&ranking);
                distinct.unite(&ranking);
                if ranking.rest.is_some() {
                    cut.entry(*grain).or_default().push(bucket);
                }
            }
        }
    }
    Ok((cut, distinct))
}

/// Looks candidates up until no other one can be among the first, or until the budget is spent.
async fn look_up(snapshot: &Snapshot, cut: &CutBuckets, search: &mut Search) -> Result<(), DbErr> {
    let buckets: usize = cut.values().map(Vec::len).sum();
    let mut left = MOST_LOOK_UPS;
    loop {
        let names = search.next(LOOK_UPS_AT_ONCE);
        if names.is_empty() || left < names.len() * buckets {
            return Ok(());
        }
        left -= names.len() * buckets;
        let mut inside: HashMap<String, Sales> = HashMap::new();
        for (grain, starts) in cut {
            let found: Vec<CampaignRow> = snapshot.all(&select_campaigns(*grain, starts, &names)).await?;
            for CampaignRow { campaign_id, transactions, sum } in found {
                *inside.entry(campaign_id).or_default() += Sales { transactions, amount: sum.total() };
            }
        }
        let number = names.len();
        search.found(number, &inside);
    }
}

/// The number of transactions in deltas that have a minute of the range.
async fn waiting(snapshot: &Snapshot, range: TimeRange) -> Result<i64, DbErr> {
    let mut query = select_deltas(range);
    query.expr_as(sum_or_zero(Expr::col(DeltaColumn::Transactions)), "transactions");
    Ok(snapshot.one::<WaitingRow>(&query).await?.transactions)
}

async fn deltas(snapshot: &Snapshot, range: TimeRange) -> Result<Vec<DeltaRow>, DbErr> {
    snapshot.all(select_deltas(range).column(DeltaColumn::Data)).await
}

/// The sales of deltas in a range of whole minutes.
fn sales_within(deltas: &[DeltaRow], range: TimeRange) -> Result<Vec<CampaignSales<'_>>, DbErr> {
    let mut all = Vec::new();
    for delta in deltas {
        let sales = SalesDelta::read(&delta.data).map_err(malformed)?;
        all.extend(sales.into_iter().filter(|sales| range.has(sales.minute * MINUTE)));
    }
    Ok(all)
}

fn select_heads(grain: Grain, range: &TimeRange) -> SelectStatement {
    Query::select()
        .columns([Column::Bucket, Column::Transactions, Column::AmountHigh, Column::AmountLow])
        .from(Entity)
        .and_where(Expr::col(Column::Grain).eq(grain.number()))
        .cond_where(range.contains(Expr::col(Column::Bucket)))
        .take()
}

fn select_rankings(grain: Grain, starts: &[i64]) -> SelectStatement {
    Query::select()
        .columns([Column::Bucket, Column::Data])
        .from(Entity)
        .and_where(Expr::col(Column::Grain).eq(grain.number()))
        .and_where(Expr::col(Column::Bucket).is_in(starts.iter().copied()))
        .take()
}

fn select_deltas(range: TimeRange) -> SelectStatement {
    let minute = |time: i64| time.div_euclid(MINUTE);
    Query::select()
        .from(Deltas)
        .and_where_option(range.from.map(|from| Expr::col(DeltaColumn::LastMinute).gte(minute(from))))
        .and_where_option(range.to.map(|to| Expr::col(DeltaColumn::FirstMinute).lt(minute(to))))
        .take()
}

fn select_campaigns(grain: Grain, starts: &[i64], names: &[&str]) -> SelectStatement {
    use campaign_rollups::Column;
    let sums =
        [(Column::Transactions, "transactions"), (Column::AmountHigh, "high"), (Column::AmountLow, "low")];
    let mut query = Query::select();
    query.column(Column::CampaignId);
    for (column, name) in sums {
        query.expr_as(sum_or_zero(Expr::col(column)), name);
    }
    query
        .from(campaign_rollups::Entity)
        .and_where(Expr::col(Column::Grain).eq(grain.number()))
        .and_where(Expr::col(Column::Bucket).is_in(starts.iter().copied()))
        .and_where(Expr::col(Column::CampaignId).is_in(names.iter().copied()))
        .group_by_col(Column::CampaignId)
        .take()
}

impl HeadRow {
    fn sales(&self) -> Sales {
        let Halves { amount_high: high, amount_low: low } = self.amount;
        Sales { transactions: self.transactions, amount: SplitSum { high, low }.total() }
    }
}

impl From<Revenue> for Sales {
    fn from(revenue: Revenue) -> Self {
        Self { transactions: revenue.transactions.cast_signed(), amount: revenue.total.0 }
    }
}

impl From<Sales> for Revenue {
    fn from(sales: Sales) -> Self {
        Self { total: Money(sales.amount), transactions: sales.transactions.unsigned_abs() }
    }
}
