//! The random generator of all generated events.

use rand::{rngs::Xoshiro256PlusPlus, seq::IndexedRandom as _};

/// The one random generator. Its algorithm is a named one, so that a seed means the same in every release.
pub(super) type Dice = Xoshiro256PlusPlus;

/// Draws one of `choices`, which is not empty; each is equally likely.
pub(super) fn one_of<T: Copy>(dice: &mut Dice, choices: &[T]) -> T {
    *choices.choose(dice).expect("there is always a choice")
}
