//! Removed rows and erased people: totals that still count, ranges that are rounded, and demographics that begin later.

use prost_types::Timestamp;
use rand::{SeedableRng as _, rngs::StdRng};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, EntityTrait as _, IntoActiveModel as _};
use weir::contract::reporting::v1::{
    DateRange, FindEventRequest, FindEventResponse, GetDemographicsRequest, GetEventStatisticsRequest,
    GetRevenueRequest, GroupBy, RemovedEvent,
};
use weir_database::entity::{events::Model, horizons};
use weir_event::Source;
use weir_testkit::database::{Database, anonymize, events_by_id, insert_key, on_both_databases};

use super::{expected, moments, rows, running::Running};

on_both_databases!(
    totals_outlive_rows_and_ends_between_minutes_are_rounded,
    demographics_begin_where_rows_are_complete,
    the_events_of_an_erased_person_count_and_the_person_does_not,
    an_event_without_its_row_is_found_as_removed,
);

const REQUESTS: usize = 200;
const MINUTE: i64 = 60;
/// 2024-12-31T23:17:00Z and 2025-09-14T01:03:00Z, in seconds: amid the random times.
const FACEBOOK_HORIZON: i64 = 1_735_687_020;
const TIKTOK_HORIZON: i64 = 1_757_811_780;

async fn totals_outlive_rows_and_ends_between_minutes_are_rounded(database: Database) {
    let (rows, reporting, mut random) = given_removed_rows(&database).await;
    let groupings = [GroupBy::Unspecified, GroupBy::Day].into_iter().cycle();
    let (mut rounded, mut exact) = (0, 0);
    for (group_by, source) in groupings.zip((0..=2).cycle()).take(REQUESTS) {
        let (from, to) = moments::range(&mut random);
        let (requested, answered) = (DateRange { from, to }, answerable(from, to, source));
        let rounded_range = (answered != requested).then_some(answered);
        *(if rounded_range.is_some() { &mut rounded } else { &mut exact }) += 1;

        let request =
            GetEventStatisticsRequest { from, to, source, group_by: group_by.into(), ..Default::default() };
        let answer = reporting.client().get_event_statistics(request).await.unwrap().into_inner();
        let request = GetEventStatisticsRequest { from: answered.from, to: answered.to, ..request };
        let mut expected = expected::event_statistics(&rows, &request);
        (expected.date_range, expected.rounded_range) = (Some(requested), rounded_range);
        assert_eq!(answer, expected, "{requested:?} of {source}");

        let request = GetRevenueRequest { from, to, source, group_by: group_by.into(), ..Default::default() };
        let answer = reporting.client().get_revenue(request.clone()).await.unwrap().into_inner();
        let request = GetRevenueRequest { from: answered.from, to: answered.to, ..request };
        let mut expected = expected::revenue(&rows, &request);
        (expected.date_range, expected.rounded_range) = (Some(requested), rounded_range);
        assert_eq!(answer, expected, "{requested:?} of {source}");
    }
    assert!(rounded > REQUESTS / 10 && exact > REQUESTS / 10, "{rounded} were rounded, {exact} were not");
}

async fn demographics_begin_where_rows_are_complete(database: Database) {
    let (rows, reporting, mut random) = given_removed_rows(&database).await;
    let mut later = 0;
    for source in (0..=2).cycle().take(REQUESTS) {
        let (from, to) = moments::range(&mut random);
        let request = GetDemographicsRequest { from, to, source, limit: None };
        let answer = reporting.client().get_demographics(request).await.unwrap().into_inner();
        let complete_from = |horizon| {
            let horizon = Timestamp { seconds: horizon, nanos: 0 };
            let begins_earlier = from.is_none_or(|from| order(&from) < order(&horizon));
            (begins_earlier && !is_empty(from, to)).then_some(horizon)
        };
        // Each section has its own start; a section that starts after the end has no users.
        let within = |start: Option<Timestamp>| {
            expected::demographics(&rows, &GetDemographicsRequest { from: start.or(from), ..request })
        };
        let (facebook, tiktok) = (complete_from(FACEBOOK_HORIZON), complete_from(TIKTOK_HORIZON));
        let mut expected = expected::demographics(&rows, &request);
        expected.facebook = within(facebook).facebook;
        expected.tiktok = within(tiktok).tiktok;
        expected.facebook.iter_mut().for_each(|section| section.complete_from = facebook);
        expected.tiktok.iter_mut().for_each(|section| section.complete_from = tiktok);
        later += usize::from(facebook.is_some());
        assert_eq!(answer, expected, "{request:?}");
    }
    assert!(later > REQUESTS / 10, "only {later} began later");
}

