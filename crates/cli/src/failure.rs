//! The end of a command: its exit code, and its message where it did not do what it was asked.

use std::{io, process::ExitCode};

use weir_process::args::{ConfigErrors, EXIT_MISCONFIGURED, Misconfigured};

use crate::output::complain;

/// The exit code of a command that was asked rightly and failed.
pub(crate) const EXIT_FAILED: u8 = 1;
/// The exit code of a command whose answer could not be written: EX_IOERR of sysexits.h.
const EXIT_UNWRITTEN: u8 = 74;
/// The exit code of a command whose work is durable and not done yet: EX_TEMPFAIL of sysexits.h.
pub(crate) const EXIT_UNFINISHED: u8 = 75;

/// What a command ends with.
pub(crate) type Outcome = Result<ExitCode, Failure>;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// It was asked wrongly; every mistake is in it.
    #[error(transparent)]
    Misconfigured(#[from] Misconfigured),
    /// It was asked rightly.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
    /// It did what it was asked, and could not say so.
    #[error(
        "standard output can't be written, so part of the answer is missing: {0}; make room, or write elsewhere"
    )]
    Unwritten(&'static io::Error),
}

/// A server refused the question itself: to ask it again, or another server, is no use.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct AskedWrongly(pub(crate) String);

impl Failure {
    /// Says what went wrong: as a log entry where logs are written, so that nothing else is among them.
    pub(crate) fn tell(&self) {
        if tracing::dispatcher::has_been_set() {
            tracing::error!(error = %self, "this process failed");
        } else {
            complain(format_args!("weir: {self}"));
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Misconfigured(_) => ExitCode::from(EXIT_MISCONFIGURED),
            Self::Failed(error) if error.is::<AskedWrongly>() => ExitCode::from(EXIT_MISCONFIGURED),
            Self::Failed(_) => ExitCode::from(EXIT_FAILED),
            Self::Unwritten(_) => ExitCode::from(EXIT_UNWRITTEN),
        }
    }
}

/// The exit code of what clap answers: help and version were asked for, everything else is a mistake.
pub(crate) fn usage_exit_code(error: &clap::Error) -> ExitCode {
    if error.use_stderr() { ExitCode::from(EXIT_MISCONFIGURED) } else { ExitCode::SUCCESS }
}

/// A checked configuration, unless there are mistakes.
///
/// # Errors
/// Every mistake at once.
pub(crate) fn configured<T>(config: Option<T>, mistakes: ConfigErrors) -> Result<T, Misconfigured> {
    mistakes.into_result()?;
    Ok(config.expect("a configuration without mistakes is complete"))
}
