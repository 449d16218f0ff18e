//! The report of revenue: sums by source and campaign.

use serde::Serialize;
use utoipa::ToSchema;
use weir::contract::reporting::v1;
use weir_event::Source;

use super::values::{DateRange, rfc3339};

/// Revenue by source and campaign. Money is an exact decimal with two to four places, averages with two.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevenueReport {
    /// The requested range.
    date_range: DateRange,
    /// The range that the report covers, where it differs from dateRange: an end between two whole minutes, where
    /// rows were removed after their time, was rounded outward.
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
    /// How much revenue a campaign that is not listed can have at most. Only where the range has more than a million
    /// different campaigns and the listed ones are not proven to be the first; every figure is exact all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "999.75")]
    missed_at_most: Option<String>,
    /// Ascending; only with groupBy.
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<Vec<RevenueBucket>>,
}

/// The revenue of one source.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceRevenue {
    #[schema(example = "facebook")]
    source: &'static str,
    total_revenue: String,
    transaction_count: u64,
    average_transaction_value: String,
}

/// The revenue of one campaign.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignRevenue {
    campaign_id: String,
    total_revenue: String,
    transaction_count: u64,
}

/// The revenue of one hour or day.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevenueBucket {
    /// The start of the bucket.
    #[schema(example = "2025-09-14T07:00:00Z")]
    bucket: String,
    total_revenue: String,
    transaction_count: u64,
}

impl RevenueReport {
    /// The report of a response; `with_series` where the request groups by hour or day.
    #[must_use]
    pub fn new(response: v1::GetRevenueResponse, with_series: bool) -> Self {
        Self {
            date_range: response.date_range.unwrap_or_default().into(),
            rounded_range: response.rounded_range.map(Into::into),
            currency: response.currency,
            total_revenue: response.total_revenue,
            total_transactions: response.total_transactions,
            average_transaction_value: response.average_transaction_value,
            revenue: response.revenue.into_iter().map(Into::into).collect(),
            campaigns: response.campaigns.into_iter().map(Into::into).collect(),
            missed_at_most: response.missed_at_most,
            series: with_series.then(|| response.series.into_iter().map(Into::into).collect()),
        }
    }
}

impl From<v1::SourceRevenue> for SourceRevenue {
    fn from(row: v1::SourceRevenue) -> Self {
        Self {
            source: Source::name_of(row.source),
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
    fn a_report_of_revenue_has_the_names_of_the_api() {
        let response = v1::GetRevenueResponse {
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
            missed_at_most: Some("0.75".into()),
            ..Default::default()
        };
        assert_eq!(
            serde_json::to_value(RevenueReport::new(response, false)).unwrap(),
            json!({
                "dateRange": {"from": null, "to": null}, "roundedRange": {"from": null, "to": null},
                "currency": "USD", "totalRevenue": "3.00",
                "totalTransactions": 2, "averageTransactionValue": "1.50",
                "revenue": [{"source": "facebook", "totalRevenue": "3.00", "transactionCount": 2,
                             "averageTransactionValue": "1.50"}],
                "campaigns": [{"campaignId": "c", "totalRevenue": "3.00", "transactionCount": 2}],
                "missedAtMost": "0.75",
            })
        );
    }
}
