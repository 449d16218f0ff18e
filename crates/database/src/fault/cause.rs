//! Causes of a fault: one text for the cause, one for its remedy, and whether waiting helps.

/// The remedy where a pooler gives one connection to several sessions.
pub(crate) const POOLER: &str = "it leads to a pooler in transaction mode, which gives a session's statements to \
    several connections: set pool_mode = session for this database, or name the server itself";
/// The remedy for missing rights: the section of the runbook that has the statements.
pub(crate) const RIGHTS: &str = "grant what \"PostgreSQL: roles and rights\" in docs/runbook.md lists";

/// Whether waiting helps against a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The server is not there yet, or has no room for another connection.
    Unavailable,
    /// The server refuses the connection, or another server answers. An operator may correct that meanwhile.
    Refused,
    /// The database can be used, but lacks tables or rights, or admits only newer builds. A migration or a grant helps.
    Schema,
    /// Only another configuration helps.
    Permanent,
}

/// A cause and its remedy. The text of a fault names the location before them.
#[derive(Debug)]
pub(crate) struct Cause {
    pub(crate) kind: FaultKind,
    pub(crate) text: String,
    /// Empty where there is nothing to advise.
    pub(crate) remedy: String,
}

impl Cause {
    pub(crate) fn new(kind: FaultKind, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind, text: text.into(), remedy: remedy.into() }
    }
}
