//! The migration role.
