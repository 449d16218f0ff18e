//! Between the admitted event and the contract's message.

use super::Event;
use crate::contract::event::v1;

/// A message in a frame that no gate of this version wrote.
#[derive(Debug, thiserror::Error)]
#[error("the frame carries a malformed event: {0}")]
pub struct Malformed(pub(crate) &'static str);

impl From<Event> for v1::Event {
    fn from(event: Event) -> Self {
        let _ = event;
        unimplemented!()
    }
}

impl Event {
    /// Takes back what was admitted before: the journal holds admitted events alone, so only the shape is checked.
    pub(crate) fn restore(message: v1::Event) -> Result<Self, Malformed> {
        let _ = message;
        Err(Malformed("unimplemented"))
    }
}
