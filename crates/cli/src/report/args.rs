//! The arguments of `weir report`: the same filters as over HTTP.

use clap::Args;
use weir::contract::reporting::v1::{GetDemographicsRequest, GetEventStatisticsRequest, GetRevenueRequest};
use weir_process::args::{ConfigErrors, Misconfigured};

use super::filter::{self, Range};
use crate::{client::GrpcServers, exit::configured};

/// The filters of every report, and the format of the answer.
#[derive(Debug, Args)]
pub(crate) struct CommonArgs {
    /// The gRPC address of reporting. Several addresses, separated by commas, share the calls.
    #[arg(long, env = "REPORTING_URL", default_value = "http://127.0.0.1:50052", value_name = "URL")]
    reporting_url: String,
    /// Print JSON of the same form as over HTTP instead of tables.
    #[arg(long)]
    json: bool,
    /// Events that happened at this time or later: RFC 3339, or a date (UTC).
    #[arg(long, value_name = "TIME", help_heading = "Filters")]
    from: Option<String>,
    /// Events that happened before this time: RFC 3339, or a date (UTC).
    #[arg(long, value_name = "TIME", help_heading = "Filters")]
    to: Option<String>,
    /// facebook or tiktok.
    #[arg(long, value_name = "SOURCE", help_heading = "Filters")]
    source: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    #[command(flatten)]
    pub(super) common: CommonArgs,
    /// top or bottom.
    #[arg(long, value_name = "STAGE", help_heading = "Filters")]
    funnel_stage: Option<String>,
    /// Such as ad.click; without --source it matches both sources.
    #[arg(long, value_name = "TYPE", help_heading = "Filters")]
    event_type: Option<String>,
    /// Also count by hour or day (UTC).
    #[arg(long, value_name = "BUCKET")]
    group_by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RevenueArgs {
    #[command(flatten)]
    pub(super) common: CommonArgs,
    /// One campaign; matches Facebook only.
    #[arg(long, value_name = "CAMPAIGN", help_heading = "Filters")]
    campaign_id: Option<String>,
    /// Also sum up by hour or day (UTC).
    #[arg(long, value_name = "BUCKET")]
    group_by: Option<String>,
    /// The largest number of campaigns, 1 to 1000. [default: 10]
    #[arg(long, value_name = "ROWS")]
    limit: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DemographicsArgs {
    #[command(flatten)]
    pub(super) common: CommonArgs,
    /// The largest number of countries, cities and devices, 1 to 1000. [default: 10]
    #[arg(long, value_name = "ROWS")]
    limit: Option<String>,
}

/// The servers, and the format of the answer.
#[derive(Debug)]
pub(super) struct ReportOptions {
    pub(super) servers: GrpcServers,
    pub(super) json: bool,
}

/// The checked filters of every report.
struct CommonFilters {
    options: ReportOptions,
    range: Range,
    /// The contract's number; 0 matches every source.
    source: i32,
}

impl CommonArgs {
    fn check(&self, errors: &mut ConfigErrors) -> Option<CommonFilters> {
        let servers = GrpcServers::reporting(&self.reporting_url, errors);
        let range = filter::range(self.from.as_deref(), self.to.as_deref(), errors);
        let source = errors.check("--source", filter::source(self.source.as_deref()));
        let options = ReportOptions { servers: servers?, json: self.json };
        Some(CommonFilters { options, range: range?, source: source? })
    }
}

impl EventsArgs {
    pub(super) fn request(&self) -> Result<(ReportOptions, GetEventStatisticsRequest), Misconfigured> {
        let mut errors = ConfigErrors::default();
        let common = self.common.check(&mut errors);
        let stage = errors.check("--funnel-stage", filter::funnel_stage(self.funnel_stage.as_deref()));
        let event_type = errors.check("--event-type", filter::event_type(self.event_type.as_deref()));
        let group_by = errors.check("--group-by", filter::group_by(self.group_by.as_deref()));
        let request = || {
            let CommonFilters { options, range: Range { from, to }, source } = common?;
            let (funnel_stage, event_type, group_by) = (stage?, event_type?, group_by?);
            Some((
                options,
                GetEventStatisticsRequest { from, to, source, funnel_stage, event_type, group_by },
            ))
        };
        configured(request(), errors)
    }
}

impl RevenueArgs {
    pub(super) fn request(&self) -> Result<(ReportOptions, GetRevenueRequest), Misconfigured> {
        let mut errors = ConfigErrors::default();
        let common = self.common.check(&mut errors);
        let group_by = errors.check("--group-by", filter::group_by(self.group_by.as_deref()));
        let limit = errors.check("--limit", self.limit.as_deref().map(filter::limit).transpose());
        let campaign_id = self.campaign_id.clone();
        let request = || {
            let CommonFilters { options, range: Range { from, to }, source } = common?;
            let (group_by, limit) = (group_by?, limit?);
            Some((options, GetRevenueRequest { from, to, source, campaign_id, group_by, limit }))
        };
        configured(request(), errors)
    }
}

impl DemographicsArgs {
    pub(super) fn request(&self) -> Result<(ReportOptions, GetDemographicsRequest), Misconfigured> {
        let mut errors = ConfigErrors::default();
        let common = self.common.check(&mut errors);
        let limit = errors.check("--limit", self.limit.as_deref().map(filter::limit).transpose());
        let request = || {
            let CommonFilters { options, range: Range { from, to }, source } = common?;
            Some((options, GetDemographicsRequest { from, to, source, limit: limit? }))
        };
        configured(request(), errors)
    }
}
