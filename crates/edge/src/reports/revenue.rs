//! How much money.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{RawQuery, State},
};
use serde::Serialize;
use utoipa::ToSchema;
use weir::contract::reporting::v1;
use weir_event::Source;
use weir_process::CallContext;

use super::{Client, DateRange, query::Query, rfc3339, source_name, timestamp};
use crate::{
    problem::{Problem, ProblemBody},
    router::EdgeState,
};

/// How much money, by source and campaign. Money is an exact decimal with two to four places, averages with two.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RevenueReport {
    /// As asked for.
    date_range: DateRange,
    /// What the answer is about, where that is not dateRange: an end between two whole minutes lies where rows were
    /// removed after their time, and was rounded outward.
    #[serde(skip_serializing_if = "Option::is_none")]
    rounded_range: Option<DateRange>,
    #[schema(example = "USD")]
    currency: String,
    #[schema(example = "1523.50")]
    total_revenue: String,
    total_transactions: u64,
    #[schema(example = "101.57")]
    average_transaction_value: String,
    /// By revenue descending, then by name.
    revenue: Vec<SourceRevenue>,
    /// By revenue descending, then by name, at most limit.
    campaigns: Vec<CampaignRevenue>,
    /// Ascending; only with groupBy.
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<Vec<RevenueBucket>>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SourceRevenue {
    #[schema(example = "facebook")]
    source: &'static str,
    total_revenue: String,
    transaction_count: u64,
    average_transaction_value: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CampaignRevenue {
    campaign_id: String,
    total_revenue: String,
    transaction_count: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RevenueBucket {
    /// Its start.
    #[schema(example = "2025-09-14T07:00:00Z")]
    bucket: String,
    total_revenue: String,
    transaction_count: u64,
}

/// How much money
///
/// A transaction is a checkout.complete (facebook) or purchase (tiktok) with an amount.
#[utoipa::path(get, path = "/reports/revenue", tag = "reports", operation_id = "getRevenueReport",
    params(
        ("from" = Option<String>, Query, description = "RFC 3339 or a date, inclusive; absent is unbounded", example = "2025-09-14"),
        ("to" = Option<String>, Query, description = "RFC 3339 or a date, exclusive; absent is unbounded", example = "2025-09-15T00:00:00Z"),
        ("source" = Option<String>, Query, description = "facebook or tiktok"),
        ("campaignId" = Option<String>, Query, description = "Matches facebook only"),
        ("groupBy" = Option<String>, Query, description = "hour or day (UTC): adds series, at most 10,000 buckets"),
        ("limit" = Option<u32>, Query, description = "How many campaigns: 1 to 1000, 10 where absent", minimum = 1, maximum = 1000),
    ),
    responses(
        (status = 200, description = "The report", body = RevenueReport),
        (status = 400, description = "Bad parameters, each named", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Try again after Retry-After", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_revenue_report(
    State(edge): State<Arc<EdgeState>>,
    Extension(context): Extension<CallContext>,
    RawQuery(query): RawQuery,
) -> Result<Json<RevenueReport>, Problem> {
    let question = question(query.as_deref())?;
    let grouped = question.group_by != 0;
    let rpc = |mut client: Client, request| async move { client.get_revenue(request).await };
    let answer = edge.reports.ask(question, &context, rpc).await?;
    Ok(Json(report(answer, grouped)))
}

fn question(query: Option<&str>) -> Result<v1::GetRevenueRequest, Problem> {
    let mut query = Query::parse(query, &["from", "to", "source", "campaignId", "groupBy", "limit"]);
    let range = query.range();
    let question = v1::GetRevenueRequest {
        from: range.from.map(timestamp),
        to: range.to.map(timestamp),
        source: query.source().map_or(0, Source::number),
        campaign_id: query.campaign_id(),
        group_by: query.group_by().map_or(0, i32::from),
        limit: query.limit(),
    };
    query.finish().map(|()| question)
}

fn report(answer: v1::GetRevenueResponse, grouped: bool) -> RevenueReport {
    let series = answer.series.into_iter().map(Into::into).collect();
    RevenueReport {
        date_range: answer.date_range.unwrap_or_default().into(),
        rounded_range: answer.rounded_range.map(Into::into),
        currency: answer.currency,
        total_revenue: answer.total_revenue,
        total_transactions: answer.total_transactions,
        average_transaction_value: answer.average_transaction_value,
        revenue: answer.revenue.into_iter().map(Into::into).collect(),
        campaigns: answer.campaigns.into_iter().map(Into::into).collect(),
        series: grouped.then_some(series),
    }
}

impl From<v1::SourceRevenue> for SourceRevenue {
    fn from(row: v1::SourceRevenue) -> Self {
        Self {
            source: source_name(row.source),
            total_revenue: row.total_revenue,
            transaction_count: row.transaction_count,
            average_transaction_value: row.average_transaction_value,
        }
    }
}

impl From<v1::CampaignRevenue> for CampaignRevenue {
    fn from(row: v1::CampaignRevenue) -> Self {
        let v1::CampaignRevenue { campaign_id, total_revenue, transaction_count } = row;
        Self { campaign_id, total_revenue, transaction_count }
    }
}

impl From<v1::RevenueBucket> for RevenueBucket {
    fn from(bucket: v1::RevenueBucket) -> Self {
        let v1::RevenueBucket { bucket, total_revenue, transaction_count } = bucket;
        Self { bucket: bucket.map(rfc3339).unwrap_or_default(), total_revenue, transaction_count }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_report_has_the_names_of_the_wire() {
        let answer = v1::GetRevenueResponse {
            currency: "USD".into(),
            total_revenue: "3.00".into(),
            total_transactions: 2,
            average_transaction_value: "1.50".into(),
            revenue: vec![v1::SourceRevenue {
                source: 1,
                total_revenue: "3.00".into(),
                transaction_count: 2,
                average_transaction_value: "1.50".into(),
            }],
            campaigns: vec![v1::CampaignRevenue {
                campaign_id: "c".into(),
                total_revenue: "3.00".into(),
                transaction_count: 2,
            }],
            rounded_range: Some(v1::DateRange::default()),
            ..Default::default()
        };
        assert_eq!(
            serde_json::to_value(report(answer, false)).unwrap(),
            json!({
                "dateRange": {"from": null, "to": null}, "roundedRange": {"from": null, "to": null},
                "currency": "USD", "totalRevenue": "3.00",
                "totalTransactions": 2, "averageTransactionValue": "1.50",
                "revenue": [{"source": "facebook", "totalRevenue": "3.00", "transactionCount": 2,
                             "averageTransactionValue": "1.50"}],
                "campaigns": [{"campaignId": "c", "totalRevenue": "3.00", "transactionCount": 2}],
            })
        );
    }
}
