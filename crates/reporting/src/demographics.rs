//! The report of demographics: distinct users by group. A user counts once in each group that an event of the user
//! names.
//!
//! Collectors keep sets of the users' numbers by minute, hour and day (`weir_database::people`). A report unites these
//! sets (`read_sets`) and adds observations that are in no set yet (`unfolded`), so that it covers every committed
//! event. It then counts the union by the attributes of each number (`attribute_cache`, `counts`). Where the rollups
//! show that the sets miss an event, the report counts rows instead (`from_rows`). Above two million users it estimates
//! their number and groups from sketches (`from_sketches`).

mod attribute_cache;
mod counts;
mod from_rows;
mod from_sets;
mod from_sketches;
mod interner;
mod member;
mod number_search;
mod observed_users;
mod parallel;
mod read_sets;
mod result;
mod unfolded;

use std::cmp::Reverse;

use weir::contract::{
    event::v1::Source,
    reporting::v1::{
        DeviceUsers, FacebookDemographics, GenderUsers, GetDemographicsRequest, GetDemographicsResponse,
        TiktokDemographics,
    },
};

use crate::{
    error::ReportError,
    metrics::ReportType,
    names,
    report_query::{ReportQuery, RequestParser},
    store::Snapshot,
    time_range::{Horizons, RequestedRange, TimeRange, timestamp},
};
pub(crate) use attribute_cache::AttributeCache;
use result::{AGES, FOLLOWERS, SumAndCount, Users};

/// A request for demographics.
#[derive(Debug)]
pub(crate) struct DemographicsQuery {
    range: RequestedRange,
    source: Option<Source>,
    limit: u64,
}

impl ReportQuery for DemographicsQuery {
    type Request = GetDemographicsRequest;
    type Response = GetDemographicsResponse;
    type Cache = AttributeCache;
    const REPORT_TYPE: Option<ReportType> = Some(ReportType::Demographics);

    fn parse(request: GetDemographicsRequest) -> Result<Self, ReportError> {
        let mut parser = RequestParser::default();
        let report = Self {
            range: parser.range(request.from, request.to),
            source: parser.source(request.source),
            limit: parser.limit(request.limit),
        };
        parser.finish(report)
    }

    async fn answer(
        self,
        snapshot: &Snapshot,
        attributes: &AttributeCache,
    ) -> Result<GetDemographicsResponse, ReportError> {
        let horizons = Horizons::read(snapshot).await?;
        let mut response =
            GetDemographicsResponse { date_range: Some(self.range.requested()), ..Default::default() };
        if self.includes(Source::Facebook) {
            response.facebook = Some(self.facebook(snapshot, attributes, &horizons).await?);
        }
        if self.includes(Source::Tiktok) {
            response.tiktok = Some(self.tiktok(snapshot, attributes, &horizons).await?);
        }
        Ok(response)
    }
}

impl DemographicsQuery {
    fn includes(&self, source: Source) -> bool {
        self.source.is_none_or(|requested| requested == source)
    }

    /// The part of the range that has all rows, and its begin where that is later than the range's.
    fn complete(&self, horizon: Option<i64>) -> (TimeRange, Option<i64>) {
        let range = self.range.range();
        let later =
            horizon.filter(|horizon| !range.is_empty() && range.from.is_none_or(|from| from < *horizon));
        (TimeRange { from: later.or(range.from), ..range }, later)
    }

    /// The users of a source, and the mean of their events' ages or followers.
    async fn users(
        &self,
        snapshot: &Snapshot,
        attributes: &AttributeCache,
        source: Source,
        range: TimeRange,
    ) -> Result<(Users, SumAndCount), ReportError> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let mean = from_sets::mean(snapshot, source, range).await?;
        let max_exact = attributes.max_exact_users;
        let estimated =
            from_sketches::estimate(snapshot, source, range, mean.events, max_exact, limit).await?;
        if let Some(users) = estimated {
            attributes.sections.count("sketches");
            return Ok((users.with_row_errors(), mean));
        }
        if let Some(users) = from_sets::count(snapshot, attributes, source, range, mean.events, limit).await?
        {
            attributes.sections.count("sets");
            return Ok((users.with_row_errors(), mean));
        }
        attributes.sections.count("rows");
        snapshot.allow_parallel_workers().await?;
        Ok(from_rows::count(snapshot, source, range, self.limit).await?)
    }

    async fn facebook(
        &self,
        snapshot: &Snapshot,
        attributes: &AttributeCache,
        horizons: &Horizons,
    ) -> Result<FacebookDemographics, ReportError> {
        let (range, complete_from) = self.complete(horizons.of(Some(Source::Facebook)));
        let (users, mean) = self.users(snapshot, attributes, Source::Facebook, range).await?;
        let errors = users.errors();
        let gender = |(gender, users)| GenderUsers { gender, users, relative_error: errors.of(users) };
        let mut genders: Vec<GenderUsers> = users.genders_or_devices.into_iter().map(gender).collect();
        genders.sort_by_key(|row| (Reverse(row.users), names::gender(row.gender)));
        Ok(FacebookDemographics {
            users: users.users,
            average_age: mean.rounded().to_f64(),
            average_age_decimal: mean.rounded().to_string(),
            age_groups: AGES.fill(&users.groups, errors),
            genders,
            countries: users.countries,
            cities: users.cities,
            estimate: users.relative_error.is_some(),
            relative_error: users.relative_error,
            complete_from: complete_from.map(timestamp),
        })
    }

    async fn tiktok(
        &self,
        snapshot: &Snapshot,
        attributes: &AttributeCache,
        horizons: &Horizons,
    ) -> Result<TiktokDemographics, ReportError> {
        let (range, complete_from) = self.complete(horizons.of(Some(Source::Tiktok)));
        let (users, mean) = self.users(snapshot, attributes, Source::Tiktok, range).await?;
        let errors = users.errors();
        let device = |(device, users)| DeviceUsers { device, users, relative_error: errors.of(users) };
        let mut devices: Vec<DeviceUsers> = users.genders_or_devices.into_iter().map(device).collect();
        devices.sort_by_key(|row| (Reverse(row.users), names::tiktok_device(row.device)));
        devices.truncate(usize::try_from(self.limit).unwrap_or(usize::MAX));
        Ok(TiktokDemographics {
            users: users.users,
            average_followers: mean.rounded().to_f64(),
            average_followers_decimal: mean.rounded().to_string(),
            follower_groups: FOLLOWERS.fill(&users.groups, errors),
            countries: users.countries,
            devices,
            estimate: users.relative_error.is_some(),
            relative_error: users.relative_error,
            complete_from: complete_from.map(timestamp),
        })
    }
}
