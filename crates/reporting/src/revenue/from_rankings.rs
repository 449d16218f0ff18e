//! The first campaigns of a range from the rankings of its buckets, from the sales that are in no ranking yet, and from
//! the rows of partial minutes. However many campaigns there are, few are read.

use std::collections::{BTreeMap, HashMap};

use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{Expr, ExprTrait as _, Query, SelectStatement},
};
use serde_json::json;
use weir::contract::Money;
use weir_database::{
    MalformedBlob,
    dialect::Dialect,
    entity::{
        campaign_deltas::{Column as DeltaColumn, Entity as Deltas},
        campaign_rankings::{Column, Entity},
        campaign_rollups,
    },
    rankings::{CampaignSales, DistinctCampaigns, RankedCampaigns, Ranking, Sales, SalesDelta},
    split_sum::{SplitSum, sum_or_zero},
    time_bucket::{Grain, MINUTE},
};

use super::{
    candidates::{Candidates, Search},
    queries::{self, Filter, Revenue},
    ranking_cache::TopCampaigns,
};
use crate::{
    plan::{self, Granularity, Piece},
    store::Snapshot,
    time_range::TimeRange,
};

/// With more transactions in deltas, the whole ranking costs less.
const MOST_WAITING: i64 = 100_000;
/// The most ranked campaigns in memory, over all buckets.
const MOST_CANDIDATES: usize = 250_000;
/// The rankings that are read at once; one has at most 4,096 campaigns.
const RANKINGS_AT_ONCE: usize = 16;
/// The candidates that are looked up at once, and the look-ups of one answer: one for each candidate and bucket.
const LOOK_UPS_AT_ONCE: usize = 512;
const MOST_LOOK_UPS: usize = 32_768;

/// The whole minutes of a range within one minute.
const NOTHING: TimeRange = TimeRange { from: Some(0), to: Some(0) };

/// PostgreSQL: one row for each shard. Each pair of a bucket and a name is looked up by itself: `OFFSET 0` keeps the planner
/// from reading all campaigns of the bucket. With statistics from when the table was small, it did so, and took 30 s.
const WRITTEN_SALES: &str = "SELECT written.* FROM json_array_elements_text($2::json) AS start (bucket) \
    CROSS JOIN json_array_elements_text($3::json) AS asked (campaign_id) CROSS JOIN LATERAL ( \
        SELECT campaign_id, transactions, amount_high AS high, amount_low AS low FROM campaign_rollups AS sums \
        WHERE sums.grain = $1 AND sums.bucket = start.bucket::bigint AND sums.campaign_id = asked.campaign_id OFFSET 0 \
    ) AS written";

