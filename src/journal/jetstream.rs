//! (to be written)

/// (to be written)
#[derive(Clone, Debug)]
pub struct JetStream {}
