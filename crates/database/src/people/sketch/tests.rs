//! Sketches keep their promises: exact when small, within the stated error when large, the same in any order.

use super::*;

const PERU: Attributes<'static> =
    Attributes { group: 2, gender_or_device: 1, country: Some("Peru"), city: Some("Ica") };
const CHILE: Attributes<'static> =
    Attributes { group: 3, gender_or_device: 0, country: Some("Chile"), city: None };

fn person(number: u32) -> PersonKey {
    PersonKey::of(&number.to_string())
}

fn sketch_of(numbers: impl IntoIterator<Item = u32>, attributes: &Attributes<'_>) -> Sketch {
    let mut union = SketchUnion::default();
    union.observe(numbers.into_iter().map(|number| (person(number), attributes.hashes())));
    union.finish()
}

fn names() -> SketchNames {
    let mut names = SketchNames::default();
    for attributes in [PERU, CHILE] {
        names.add(&attributes, attributes.hashes());
    }
    names
}

fn united(sketches: &[&Sketch]) -> Vec<u8> {
    let mut union = SketchUnion::default();
    sketches.iter().for_each(|sketch| union.unite(sketch));
    names().to_blob(&union.finish())
}

#[test]
fn few_users_are_counted_exactly() {
    let sketch = sketch_of(0..5_000, &PERU);
    assert_eq!((sketch.users(), sketch.share(), sketch.relative_error()), (5_000.0, 1.0, 0.0));
}

#[test]
fn many_users_are_estimated_within_the_stated_error() {
    for users in [20_000, 100_000, 300_000] {
        let sketch = sketch_of(0..users, &PERU);
        let error = (sketch.users() / f64::from(users) - 1.0).abs();
        assert!(error < 4.0 * sketch.relative_error(), "{users}: {error} of {}", sketch.relative_error());
        assert!(sketch.least_users() < f64::from(users));
        assert!(sketch.appearances().count() <= 1 << LG_K);
    }
}

#[test]
fn the_order_and_the_grouping_of_unions_make_no_difference() {
    let [one, two, three] =
        [sketch_of(0..30_000, &PERU), sketch_of(20_000..60_000, &CHILE), sketch_of(0..100, &PERU)];
    let mut pair = SketchUnion::default();
    [&two, &three].iter().for_each(|sketch| pair.unite(sketch));
    let all = united(&[&one, &two, &three]);
    assert_eq!(united(&[&three, &one, &two]), all);
    assert_eq!(united(&[&pair.finish(), &one]), all);
    assert_eq!(united(&[&one, &one, &two, &three, &two]), all);
}

#[test]
fn a_user_with_several_values_counts_once_in_each_group() {
    let mut union = SketchUnion::default();
    union.unite(&sketch_of([1, 2], &PERU));
    union.unite(&sketch_of([2, 3], &CHILE));
    let sketch = union.finish();
    let members = |dimension| -> Vec<u64> {
        let mut all: Vec<u64> =
            sketch.appearances().flat_map(|user| user.values(dimension).collect::<Vec<_>>()).collect();
        all.sort_unstable();
        all
    };
    assert_eq!(sketch.users(), 3.0);
    assert_eq!(members(Dimension::Group), [2, 2, 3, 3]);
    assert_eq!(members(Dimension::GenderOrDevice), [1, 1], "0 is no value");
    assert_eq!(members(Dimension::City).len(), 2);
}

#[test]
fn a_user_with_very_many_values_keeps_some_of_them_in_any_order() {
    let cities: Vec<String> = (0..100).map(|number| format!("city {number}")).collect();
    let of = |order: Vec<usize>| {
        let mut union = SketchUnion::default();
        for index in order {
            let attributes = Attributes { city: Some(&cities[index]), ..PERU };
            union.observe([(person(1), attributes.hashes())]);
        }
        union.finish().appearances().cloned().collect::<Vec<_>>()
    };
    assert_eq!(of((0..100).collect()), of((0..100).rev().collect()));
    assert_eq!(of((0..100).collect())[0].values(Dimension::City).count(), MAX_APPEARANCES);
}

#[test]
fn a_removed_person_is_no_user_any_more() {
    let sketch = sketch_of(0..100, &PERU);
    assert_eq!(sketch.without(person(7)).users(), 99.0);
    assert_eq!(sketch.without(person(7)).without(person(7)).users(), 99.0);
    assert_eq!(sketch.without(person(100)).users(), 100.0);
    assert_eq!(Sketch::without(&SketchUnion::default().finish(), person(1)).users(), 0.0);
}

#[test]
fn a_sketch_and_its_names_are_read_as_written() {
    for sketch in [sketch_of(0..40_000, &PERU), sketch_of([1], &CHILE), SketchUnion::default().finish()] {
        let blob = names().to_blob(&sketch);
        let stored = StoredSketch::read(&blob).unwrap();
        let mut read = SketchNames::default();
        stored.names_into(&mut read).unwrap();
        assert_eq!(read.to_blob(&stored.sketch), blob);
    }
    let mut kept = names();
    kept.retain(&sketch_of([1], &PERU));
    let [_, _, country, city] = PERU.hashes().0;
    assert_eq!(
        (kept.len(), kept.of(city), kept.of(country)),
        (2, Some(("Peru", Some("Ica"))), Some(("Peru", None)))
    );
}

#[test]
fn a_full_sketch_has_some_250_kilobytes() {
    let bytes = names().to_blob(&sketch_of(0..100_000, &PERU)).len();
    assert!((200_000..260_000).contains(&bytes), "{bytes}");
}

#[test]
fn a_name_that_a_damaged_sketch_lacks_is_left_out() {
    let sketch = sketch_of([1], &PERU);
    let blob = SketchNames::default().to_blob(&sketch);
    assert_eq!(StoredSketch::read(&blob).unwrap().sketch.differences(&sketch), 0);
}

#[test]
fn a_damaged_sketch_is_malformed() {
    let blob = names().to_blob(&sketch_of(0..3, &PERU));
    for length in 0..blob.len() {
        let read = StoredSketch::read(&blob[..length])
            .and_then(|stored| stored.names_into(&mut SketchNames::default()));
        assert!(read.is_err(), "{length}");
    }
}
