//! How much money: by source and campaign, and over time. A transaction is a checkout.complete (Facebook) or a
//! purchase (TikTok) with an amount.

mod closed_days;
mod queries;
mod ranking_cache;

pub(crate) use self::ranking_cache::Rankings;
use self::{
    closed_days::Settled,
    ranking_cache::{Asked, Ranking},
};
use chrono::Utc;
use sea_orm::{DatabaseBackend, DbErr};
use weir::contract::{
    event::v1::Source,
    reporting::v1::{CampaignRevenue, GetRevenueRequest, GetRevenueResponse, RevenueBucket, SourceRevenue},
};

use crate::{
    decimal::Money,
    error::ReportError,
    horizons::Horizons,
    metrics::ReportType,
    names,
    report::{Question, Reader},
    series::{self, Grouping},
    store::Snapshot,
    time_range::{self, Bounds, Span},
};

/// The second question.
#[derive(Debug)]
pub(crate) struct RevenueQuestion {
    bounds: Bounds,
    source: Option<Source>,
    campaign_id: Option<String>,
    grouping: Option<Grouping>,
    limit: u64,
}

/// Some transactions together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Revenue {
    total: Money,
    transactions: u64,
}

impl Question for RevenueQuestion {
    type Request = GetRevenueRequest;
    type Answer = GetRevenueResponse;
    const REPORT_TYPE: Option<ReportType> = Some(ReportType::Revenue);

    fn read(request: GetRevenueRequest) -> Result<Self, ReportError> {
        let mut reader = Reader::default();
        let question = Self {
            bounds: reader.bounds(request.from, request.to),
            source: reader.source(request.source),
            campaign_id: reader.campaign_id(request.campaign_id),
            grouping: Grouping::of(reader.group_by(request.group_by)),
            limit: reader.limit(request.limit),
        };
        reader.finish(question)
    }

    /// Everything but the currency, which no question and no row tells.
    async fn answer(self, snapshot: &Snapshot) -> Result<GetRevenueResponse, ReportError> {
        let horizon = Horizons::of_ends(snapshot, &self.bounds).await?.of(self.source);
        let (span, rounded_range) = self.bounds.answerable(horizon);
        let mut sources = queries::by_source(snapshot, &self, span).await?;
        sources.sort_by_key(|(source, revenue)| (std::cmp::Reverse(revenue.total), names::source(*source)));
        let all: Revenue = sources.iter().map(|(_, revenue)| *revenue).sum();
        let campaigns = self.campaigns(snapshot, span, &sources).await?;
        Ok(GetRevenueResponse {
            date_range: Some(self.bounds.asked()),
            currency: String::new(),
            total_revenue: all.total.to_string(),
            total_transactions: all.transactions,
            average_transaction_value: all.mean(),
            revenue: sources.into_iter().map(of_source).collect(),
            campaigns: campaigns.iter().map(of_campaign).collect(),
            series: self.series(snapshot, span).await?,
            rounded_range,
        })
    }
}

impl RevenueQuestion {
    /// The campaigns with the most revenue; `sources` is the revenue by source of the same snapshot.
    async fn campaigns(
        &self,
        snapshot: &Snapshot,
        span: Span,
        sources: &[(i32, Revenue)],
    ) -> Result<Ranking, DbErr> {
        let Some(sold) = of_facebook(sources) else { return Ok(Ranking::from([])) };
        // One campaign is found by an index, and SQLite has no way to look up one after the other in one statement.
        let settled = match snapshot.backend() {
            DatabaseBackend::Postgres if self.campaign_id.is_none() => {
                Settled::of(span, Utc::now().timestamp_micros())
            }
            _ => None,
        };
        match settled {
            Some(settled) => self.remembered(snapshot, span, sold, self.of_parts(snapshot, &settled)).await,
            None => {
                let all = queries::top_campaigns(snapshot, self, span);
                self.remembered(snapshot, span, sold, all).await
            }
        }
    }

    async fn of_parts(
        &self,
        snapshot: &Snapshot,
        settled: &Settled,
    ) -> Result<Vec<(String, Revenue)>, DbErr> {
        let of_days = match of_facebook(&queries::by_source(snapshot, self, settled.days).await?) {
            Some(sold) => {
                let all = queries::top_campaigns(snapshot, self, settled.days);
                self.remembered(snapshot, settled.days, sold, all).await?
            }
            None => Ranking::from([]),
        };
        let of_rest = queries::top_campaigns_of_rest(snapshot, self, settled).await?;
        Ok(closed_days::merged(of_rest, &of_days, usize::try_from(self.limit).unwrap_or(usize::MAX)))
    }

    /// The ranking of `span` that is remembered, or what `rank` comes to; `sold` are all of its sales that could have a
    /// campaign.
    async fn remembered(
        &self,
        snapshot: &Snapshot,
        span: Span,
        sold: Revenue,
        rank: impl Future<Output = Result<Vec<(String, Revenue)>, DbErr>>,
    ) -> Result<Ranking, DbErr> {
        let asked = Asked { span, limit: self.limit };
        // Whoever asks for one campaign asks for little, and a row between two minutes may change without a sale more.
        let is_kept = self.campaign_id.is_none() && span.is_of_whole_minutes();
        if is_kept && let Some(ranking) = snapshot.rankings().get(asked, sold) {
            return Ok(ranking);
        }
        let ranking: Ranking = rank.await?.into();
        if is_kept {
            snapshot.rankings().put(asked, sold, &ranking);
        }
        Ok(ranking)
    }

    async fn series(&self, snapshot: &Snapshot, span: Span) -> Result<Vec<RevenueBucket>, ReportError> {
        let Some(grouping) = self.grouping else { return Ok(Vec::new()) };
        let revenue = queries::over_time(snapshot, self, span, grouping).await?;
        Ok(series::fill(revenue, grouping)?.into_iter().map(of_bucket).collect())
    }
}

impl Revenue {
    fn mean(&self) -> String {
        self.total.mean(self.transactions).to_string()
    }
}

impl std::iter::Sum for Revenue {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |sum, part| Self {
            total: sum.total + part.total,
            transactions: sum.transactions + part.transactions,
        })
    }
}

/// What has campaigns; `None` where nothing was sold.
fn of_facebook(sources: &[(i32, Revenue)]) -> Option<Revenue> {
    let facebook = sources.iter().find(|(source, _)| *source == i32::from(Source::Facebook));
    facebook.map(|(_, revenue)| *revenue)
}

fn of_source((source, revenue): (i32, Revenue)) -> SourceRevenue {
    SourceRevenue {
        source,
        total_revenue: revenue.total.to_string(),
        transaction_count: revenue.transactions,
        average_transaction_value: revenue.mean(),
    }
}

fn of_campaign((campaign_id, revenue): &(String, Revenue)) -> CampaignRevenue {
    CampaignRevenue {
        campaign_id: campaign_id.clone(),
        total_revenue: revenue.total.to_string(),
        transaction_count: revenue.transactions,
    }
}

fn of_bucket((start, revenue): (i64, Revenue)) -> RevenueBucket {
    RevenueBucket {
        bucket: Some(time_range::timestamp(start)),
        total_revenue: revenue.total.to_string(),
        transaction_count: revenue.transactions,
    }
}
