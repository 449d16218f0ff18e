//! The arguments of `weir report`: the same filters as over HTTP.

use clap::Args;
use weir::contract::reporting::v1::{GetDemographicsRequest, GetEventStatisticsRequest, GetRevenueRequest};
use weir_process::args::{ConfigErrors, Misconfigured};

use super::filter::{self, Range};
use crate::{client::Servers, exit::configured};

/// What every report may be asked for, and how it is shown.
#[derive(Debug, Args)]
pub(crate) struct CommonArgs {
    /// Where reporting serves gRPC; several, separated by commas, are balanced over.
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
    /// Count by hour or day (UTC) besides.
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
    /// Sum up by hour or day (UTC) besides.
    #[arg(long, value_name = "BUCKET")]
    group_by: Option<String>,
    /// At most so many campaigns, 1 to 1000. [default: 10]
    #[arg(long, value_name = "ROWS")]
    limit: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DemographicsArgs {
    #[command(flatten)]
    pub(super) common: CommonArgs,
    /// At most so many countries, cities and devices, 1 to 1000. [default: 10]
    #[arg(long, value_name = "ROWS")]
    limit: Option<String>,
}

/// Whom to ask, and how the answer is shown.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) servers: Servers,
    pub(super) json: bool,
}

/// What every report may be asked for, checked.
struct Common {
    channel: Channel,
    range: Range,
    /// The contract's number; 0 is any.
    source: i32,
}

impl CommonArgs {
    fn check(&self, mistakes: &mut ConfigErrors) -> Option<Common> {
        let servers = Servers::reporting(&self.reporting_url, mistakes);
        let range = filter::range(self.from.as_deref(), self.to.as_deref(), mistakes);
        let source = mistakes.check("--source", filter::source(self.source.as_deref()));
        let channel = Channel { servers: servers?, json: self.json };
        Some(Common { channel, range: range?, source: source? })
    }
}

impl EventsArgs {
    pub(super) fn request(&self) -> Result<(Channel, GetEventStatisticsRequest), Misconfigured> {
        let mut mistakes = ConfigErrors::default();
        let common = self.common.check(&mut mistakes);
        let stage = mistakes.check("--funnel-stage", filter::funnel_stage(self.funnel_stage.as_deref()));
        let event_type = mistakes.check("--event-type", filter::event_type(self.event_type.as_deref()));
        let group_by = mistakes.check("--group-by", filter::group_by(self.group_by.as_deref()));
        let request = || {
            let Common { channel, range: Range { from, to }, source } = common?;
            let (funnel_stage, event_type, group_by) = (stage?, event_type?, group_by?);
            Some((
                channel,
                GetEventStatisticsRequest { from, to, source, funnel_stage, event_type, group_by },
            ))
        };
        configured(request(), mistakes)
    }
}

impl RevenueArgs {
    pub(super) fn request(&self) -> Result<(Channel, GetRevenueRequest), Misconfigured> {
        let mut mistakes = ConfigErrors::default();
        let common = self.common.check(&mut mistakes);
        let group_by = mistakes.check("--group-by", filter::group_by(self.group_by.as_deref()));
        let limit = mistakes.check("--limit", self.limit.as_deref().map(filter::limit).transpose());
        let campaign_id = self.campaign_id.clone();
        let request = || {
            let Common { channel, range: Range { from, to }, source } = common?;
            let (group_by, limit) = (group_by?, limit?);
            Some((channel, GetRevenueRequest { from, to, source, campaign_id, group_by, limit }))
        };
        configured(request(), mistakes)
    }
}

impl DemographicsArgs {
    pub(super) fn request(&self) -> Result<(Channel, GetDemographicsRequest), Misconfigured> {
        let mut mistakes = ConfigErrors::default();
        let common = self.common.check(&mut mistakes);
        let limit = mistakes.check("--limit", self.limit.as_deref().map(filter::limit).transpose());
        let request = || {
            let Common { channel, range: Range { from, to }, source } = common?;
            Some((channel, GetDemographicsRequest { from, to, source, limit: limit? }))
        };
        configured(request(), mistakes)
    }
}
