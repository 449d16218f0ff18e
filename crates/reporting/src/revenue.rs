//! The report of revenue: by source and campaign, and over time. A transaction is a checkout.complete (Facebook) or a
//! purchase (TikTok) with an amount.

mod candidates;
mod closed_days;
mod from_rankings;
mod queries;
mod ranking_cache;

use std::{cmp::Reverse, sync::Arc};

use chrono::Utc;
use sea_orm::DbErr;
use weir::contract::{
    event::v1::Source,
    reporting::v1::{CampaignRevenue, GetRevenueRequest, GetRevenueResponse, RevenueBucket, SourceRevenue},
};
use weir_database::dialect::Dialect;

use crate::{
    error::ReportError,
    metrics::ReportType,
    names,
    report_query::{ReportQuery, RequestParser},
    series::{self, Grouping},
    store::Snapshot,
    time_range::{Horizons, RequestedRange, TimeRange, timestamp},
};
use closed_days::ClosedDays;
use queries::{Filter, Revenue};
pub(crate) use ranking_cache::RankingCache;
use ranking_cache::{RankingKey, TopCampaigns};

/// With more transactions outside of the closed days, the rankings of those cost less than looking every campaign up.
const MOST_IN_REST: u64 = 20_000;

/// A request for revenue.
#[derive(Debug)]
pub(crate) struct RevenueQuery {
    range: RequestedRange,
    filter: Filter,
    grouping: Option<Grouping>,
    limit: u64,
}

impl ReportQuery for RevenueQuery {
    type Request = GetRevenueRequest;
    type Response = GetRevenueResponse;
    type Cache = RankingCache;
    const REPORT_TYPE: Option<ReportType> = Some(ReportType::Revenue);

    fn parse(request: GetRevenueRequest) -> Result<Self, ReportError> {
        let mut parser = RequestParser::default();
        let report = Self {
            range: parser.range(request.from, request.to),
            filter: Filter {
                source: parser.source(request.source),
                campaign_id: parser.campaign_id(request.campaign_id),
            },
            grouping: Grouping::of(parser.group_by(request.group_by)),
            limit: parser.limit(request.limit),
        };
        parser.finish(report)
    }

    /// The response without the currency, which neither the request nor a row has.
    async fn answer(
        self,
        snapshot: &Snapshot,
        rankings: &RankingCache,
    ) -> Result<GetRevenueResponse, ReportError> {
        let horizon = Horizons::for_ends(snapshot, &self.range).await?.of(self.filter.source);
        let (range, rounded_range) = self.range.answerable(horizon);
        let mut sources = queries::by_source(snapshot, &self.filter, range).await?;
        sources.sort_by_key(|(source, revenue)| (Reverse(revenue.total), names::source(*source)));
        let all: Revenue = sources.iter().map(|(_, revenue)| *revenue).sum();
        let campaigns = self.campaigns(snapshot, rankings, range, &sources).await?;
        Ok(GetRevenueResponse {
            date_range: Some(self.range.requested()),
            currency: String::new(),
            total_revenue: all.total.to_string(),
            total_transactions: all.transactions,
            average_transaction_value: all.mean(),
            revenue: sources.into_iter().map(source_revenue).collect(),
            campaigns: campaigns.campaigns.iter().map(campaign_revenue).collect(),
            missed_at_most: campaigns.missed_at_most.map(|missed| missed.to_string()),
            series: self.series(snapshot, range).await?,
            rounded_range,
        })
    }
}

impl RevenueQuery {
    /// The campaigns with the most revenue; `sources` is the revenue by source of the same snapshot.
    async fn campaigns(
        &self,
        snapshot: &Snapshot,
        rankings: &RankingCache,
        range: TimeRange,
        sources: &[(i32, Revenue)],
    ) -> Result<Arc<TopCampaigns>, DbErr> {
        let Some(facebook) = facebook_of(sources) else { return Ok(Arc::default()) };
        if self.filter.campaign_id.is_some() {
            // An index finds one campaign.
            return Ok(Arc::new(self.ranked(snapshot, range).await?));
        }
        self.cached(rankings, range, facebook, async {
            // SQLite has no lateral join, which the query of the rest needs.
            let parts = match snapshot.dialect() {
                Dialect::Postgres => ClosedDays::of(range, Utc::now().timestamp_micros()),
                Dialect::Sqlite => None,
            };
            if let Some(parts) = parts
                && let Some(top) = self.ranked_in_parts(snapshot, rankings, &parts, facebook).await?
            {
                return Ok(top);
            }
            self.listed(snapshot, rankings, range, facebook).await
        })
        .await
    }

