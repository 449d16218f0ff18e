//! Unfolded observations: users whose events are in no set yet. A user with a number is added to the sets, another one
//! is new to this report.

use sea_orm::DbErr;
use weir::contract::event::v1::Source;

use super::{
    attribute_cache::{CacheEpoch, CachedAttributes},
    member::{Member, prepare},
    number_search::{UnfoldedUsers, find_numbers},
    observed_users::SeenUser,
    parallel::on_a_thread,
};
use crate::{error::ReportError, store::Snapshot};

/// The most members of one report, 28 bytes each. Two million users are counted exactly, most of them with one member.
const MOST_MEMBERS: usize = 2_700_000;
/// So many members are worth sorting, so that repeats go.
const WORTH_SORTING: usize = 1 << 16;

/// Observations of users whose events are in no set yet, gathered from their deltas.
#[derive(Debug, Default)]
pub(super) struct Unfolded {
    members: Vec<Member>,
    /// The number of members at which they are sorted next.
    next_sort: usize,
}

impl Unfolded {
    /// Room for the users of so many events, in one piece: memory of smaller pieces would stay with the process.
    pub(super) fn with_room(events: u64) -> Self {
        let room = usize::try_from(events).unwrap_or(usize::MAX).min(MOST_MEMBERS + MOST_MEMBERS / 4);
        Self { members: Vec::with_capacity(room), next_sort: 0 }
    }

    /// Adds users with the values of their events.
    ///
    /// # Errors
    /// There are more of them than one report may hold.
    pub(super) fn add(
        &mut self,
        cached: &mut CachedAttributes,
        users: &[SeenUser<'_>],
    ) -> Result<(), ReportError> {
        self.members.extend(users.iter().map(|(key, attributes)| Member::of(*key, attributes, cached)));
        if self.members.len() < self.next_sort.max(WORTH_SORTING) {
            return Ok(());
        }
        self.members.sort_unstable();
        self.members.dedup();
        let left = self.members.len();
        if left > MOST_MEMBERS {
            return Err(ReportError::TooManyUsers);
        }
        self.next_sort = (left * 2).min(left + MOST_MEMBERS / 4);
        Ok(())
    }

    /// Finds the numbers of the users who have one.
    pub(super) async fn find_numbers(
        self,
        snapshot: &Snapshot,
        source: Source,
        epoch: &CacheEpoch,
    ) -> Result<UnfoldedUsers, DbErr> {
        let prepared = on_a_thread(self.members, |mut members| {
            let users = prepare(&mut members);
            (members, users)
        });
        let (members, users) = prepared.await?;
        find_numbers(snapshot, source, epoch, members, users).await
    }
}

#[cfg(test)]
mod tests {
    use weir_database::people::{Attributes, PersonKey};

    use super::*;

    #[test]
    fn repeats_take_no_room_and_too_many_users_are_refused() {
        let mut cached = CachedAttributes::default();
        let mut unfolded = Unfolded::default();
        let user = |number: u64| {
            let mut key = [0; PersonKey::LENGTH];
            key[..8].copy_from_slice(&number.to_be_bytes());
            (PersonKey(key), Attributes::default())
        };
        let thousand = |first: u64| (first..first + 1_000).map(user).collect::<Vec<_>>();
        for _ in 0..10_000 {
            unfolded.add(&mut cached, &thousand(0)).unwrap();
        }
        assert!(unfolded.members.len() < 2 * WORTH_SORTING, "{}", unfolded.members.len());
        let most = 2 * MOST_MEMBERS as u64 / 1_000;
        let refused =
            (0..most).find_map(|thousands| unfolded.add(&mut cached, &thousand(thousands * 1_000)).err());
        assert!(matches!(refused, Some(ReportError::TooManyUsers)), "{refused:?}");
    }
}
