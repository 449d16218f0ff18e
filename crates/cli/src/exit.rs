//! The end of a command: its exit code, and its message where it did not do what it was asked.

use std::{io, process::ExitCode};

use weir_process::{
    args::{ConfigErrors, Misconfigured},
    exit_code,
};

use crate::output::{self, complain};

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
            Self::Misconfigured(_) => ExitCode::from(exit_code::MISCONFIGURED),
            Self::Failed(error) if error.is::<AskedWrongly>() => ExitCode::from(exit_code::MISCONFIGURED),
            Self::Failed(_) => ExitCode::from(exit_code::FAILED),
            Self::Unwritten(_) => ExitCode::from(exit_code::OUTPUT_NOT_WRITTEN),
        }
    }
}

/// The exit code of what clap answers: help and version were asked for, everything else is a mistake.
pub(crate) fn usage_exit_code(error: &clap::Error) -> ExitCode {
    if error.use_stderr() { ExitCode::from(exit_code::MISCONFIGURED) } else { ExitCode::SUCCESS }
}

/// A checked configuration, unless there are mistakes.
///
/// # Errors
/// Every mistake at once.
pub(crate) fn configured<T>(config: Option<T>, mistakes: ConfigErrors) -> Result<T, Misconfigured> {
    mistakes.into_result()?;
    Ok(config.expect("a configuration without mistakes is complete"))
}

/// The exit code of a command that would end with `code`: an answer that is not written whole is no success.
pub(crate) fn ended(code: ExitCode) -> ExitCode {
    let Some(error) = output::flush() else { return code };
    let failure = Failure::Unwritten(error);
    failure.tell();
    if code == ExitCode::SUCCESS { failure.exit_code() } else { code }
}
