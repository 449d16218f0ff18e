//! Rankings of campaigns: the campaigns with the most revenue in each minute, hour and day, and the sales that are in no
//! ranking yet.
//!
//! The storing transaction adds sales to `campaign_rollups`, and notes them in a delta. A job adds the deltas to the
//! rankings. A ranking holds every campaign of its bucket, or the first some thousands of them: then it also tells the
//! place behind which all others are.

mod ranking;
mod sales;

pub use ranking::{DistinctCampaigns, Place, RankedCampaigns, Ranking};
pub use sales::{CampaignSales, Sales, SalesDelta};
