//! Generated people and places, with the apostrophes, commas, dots, accents and hyphens of real ones.

use rand::RngExt as _;

use super::dice::{Dice, one_of};

const TITLES: [&str; 6] = ["Mrs. ", "Dr. ", "Mr. ", "", "", ""];
const FIRST_NAMES: [&str; 24] = [
    "Orla", "Zoë", "Łukasz", "Anaïs", "Jean-Luc", "Søren", "Ivo", "Marisol", "Nikolaï", "Björk", "Chidi",
    "Mei-Ling", "Rosalía", "Thelma", "Guðrún", "Amélie", "Piotr", "Siobhán", "Yağmur", "Lucía", "Wendell",
    "Ama", "Tadeáš", "Ottoline",
];
const LAST_NAMES: [&str; 24] = [
    "O'Dell",
    "N'Diaye",
    "Brontë-Hill",
    "García Márquez",
    "D'Angelo",
    "Müller",
    "Nuñez",
    "Dvořák",
    "van der Berg",
    "Marsh",
    "Ó Briain",
    "Åkesson",
    "Saint-Exupéry",
    "Kowalski",
    "Okonkwo",
    "Smith-Jones",
    "Çelik",
    "Lefèvre",
    "MacKenzie",
    "Ibáñez",
    "Tremblay",
    "Þórsdóttir",
    "Quiñones",
    "L'Estrange",
];
const SUFFIXES: [&str; 8] = [", Jr.", " Sr.", " III", "", "", "", "", ""];

const COUNTRIES: [&str; 32] = [
    "Côte d'Ivoire",
    "Trinidad and Tobago",
    "Bonaire, Sint Eustatius and Saba",
    "Guinea-Bissau",
    "São Tomé and Príncipe",
    "Curaçao",
    "Timor-Leste",
    "Virgin Islands, U.S.",
    "Saint Vincent and the Grenadines",
    "Réunion",
    "Türkiye",
    "Åland Islands",
    "Lao People's Democratic Republic",
    "Bosnia and Herzegovina",
    "Moldova, Republic of",
    "Saint Barthélemy",
    "Germany",
    "Japan",
    "Brazil",
    "Canada",
    "Viet Nam",
    "United States of America",
    "Kenya",
    "New Zealand",
    "Poland",
    "Spain",
    "France",
    "India",
    "Mexico",
    "Papua New Guinea",
    "Portugal",
    "Norway",
];
const CITY_PREFIXES: [&str; 10] =
    ["East ", "West ", "North ", "South ", "New ", "Port ", "Lake ", "Saint-", "", "Fort St. "];
const CITY_STEMS: [&str; 24] = [
    "Bramwell",
    "Coeur d'Alene",
    "Évreux",
    "Orléans",
    "Winnipeg",
    "Łódź",
    "Malmö",
    "Hawi'i",
    "Reyes",
    "Stratford",
    "Ávila",
    "Kings-Lynn",
    "Bishop's Castle",
    "Tromsø",
    "Zürich",
    "Nîmes",
    "Baton-Rouge",
    "Cádiz",
    "Düren",
    "Ponta",
    "Harare",
    "Oaxaca",
    "Marlow",
    "Ferndale",
];

/// A name such as `Mrs. Orla O'Dell` or `Zoë N'Diaye, Jr.`.
pub(super) fn name(dice: &mut Dice) -> String {
    let [title, first, last, suffix] =
        [&TITLES[..], &FIRST_NAMES[..], &LAST_NAMES[..], &SUFFIXES[..]].map(|parts| one_of(dice, parts));
    [title, first, " ", last, suffix].concat()
}

/// A name such as `Orla.O'Dell_88`.
pub(super) fn username(dice: &mut Dice) -> String {
    let (first, last) = (one_of(dice, &FIRST_NAMES), one_of(dice, &LAST_NAMES));
    let number: u16 = dice.random_range(1..1000);
    format!("{first}.{last}_{number}")
}

pub(super) fn country(dice: &mut Dice) -> &'static str {
    one_of(dice, &COUNTRIES)
}

/// A city such as `East Bramwell`.
pub(super) fn city(dice: &mut Dice) -> String {
    [one_of(dice, &CITY_PREFIXES), one_of(dice, &CITY_STEMS)].concat()
}
