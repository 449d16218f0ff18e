//! The source of chance of all invented events.

use rand::{rngs::Xoshiro256PlusPlus, seq::IndexedRandom as _};

/// All chance is drawn from this generator. Its algorithm is a named one, so that a seed means the same in every
/// release.
pub(super) type Dice = Xoshiro256PlusPlus;

/// One of `choices`, which is not empty, each as likely as the others.
pub(super) fn one_of<T: Copy>(dice: &mut Dice, choices: &[T]) -> T {
    *choices.choose(dice).expect("there is always a choice")
}