/// A bucket without its ranking.
#[derive(FromQueryResult)]
struct HeadRow {
    bucket: i64,
    transactions: i64,
    #[sea_orm(nested)]
    sum: SplitSum,
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

/// A shard of a campaign's sums.
#[derive(FromQueryResult)]
struct CampaignRow {
    campaign_id: String,
    transactions: i64,
    #[sea_orm(nested)]
    sum: SplitSum,
}

/// The pieces of a range, with the starts of the buckets that have a ranking.
type Buckets = Vec<(Grain, TimeRange, Vec<i64>)>;

/// The buckets of a range, with their sales in deltas by campaign.
type WaitingSales<'a> = BTreeMap<Grain, BTreeMap<i64, HashMap<&'a str, Sales>>>;

/// The buckets of a range whose rankings leave campaigns out, by grain.
type CutBuckets = BTreeMap<Grain, Vec<i64>>;

/// The first `limit` campaigns. `facebook` is Facebook's revenue in the range. With more than `max_exact` different
/// campaigns in the range the list may be bounded.
///
/// `None` where the rankings miss sales that the rollups count, where one can't be read, and where they prove nothing and the protocol asks for an
/// exact list: the caller must rank all campaigns.
pub(super) async fn top_campaigns(
    snapshot: &Snapshot,
    range: TimeRange,
    limit: usize,
    facebook: Revenue,
    max_exact: u64,
) -> Result<Option<TopCampaigns>, DbErr> {
    let mut sales = Sales::default();
    let mut buckets = Buckets::new();
    let (mut whole_minutes, mut partial_minutes) = (NOTHING, Vec::new());
    for Piece { granularity, range } in plan::pieces(range, Grain::Day) {
        let Granularity::Buckets(grain) = granularity else {
            partial_minutes.push(range);
            continue;
        };
        let from = if buckets.is_empty() { range.from } else { whole_minutes.from };
        whole_minutes = TimeRange { from, to: range.to };
        let heads: Vec<HeadRow> = snapshot.all(&select_heads(grain, &range)).await?;
        for HeadRow { transactions, sum, .. } in &heads {
            sales += Sales { transactions: *transactions, amount: sum.total() };
        }
        buckets.push((grain, range, heads.iter().map(|head| head.bucket).collect()));
    }
    if waiting(snapshot, whole_minutes).await? > MOST_WAITING {
        return Ok(None);
    }
    let deltas = deltas(snapshot, whole_minutes).await?;
    let Ok(of_deltas) = sales_within(&deltas, whole_minutes) else { return Ok(None) };
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
    let buckets = with_waiting(buckets, &of_deltas);
    let Some((cut, distinct)) = read_rankings(snapshot, &buckets, limit, &mut candidates).await? else {
        return Ok(None);
    };
    let mut search = candidates.search(limit);
    look_up(snapshot, &cut, &mut search).await?;
    let (first, missed) = search.finish();
    if missed.is_some() && distinct.at_least() <= max_exact {
        return Ok(None);
    }
    let campaigns = first.into_iter().map(|(name, sales)| (name, sales.into())).collect();
    Ok(Some(TopCampaigns { campaigns, missed_at_most: missed.map(Money) }))
}

/// The buckets with their sales in deltas, also those that have no ranking yet.
fn with_waiting<'a>(buckets: Buckets, of_deltas: &[CampaignSales<'a>]) -> WaitingSales<'a> {
    let mut all: WaitingSales<'a> = BTreeMap::new();
    for (grain, range, starts) in buckets {
        let of_grain = all.entry(grain).or_default();
        of_grain.extend(starts.into_iter().map(|start| (start, HashMap::new())));
        for CampaignSales { minute, campaign_id, sales } in of_deltas {
            let time = minute * MINUTE;
            if range.has(time) {
                let bucket = of_grain.entry(grain.start_of(time)).or_default();
                *bucket.entry(*campaign_id).or_default() += *sales;
            }
        }
    }
    all
}

/// Adds the rankings of these buckets to `candidates`. `None` where one can't be read.
async fn read_rankings(
    snapshot: &Snapshot,
    buckets: &WaitingSales<'_>,
    limit: usize,
    candidates: &mut Candidates,
) -> Result<Option<(CutBuckets, DistinctCampaigns)>, DbErr> {
    let number: usize = buckets.values().map(BTreeMap::len).sum();
    // At least the limit, so that one bucket alone proves its list.
    let most = (MOST_CANDIDATES / number.max(1)).max(limit);
    let (mut cut, mut distinct) = (CutBuckets::new(), DistinctCampaigns::default());
    for (grain, buckets) in buckets {
        let starts: Vec<i64> = buckets.keys().copied().collect();
        for starts in starts.chunks(RANKINGS_AT_ONCE) {
            let rows: Vec<RankingRow> = snapshot.all(&select_rankings(*grain, starts)).await?;
            let mut stored: HashMap<i64, Vec<u8>> =
                rows.into_iter().map(|row| (row.bucket, row.data)).collect();
            for start in starts {
                let (waiting, stored) = (&buckets[start], stored.remove(start));
                let data = match stored {
                    Some(data) if waiting.is_empty() => data,
                    stored => match with_sales(snapshot, (*grain, *start), stored, waiting).await? {
                        Some(data) => data,
                        None => return Ok(None),
                    },
                };
                let Ok(ranking) = RankedCampaigns::read(&data, most) else { return Ok(None) };
                candidates.add_ranking(&ranking);
                distinct.unite(&ranking);
                if ranking.rest.is_some() {
                    cut.entry(*grain).or_default().push(*start);
                }
            }
        }
    }
    Ok(Some((cut, distinct)))
}

