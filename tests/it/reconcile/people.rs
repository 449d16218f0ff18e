//! Reconciliation of the sets of people with rows: folding makes no difference, and a missing or a surplus person is
//! found and repaired.

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait as _, DatabaseConnection, DbBackend,
    EntityTrait as _, IntoActiveModel as _, QueryFilter as _, QueryOrder as _, Set,
};
use weir_collectors::{
    people::{People, StepOutcome},
    reconcile::{Difference, Evidence, Measure, Measures, Period, Subject},
    store::Store,
};
use weir_database::{
    entity::people_sets::{Column, Entity, Model},
    people::{SLOTS, Sets, USERS},
    time_bucket::Grain,
};
use weir_event::Source;
use weir_testkit::database::{Database, on_both_databases};

use super::{damage, differences_in, erase_a_person, frames, repair_all};
use crate::store::store_all;

on_both_databases!(
    sets_equal_the_rows_at_any_progress_of_folding,
    a_person_that_a_set_lacks_is_found_and_repaired,
    a_person_in_a_set_without_a_row_is_found_and_repaired,
    a_row_of_another_person_is_found_and_repaired,
    a_deleted_set_is_found_and_repaired,
    a_sketch_of_other_users_is_found_and_repaired,
    a_day_without_sets_is_no_difference,
    sets_before_the_horizon_are_not_compared,
);

/// The evidence of each grain.
const GRAINS: [(Grain, Evidence); 3] =
    [(Grain::Minute, Evidence::Rows), (Grain::Hour, Evidence::Minutes), (Grain::Day, Evidence::Minutes)];

async fn sets_equal_the_rows_at_any_progress_of_folding(database: Database) {
    let migrated = database.migrated().await;
    let (store, reader) = (Store::new(&migrated), database.connect().await);
    let people = People::new(&store);
    for (round, frames) in frames(41, 40).chunks(8).enumerate() {
        store_all(&store, frames).await;
        assert_eq!(differences_in(&reader, Period::default()).await, []);
        for source in numbers() {
            people.fold(source, [1, 40, 200, 1, 100_000][round]).await.unwrap();
        }
        if round == 2 {
            erase_a_person(&store).await;
        }
        if round == 3 {
            // Rebuilds deleted sets from rows, while deltas wait.
            damage(&migrated, "DELETE FROM people_sets WHERE source = 1").await;
            while people.rebuild(1).await.unwrap() != StepOutcome::Idle {}
        }
        assert_eq!(differences_in(&reader, Period::default()).await, []);
    }
    fold_all(&people).await;
    assert_eq!(differences_in(&reader, Period::default()).await, []);
    assert!(Entity::find().one(&reader).await.unwrap().is_some());
}

async fn a_person_that_a_set_lacks_is_found_and_repaired(database: Database) {
    let (migrated, reader) = folded(&database, 42).await;
    for (grain, evidence) in GRAINS {
        let set = largest(&migrated, grain).await;
        let missing = Sets::read(&set.data).unwrap().slot(USERS).max().unwrap();
        let mut without = Sets::read(&set.data).unwrap();
        without.remove(Sets::of(std::array::from_fn(|_| vec![missing])).slot(USERS));
        write(&migrated, &set, &without).await;
        let difference = narrowest_difference(&reader, grain).await;
        assert_eq!((difference.bucket, difference.evidence), (set.bucket, evidence), "{difference:?}");
        assert_eq!(surplus(&difference), -1, "{difference:?}");
        repair_and_check(&database, &migrated, &reader, &set).await;
    }
}

async fn a_person_in_a_set_without_a_row_is_found_and_repaired(database: Database) {
    let (migrated, reader) = folded(&database, 43).await;
    for (grain, _) in GRAINS {
        let set = largest(&migrated, grain).await;
        let mut with = Sets::read(&set.data).unwrap();
        // A member of a group and no user, so that the number of users stays.
        let mut slots: [Vec<u32>; SLOTS] = Default::default();
        slots[SLOTS - 1].push(77);
        with.unite(&Sets::of(slots));
        write(&migrated, &set, &with).await;
        let difference = narrowest_difference(&reader, grain).await;
        assert_eq!((difference.bucket, surplus(&difference)), (set.bucket, 0), "{difference:?}");
        assert_eq!(measure_of(&difference.written, Measure::Misplaced), 1, "{difference:?}");
        repair_and_check(&database, &migrated, &reader, &set).await;
    }
}

