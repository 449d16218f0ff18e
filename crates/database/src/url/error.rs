//! Errors of a DATABASE_URL.

/// Errors of a DATABASE_URL. No text repeats the URL, which may have a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The scheme names no database that Weir runs on.
    #[error("must start with postgres://, postgresql:// or sqlite://")]
    Scheme,
    /// The scheme is right and the rest is not a URL.
    #[error("is not a valid {database} URL")]
    Malformed { database: &'static str },
    /// One part is wrong, or not supported.
    #[error("{part} {problem}")]
    Part { part: &'static str, problem: String },
    /// Each connection would have a database of its own, and all of them would end with the process.
    #[error("must name a file: SQLite in memory keeps nothing")]
    InMemory,
}
