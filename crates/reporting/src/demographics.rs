//! Who: distinct users by group. A user counts once in every group that one of the user's events names.

mod groups;
mod rows;

use std::cmp::Reverse;

use weir::contract::{
    event::v1::Source,
    reporting::v1::{
        FacebookDemographics, GetDemographicsRequest, GetDemographicsResponse, GroupUsers, TiktokDemographics,
    },
};

use crate::{
    bounds::{self, Bounds, Span},
    decimal,
    error::ReportError,
    horizons::Horizons,
    metrics::ReportType,
    names,
    question::{Question, Reader},
    store::{Effort, Snapshot},
};
use groups::Groups;
use rows::People;

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
    /// It reads every row of its range.
    const EFFORT: Effort = Effort::Large;

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

    async fn facebook(
        &self,
        snapshot: &Snapshot,
        horizons: &Horizons,
    ) -> Result<FacebookDemographics, ReportError> {
        let (span, complete_from) = self.complete(horizons.of(Some(Source::Facebook)));
        let people = People::of(snapshot, Source::Facebook, &span);
        let mut genders = people.genders().await?;
        genders.sort_by_key(|row| (Reverse(row.users), names::gender(row.gender)));
        Ok(FacebookDemographics {
            users: people.users().await?,
            average_age: people.age().await?.rounded(),
            age_groups: complete(&groups::AGE, people.age_groups().await?),
            genders,
            countries: people.top_countries(self.limit).await?,
            cities: people.top_cities(self.limit).await?,
            estimate: false,
            relative_error: None,
            complete_from: complete_from.map(bounds::timestamp),
        })
    }

    async fn tiktok(
        &self,
        snapshot: &Snapshot,
        horizons: &Horizons,
    ) -> Result<TiktokDemographics, ReportError> {
        let (span, complete_from) = self.complete(horizons.of(Some(Source::Tiktok)));
        let people = People::of(snapshot, Source::Tiktok, &span);
        let mut devices = people.devices().await?;
        devices.sort_by_key(|row| (Reverse(row.users), names::tiktok_device(row.device)));
        devices.truncate(usize::try_from(self.limit).unwrap_or(usize::MAX));
        Ok(TiktokDemographics {
            users: people.users().await?,
            average_followers: people.followers().await?.rounded(),
            follower_groups: complete(&groups::FOLLOWERS, people.follower_groups().await?),
            countries: people.top_countries(self.limit).await?,
            devices,
            estimate: false,
            relative_error: None,
            complete_from: complete_from.map(bounds::timestamp),
        })
    }
}

impl Mean {
    fn rounded(self) -> f64 {
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