async fn a_row_of_another_person_is_found_and_repaired(database: Database) {
    let (migrated, reader) = folded(&database, 44).await;
    let (user, event) = match migrated.get_database_backend() {
        DbBackend::Postgres => ("user_code", "event_code"),
        _ => ("user_id", "event_id"),
    };
    let altered = format!(
        "UPDATE events SET {user} = 'somebody else' WHERE source = 2 AND {event} = \
            (SELECT {event} FROM events WHERE source = 2 ORDER BY {event} LIMIT 1)"
    );
    damage(&migrated, &altered).await;
    let differences = differences_in(&reader, Period::default()).await;
    let [difference] = &differences[..] else { panic!("{differences:?}") };
    assert_eq!((difference.grain, &difference.subject), (Grain::Minute, &Subject::People));
    assert_eq!(repair_all(&database, &reader, Period::default()).await, 1);
    // Its hour and its day were rebuilt with it.
    assert_eq!(differences_in(&reader, Period::default()).await, []);
}

async fn a_deleted_set_is_found_and_repaired(database: Database) {
    let (migrated, reader) = folded(&database, 47).await;
    for grain in [Grain::Minute, Grain::Hour] {
        let set = largest(&migrated, grain).await;
        Entity::delete_by_id((set.source, set.grain, set.bucket)).exec(&migrated).await.unwrap();
        let difference = narrowest_difference(&reader, grain).await;
        assert_eq!(measure_of(&difference.written, Measure::Observations), 0, "{difference:?}");
        assert_eq!(measure_of(&difference.expected, Measure::Observations), i128::from(set.sightings));
        repair_and_check(&database, &migrated, &reader, &set).await;
    }
}

async fn a_sketch_of_other_users_is_found_and_repaired(database: Database) {
    let (migrated, reader) = folded(&database, 47).await;
    for (grain, evidence) in GRAINS {
        let number = grain.number();
        // The largest bucket gets the sketch of the smallest one.
        let by_size = |order: &str| {
            format!(
                "FROM people_sketches WHERE source = 1 AND grain = {number} ORDER BY users {order}, bucket LIMIT 1"
            )
        };
        let damaged = format!(
            "UPDATE people_sketches SET data = (SELECT data {}) \
             WHERE source = 1 AND grain = {number} AND bucket = (SELECT bucket {})",
            by_size("ASC"),
            by_size("DESC"),
        );
        damage(&migrated, &damaged).await;
        let difference = narrowest_difference(&reader, grain).await;
        assert_eq!(
            (&difference.subject, difference.evidence),
            (&Subject::People, evidence),
            "{difference:?}"
        );
        assert!(surplus(&difference) < 0, "{difference:?}");
        repair_all(&database, &reader, Period::default()).await;
        assert_eq!(differences_in(&reader, Period::default()).await, []);
    }
}

/// The same as rows from before there were sets: reports answer from rows, and the job rebuilds the sets.
async fn a_day_without_sets_is_no_difference(database: Database) {
    let (migrated, reader) = folded(&database, 45).await;
    let set = largest(&migrated, Grain::Day).await;
    let of_day = [set.bucket, set.bucket + 86_400_000_000];
    let gone = Entity::delete_many().filter(Column::Source.eq(set.source));
    let gone = gone.filter(Column::Bucket.gte(of_day[0])).filter(Column::Bucket.lt(of_day[1]));
    assert!(gone.exec(&migrated).await.unwrap().rows_affected > 2);
    assert_eq!(differences_in(&reader, Period::default()).await, []);
    let people = People::new(&Store::new(&migrated));
    while people.rebuild(set.source).await.unwrap() != StepOutcome::Idle {}
    assert_eq!(largest(&migrated, Grain::Day).await, set);
    assert_eq!(differences_in(&reader, Period::default()).await, []);
}