/// The ranking of a bucket with its sales in deltas. `None` where it can't be read.
async fn with_sales(
    snapshot: &Snapshot,
    (grain, start): (Grain, i64),
    stored: Option<Vec<u8>>,
    waiting: &HashMap<&str, Sales>,
) -> Result<Option<Vec<u8>>, DbErr> {
    let stored = stored.map(|data| Ranking::read(&data)).transpose();
    let Ok(stored) = stored else { return Ok(None) };
    let mut ranking = stored.unwrap_or_default();
    let mut unknown: Vec<&str> = Vec::new();
    for (campaign_id, more) in waiting {
        match ranking.sales(campaign_id) {
            Some(mut known) => {
                known += *more;
                ranking.set(campaign_id, known);
            }
            None => unknown.push(campaign_id),
        }
    }
    for names in unknown.chunks(LOOK_UPS_AT_ONCE) {
        for (campaign_id, sales) in written_sales(snapshot, grain, &[start], names).await? {
            ranking.set(&campaign_id, sales);
        }
    }
    Ok(Some(ranking.to_blob()))
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
            for (campaign_id, sales) in written_sales(snapshot, *grain, starts, &names).await? {
                *inside.entry(campaign_id).or_default() += sales;
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
fn sales_within(deltas: &[DeltaRow], range: TimeRange) -> Result<Vec<CampaignSales<'_>>, MalformedBlob> {
    let mut all = Vec::new();
    for delta in deltas {
        let sales = SalesDelta::read(&delta.data)?;
        all.extend(sales.into_iter().filter(|sales| range.has(sales.minute * MINUTE)));
    }
    Ok(all)
}

fn select_heads(grain: Grain, range: &TimeRange) -> SelectStatement {
    Query::select()
        .columns([Column::Bucket, Column::Transactions])
        .expr_as(Expr::col(Column::AmountHigh), "high")
        .expr_as(Expr::col(Column::AmountLow), "low")
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

/// The sums of these campaigns over these buckets, from `campaign_rollups`.
async fn written_sales(
    snapshot: &Snapshot,
    grain: Grain,
    starts: &[i64],
    names: &[&str],
) -> Result<HashMap<String, Sales>, DbErr> {
    let shards: Vec<CampaignRow> = match snapshot.dialect() {
        Dialect::Postgres => {
            let values = [grain.number().into(), json!(starts).into(), json!(names).into()];
            snapshot.all_raw(WRITTEN_SALES, values, "campaign_rollups").await?
        }
        Dialect::Sqlite => snapshot.all(&select_shards(grain, starts, names)).await?,
    };
    let mut sums: HashMap<String, Sales> = HashMap::with_capacity(names.len());
    for CampaignRow { campaign_id, transactions, sum } in shards {
        *sums.entry(campaign_id).or_default() += Sales { transactions, amount: sum.total() };
    }
    Ok(sums)
}

/// SQLite looks up each pair of a bucket and a name by itself.
fn select_shards(grain: Grain, starts: &[i64], names: &[&str]) -> SelectStatement {
    use campaign_rollups::Column;
    Query::select()
        .columns([Column::CampaignId, Column::Transactions])
        .expr_as(Expr::col(Column::AmountHigh), "high")
        .expr_as(Expr::col(Column::AmountLow), "low")
        .from(campaign_rollups::Entity)
        .and_where(Expr::col(Column::Grain).eq(grain.number()))
        .and_where(Expr::col(Column::Bucket).is_in(starts.iter().copied()))
        .and_where(Expr::col(Column::CampaignId).is_in(names.iter().copied()))
        .take()
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