    /// The first campaigns of a range, from rankings where those prove the list.
    async fn listed(
        &self,
        snapshot: &Snapshot,
        rankings: &RankingCache,
        range: TimeRange,
        facebook: Revenue,
    ) -> Result<TopCampaigns, DbErr> {
        let max_exact = rankings.max_exact_campaigns;
        let top = from_rankings::top_campaigns(snapshot, range, self.limit(), facebook, max_exact).await?;
        rankings.lists.count(if top.is_some() { "rankings" } else { "rollups" });
        match top {
            Some(top) => Ok(top),
            None => self.ranked(snapshot, range).await,
        }
    }

    /// The first of all campaigns of a range.
    async fn ranked(&self, snapshot: &Snapshot, range: TimeRange) -> Result<TopCampaigns, DbErr> {
        let campaigns = queries::top_campaigns(snapshot, &self.filter, range, self.limit).await?;
        Ok(TopCampaigns { campaigns, missed_at_most: None })
    }

    /// The first campaigns of a range whose closed days are ranked apart. `None` where the rest sold too much for that, or
    /// where the list of the days may miss a campaign.
    async fn ranked_in_parts(
        &self,
        snapshot: &Snapshot,
        rankings: &RankingCache,
        parts: &ClosedDays,
        facebook: Revenue,
    ) -> Result<Option<TopCampaigns>, DbErr> {
        let sources = queries::by_source(snapshot, &self.filter, parts.days).await?;
        let days = facebook_of(&sources).unwrap_or_default();
        if facebook.transactions.saturating_sub(days.transactions) > MOST_IN_REST {
            return Ok(None);
        }
        let list = self.listed(snapshot, rankings, parts.days, days);
        let of_days = self.cached(rankings, parts.days, days, list).await?;
        if of_days.missed_at_most.is_some() {
            return Ok(None);
        }
        let of_rest =
            queries::top_campaigns_of_rest(snapshot, &self.filter, parts.days, &parts.rest, self.limit)
                .await?;
        let campaigns = closed_days::merge(of_rest, &of_days.campaigns, self.limit());
        Ok(Some(TopCampaigns { campaigns, missed_at_most: None }))
    }

    fn limit(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }

    /// The cached ranking of `range`, or the result of `rank`; `facebook` is Facebook's revenue in the range.
    async fn cached(
        &self,
        rankings: &RankingCache,
        range: TimeRange,
        facebook: Revenue,
        rank: impl Future<Output = Result<TopCampaigns, DbErr>>,
    ) -> Result<Arc<TopCampaigns>, DbErr> {
        let key = RankingKey { range, limit: self.limit };
        // A row between two minutes may change without another sale.
        let is_cached = range.is_of_whole_minutes();
        if is_cached && let Some(ranking) = rankings.get(key, facebook) {
            return Ok(ranking);
        }
        let ranking = Arc::new(rank.await?);
        if is_cached {
            rankings.put(key, facebook, &ranking);
        }
        Ok(ranking)
    }

    async fn series(&self, snapshot: &Snapshot, range: TimeRange) -> Result<Vec<RevenueBucket>, ReportError> {
        let Some(grouping) = self.grouping else { return Ok(Vec::new()) };
        let revenue = queries::over_time(snapshot, &self.filter, range, grouping).await?;
        Ok(series::fill_gaps(revenue, grouping)?.into_iter().map(bucket_revenue).collect())
    }
}

/// Facebook's revenue, which alone has campaigns; `None` where nothing was sold.
fn facebook_of(sources: &[(i32, Revenue)]) -> Option<Revenue> {
    let facebook = sources.iter().find(|(source, _)| *source == i32::from(Source::Facebook));
    facebook.map(|(_, revenue)| *revenue)
}

fn source_revenue((source, revenue): (i32, Revenue)) -> SourceRevenue {
    SourceRevenue {
        source,
        total_revenue: revenue.total.to_string(),
        transaction_count: revenue.transactions,
        average_transaction_value: revenue.mean(),
    }
}

fn campaign_revenue((campaign_id, revenue): &(String, Revenue)) -> CampaignRevenue {
    CampaignRevenue {
        campaign_id: campaign_id.clone(),
        total_revenue: revenue.total.to_string(),
        transaction_count: revenue.transactions,
    }
}

fn bucket_revenue((start, revenue): (i64, Revenue)) -> RevenueBucket {
    RevenueBucket {
        bucket: Some(timestamp(start)),
        total_revenue: revenue.total.to_string(),
        transaction_count: revenue.transactions,
    }
}
