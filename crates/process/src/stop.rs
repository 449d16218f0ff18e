//! The token by which a process asks a role to end.

/// Cancelled when a role must finish its work in hand and return. Cheap to clone; every clone is the same token.
pub type Stop = tokio_util::sync::CancellationToken;