async fn the_events_of_an_erased_person_count_and_the_person_does_not(database: Database) {
    let rows = rows::many();
    let store = rows::store(&database, &rows).await;
    let erase = anonymize(&store, "user_id IN ('user 3', 'user 7')");
    assert!(store.execute_unprepared(&erase).await.unwrap().rows_affected() > 0);
    let reporting = Running::on(&database, "30000").await;

    let request = GetEventStatisticsRequest::default();
    let answer = reporting.client().get_event_statistics(request).await.unwrap().into_inner();
    assert_eq!(answer, expected::event_statistics(&rows, &request));
    let request = GetRevenueRequest::default();
    let answer = reporting.client().get_revenue(request.clone()).await.unwrap().into_inner();
    assert_eq!(answer, expected::revenue(&rows, &request));

    let erased = |row: &Model| ["user 3", "user 7"].contains(&row.user_id.as_str());
    assert!(rows.iter().any(erased), "no row was erased");
    let others: Vec<Model> = rows.iter().filter(|row| !erased(row)).cloned().collect();
    let request = GetDemographicsRequest { limit: Some(1_000), ..Default::default() };
    let answer = reporting.client().get_demographics(request).await.unwrap().into_inner();
    assert_eq!(answer, expected::demographics(&others, &request));
}

async fn an_event_without_its_row_is_found_as_removed(database: Database) {
    let store = rows::store(&database, &[rows::checkout(1, "c", 1)]).await;
    insert_key(&store, number(Source::Facebook), "Zoë's order", 1_757_834_505_318_001).await;
    let reporting = Running::on(&database, "30000").await;
    let find = async |source: Source, id: &str| {
        let request = FindEventRequest { source: source.number(), event_id: id.into() };
        reporting.client().find_event(request).await.unwrap().into_inner()
    };
    let arrived_at = Some(Timestamp { seconds: 1_757_834_505, nanos: 318_001_000 });
    let removed = FindEventResponse { stored: None, removed: Some(RemovedEvent { arrived_at }) };
    assert_eq!(find(Source::Facebook, "Zoë's order").await, removed);
    let stored = find(Source::Facebook, "event 1").await;
    assert!(stored.stored.is_some() && stored.removed.is_none(), "{stored:?}");
    assert_eq!(find(Source::Tiktok, "Zoë's order").await, FindEventResponse::default());
    assert_eq!(find(Source::Facebook, "Zoë's other order").await, FindEventResponse::default());
}

/// Rolled-up rows. Most of those before the horizons are removed.
async fn given_removed_rows(database: &Database) -> (Vec<Model>, Running, StdRng) {
    let mut random = StdRng::seed_from_u64(9);
    let scattered =
        rows::many().into_iter().map(|row| Model { occurred_at: moments::moment(&mut random), ..row });
    let rows: Vec<Model> = scattered.collect();
    let store = rows::store(database, &rows).await;
    for (source, horizon) in [(Source::Facebook, FACEBOOK_HORIZON), (Source::Tiktok, TIKTOK_HORIZON)] {
        remove(&store, number(source), horizon * 1_000_000).await;
    }
    (rows, Running::on(database, "30000").await, random)
}

async fn remove(store: &DatabaseConnection, source: i16, complete_from: i64) {
    let delete = format!(
        "DELETE FROM {} WHERE source = {source} AND occurred_at < {complete_from} \
         AND event_id NOT LIKE '%1' AND event_id NOT LIKE '%4' AND event_id NOT LIKE '%7'",
        events_by_id(store)
    );
    let removed = store.execute_unprepared(&delete).await.unwrap().rows_affected();
    assert!(removed > 20, "only {removed} rows were removed");
    let horizon = horizons::Model { source, complete_from }.into_active_model();
    horizons::Entity::insert(horizon).exec_without_returning(store).await.unwrap();
}

/// The range with ends rounded outward where they lie before the horizon of the requested sources.
fn answerable(from: Option<Timestamp>, to: Option<Timestamp>, source: i32) -> DateRange {
    let horizon = if source == Source::Facebook.number() { FACEBOOK_HORIZON } else { TIKTOK_HORIZON };
    let is_within_a_minute = |end: &Timestamp| {
        // Event times are whole microseconds: an event at or after an end is at or after the next whole microsecond
        // too.
        let is_just_before_a_minute = end.seconds % MINUTE == 59 && end.nanos > 999_999_000;
        let is_whole = end.seconds % MINUTE == 0 && end.nanos == 0;
        end.seconds < horizon && !is_whole && !is_just_before_a_minute
    };
    let rounded = |end: Timestamp, minutes: i64| Timestamp {
        seconds: end.seconds - end.seconds % MINUTE + minutes * MINUTE,
        nanos: 0,
    };
    if is_empty(from, to) {
        return DateRange { from, to };
    }
    DateRange {
        from: from.map(|from| if is_within_a_minute(&from) { rounded(from, 0) } else { from }),
        to: to.map(|to| if is_within_a_minute(&to) { rounded(to, 1) } else { to }),
    }
}

/// Whether no whole microsecond lies in the range.
fn is_empty(from: Option<Timestamp>, to: Option<Timestamp>) -> bool {
    let ceiling = |end: Timestamp| end.seconds * 1_000_000 + i64::from((end.nanos + 999) / 1_000);
    from.zip(to).is_some_and(|(from, to)| ceiling(from) >= ceiling(to))
}

fn order(time: &Timestamp) -> (i64, i32) {
    (time.seconds, time.nanos)
}

fn number(source: Source) -> i16 {
    source.number().try_into().unwrap()
}
