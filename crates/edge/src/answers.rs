//! Answers of the reports and of the event lookup as JSON, for HTTP and for the command line.
//!
//! Each report is made of the response message of the reporting service, with `From` or `new`. Each type has the
//! schema of the API description.

mod demographics_report;
mod event_lookup;
mod event_report;
mod revenue_report;
mod values;

pub use self::{
    demographics_report::{
        CityUsers, CountryUsers, DemographicsReport, DeviceUsers, FacebookDemographics, GenderUsers,
        GroupUsers, Precision, RowError, TiktokDemographics,
    },
    event_lookup::{DeadLetter, EventLookupAnswer, EventStatus, RemovedEvent, StoredEvent},
    event_report::{EventBucket, EventReport, EventRow},
    revenue_report::{CampaignRevenue, RevenueBucket, RevenueReport, SourceRevenue},
    values::DateRange,
};
pub use crate::problem::Violation;
