//! Distinct users by group. A user counts once in every group that one of the user's events names.
//!
//! They are counted from sets of numbers that collectors keep by minute, hour and day (`people`), together with what
//! was stored since and with rows at ragged ends; so an answer is about everything that is committed. Where the sets
//! miss an event, which the rollups tell, rows are counted instead (`rows`).

mod attribute_cache;
mod counts;
mod from_rows;
mod from_sets;
mod groups;
mod interner;
mod measured;
mod parallel;
mod read_sets;
mod result;
mod unfolded;

use std::cmp::Reverse;

use weir::contract::{
    event::v1::Source,
    reporting::v1::{
        DeviceUsers, FacebookDemographics, GenderUsers, GetDemographicsRequest, GetDemographicsResponse,
        GroupUsers, TiktokDemographics,
    },
};

use crate::{
    decimal::{self, Hundredths},
    error::ReportError,
    horizons::Horizons,
    metrics::ReportType,
    names as names_of,
    report::{Question, Reader},
    store::Snapshot,
    time_range::{self, Bounds, Span},
};
pub(crate) use attribute_cache::Columns;
use from_rows::People;
use groups::Groups;
use result::Counted;

/// The third question.
#[derive(Debug)]
pub(crate) struct DemographicsQuestion {
    bounds: Bounds,
    source: Option<Source>,
    limit: u64,
}

/// A sum over events, to be divided by how many they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mean {
    sum: i128,
    events: u64,
}

impl Question for DemographicsQuestion {
    type Request = GetDemographicsRequest;
    type Answer = GetDemographicsResponse;
    const REPORT_TYPE: Option<ReportType> = Some(ReportType::Demographics);

    fn read(request: GetDemographicsRequest) -> Result<Self, ReportError> {
        let mut reader = Reader::default();
        let question = Self {
            bounds: reader.bounds(request.from, request.to),
            source: reader.source(request.source),
            limit: reader.limit(request.limit),
        };
        reader.finish(question)
    }

    async fn answer(self, snapshot: &Snapshot) -> Result<GetDemographicsResponse, ReportError> {
        let horizons = Horizons::read(snapshot).await?;
        let mut answer =
            GetDemographicsResponse { date_range: Some(self.bounds.asked()), ..Default::default() };
        if self.asks_for(Source::Facebook) {
            answer.facebook = Some(self.facebook(snapshot, &horizons).await?);
        }
        if self.asks_for(Source::Tiktok) {
            answer.tiktok = Some(self.tiktok(snapshot, &horizons).await?);
        }
        Ok(answer)
    }
}

impl DemographicsQuestion {
    fn asks_for(&self, source: Source) -> bool {
        self.source.is_none_or(|asked| asked == source)
    }

    /// The part of the range that rows can tell, and where it begins, if it is not all of it.
    fn complete(&self, horizon: Option<i64>) -> (Span, Option<i64>) {
        let asked = self.bounds.span();
        let later =
            horizon.filter(|horizon| !asked.is_empty() && asked.from.is_none_or(|from| from < *horizon));
        (Span { from: later.or(asked.from), ..asked }, later)
    }

    /// The people of a source, and the mean of what its events measure.
    async fn people(
        &self,
        snapshot: &Snapshot,
        source: Source,
        span: Span,
    ) -> Result<(Counted, Mean), ReportError> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        if let Some(counted) = from_sets::counted(snapshot, source, span, limit).await? {
            snapshot.columns().sections.count("sets");
            return Ok(counted);
        }
        snapshot.columns().sections.count("rows");
        snapshot.allow_workers().await?;
        let rows = People::of(snapshot, source, &span);
        Ok(match source {
            Source::Tiktok => rows.of_tiktok(self.limit).await?,
            Source::Facebook | Source::Unspecified => rows.of_facebook(self.limit).await?,
        })
    }

    async fn facebook(
        &self,
        snapshot: &Snapshot,
        horizons: &Horizons,
    ) -> Result<FacebookDemographics, ReportError> {
        let (span, complete_from) = self.complete(horizons.of(Some(Source::Facebook)));
        let (people, mean) = self.people(snapshot, Source::Facebook, span).await?;
        let gender = |(gender, users)| GenderUsers { gender, users };
        let mut genders: Vec<GenderUsers> = people.kinds.into_iter().map(gender).collect();
        genders.sort_by_key(|row| (Reverse(row.users), names_of::gender(row.gender)));
        Ok(FacebookDemographics {
            users: people.users,
            average_age: mean.rounded().to_f64(),
            average_age_decimal: mean.rounded().to_string(),
            age_groups: complete(&groups::AGE, people.groups),
            genders,
            countries: people.countries,
            cities: people.cities,
            estimate: people.relative_error.is_some(),
            relative_error: people.relative_error,
            complete_from: complete_from.map(time_range::timestamp),
        })
    }

    async fn tiktok(
        &self,
        snapshot: &Snapshot,
        horizons: &Horizons,
    ) -> Result<TiktokDemographics, ReportError> {
        let (span, complete_from) = self.complete(horizons.of(Some(Source::Tiktok)));
        let (people, mean) = self.people(snapshot, Source::Tiktok, span).await?;
        let device = |(device, users)| DeviceUsers { device, users };
        let mut devices: Vec<DeviceUsers> = people.kinds.into_iter().map(device).collect();
        devices.sort_by_key(|row| (Reverse(row.users), names_of::tiktok_device(row.device)));
        devices.truncate(usize::try_from(self.limit).unwrap_or(usize::MAX));
        Ok(TiktokDemographics {
            users: people.users,
            average_followers: mean.rounded().to_f64(),
            average_followers_decimal: mean.rounded().to_string(),
            follower_groups: complete(&groups::FOLLOWERS, people.groups),
            countries: people.countries,
            devices,
            estimate: people.relative_error.is_some(),
            relative_error: people.relative_error,
            complete_from: complete_from.map(time_range::timestamp),
        })
    }
}

impl Mean {
    fn rounded(self) -> Hundredths {
        decimal::mean(self.sum, self.events)
    }
}

/// Every group in its order; zero where `users`, by the group's place, have none.
fn complete(groups: &Groups, users: Vec<(usize, u64)>) -> Vec<GroupUsers> {
    let users_of = |place| users.iter().find(|(known, _)| *known == place).map_or(0, |(_, users)| *users);
    let group = |(place, name): (usize, &str)| GroupUsers { group: name.into(), users: users_of(place) };
    groups.names().enumerate().map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_complete_and_in_order() {
        let complete = complete(&groups::AGE, vec![(5, 2), (1, 7)]);
        let told: Vec<_> = complete.iter().map(|row| (row.group.as_str(), row.users)).collect();
        assert_eq!(told, [("<18", 0), ("18-24", 7), ("25-34", 0), ("35-44", 0), ("45-54", 0), ("55+", 2)]);
    }
}