async fn sets_before_the_horizon_are_not_compared(database: Database) {
    let (migrated, reader) = folded(&database, 46).await;
    let set = largest(&migrated, Grain::Hour).await;
    let horizon = set.bucket + 30 * 60_000_000;
    for statement in [
        format!("DELETE FROM events WHERE occurred_at < {horizon}"),
        format!("INSERT INTO horizons (source, complete_from) VALUES (1, {horizon}), (2, {horizon})"),
    ] {
        migrated.execute_unprepared(&statement).await.unwrap();
    }
    let differences = differences_in(&reader, Period::default()).await;
    assert!(differences.iter().all(|difference| difference.subject != Subject::People), "{differences:?}");
    let minute = Entity::find()
        .filter(Column::Grain.eq(Grain::Minute.number()))
        .filter(Column::Source.eq(set.source))
        .filter(Column::Bucket.gte(horizon))
        .order_by_asc(Column::Bucket)
        .one(&migrated)
        .await
        .unwrap()
        .unwrap();
    write(&migrated, &minute, &Sets::default()).await;
    let differences = differences_in(&reader, Period::default()).await;
    let people = differences.iter().filter(|difference| difference.subject == Subject::People);
    let found: Vec<(Grain, i64)> = people.map(|difference| (difference.grain, difference.bucket)).collect();
    assert_eq!(found.first(), Some(&(Grain::Minute, minute.bucket)), "{differences:?}");
}

fn numbers() -> impl Iterator<Item = i16> {
    Source::ALL.iter().map(|source| i16::try_from(source.number()).unwrap())
}

async fn fold_all(people: &People) {
    for source in numbers() {
        people.fold_all(source).await.unwrap();
    }
}

/// A store whose observations are all folded.
async fn folded(database: &Database, seed: u64) -> (DatabaseConnection, DatabaseConnection) {
    let loaded = super::loaded(database, seed).await;
    fold_all(&People::new(&Store::new(&loaded.0))).await;
    assert_eq!(differences_in(&loaded.1, Period::default()).await, []);
    loaded
}

/// The set of a grain with the most events.
async fn largest(database: &DatabaseConnection, grain: Grain) -> Model {
    let sets = Entity::find().filter(Column::Grain.eq(grain.number())).order_by_desc(Column::Sightings);
    let ordered = sets.order_by_asc(Column::Source).order_by_asc(Column::Bucket);
    ordered.one(database).await.unwrap().unwrap()
}

async fn write(database: &DatabaseConnection, set: &Model, sets: &Sets) {
    let mut set = set.clone().into_active_model();
    set.data = Set(sets.to_blob());
    set.update(database).await.unwrap();
}

/// The difference of the narrowest grain. All must be of people and none of a narrower grain than `grain`. Buckets
/// that consist of a wrong one differ as well.
async fn narrowest_difference(reader: &DatabaseConnection, grain: Grain) -> Difference {
    let differences = differences_in(reader, Period::default()).await;
    assert!(
        differences.iter().all(|found| found.subject == Subject::People && found.grain >= grain),
        "{differences:?}"
    );
    differences.into_iter().min_by_key(|difference| difference.grain).expect("it is found")
}

/// How many more users are written than expected.
fn surplus(Difference { written, expected, .. }: &Difference) -> i128 {
    measure_of(written, Measure::Users) - measure_of(expected, Measure::Users)
}

fn measure_of(figures: &Measures, figure: Measure) -> i128 {
    figures.iter().find(|(known, _)| *known == figure).unwrap().1
}

/// Repairs, and compares the set with its value before the damage.
async fn repair_and_check(
    database: &Database,
    migrated: &DatabaseConnection,
    reader: &DatabaseConnection,
    set: &Model,
) {
    assert!(repair_all(database, reader, Period::default()).await > 0);
    assert_eq!(differences_in(reader, Period::default()).await, []);
    let now = Entity::find_by_id((set.source, set.grain, set.bucket)).one(migrated).await.unwrap().unwrap();
    let [now, before] = [&now, set].map(|set| Sets::read(&set.data).unwrap());
    assert!((0..SLOTS).all(|slot| now.slot(slot) == before.slot(slot)), "{now:?} and not {before:?}");
}
