//! The collectors role.
