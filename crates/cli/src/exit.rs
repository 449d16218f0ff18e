//! The end of a command: its exit code, and its error message.

use std::{io, process::ExitCode};

use weir_process::{
    args::{ConfigErrors, Misconfigured},
    exit_code,
};

use crate::output::{self, eprint_line};

/// The result of a command.
pub(crate) type CommandResult = Result<ExitCode, CommandError>;

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The arguments are wrong; the error contains every mistake.
    #[error(transparent)]
    Misconfigured(#[from] Misconfigured),
    /// The arguments are right, and the work failed.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
    /// The work is done, but its answer could not be written.
    #[error(
        "standard output can't be written, so part of the answer is missing: {0}; make room, or write elsewhere"
    )]
    Unwritten(&'static io::Error),
}

/// A server refused the request as invalid. Neither a retry nor another server helps.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct InvalidRequest(pub(crate) String);

impl CommandError {
    /// Reports the error. Where logs are written it becomes a log entry, so that the output contains only
    /// entries.
    pub(crate) fn report(&self) {
        if tracing::dispatcher::has_been_set() {
            tracing::error!(error = %self, "this process failed");
        } else {
            eprint_line(format_args!("weir: {self}"));
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Misconfigured(_) => ExitCode::from(exit_code::MISCONFIGURED),
            Self::Failed(error) if error.is::<InvalidRequest>() => ExitCode::from(exit_code::MISCONFIGURED),
            Self::Failed(_) => ExitCode::from(exit_code::FAILED),
            Self::Unwritten(_) => ExitCode::from(exit_code::OUTPUT_NOT_WRITTEN),
        }
    }
}

/// The exit code for an answer of clap: help and version are successes, everything else is a mistake.
pub(crate) fn usage_exit_code(error: &clap::Error) -> ExitCode {
    if error.use_stderr() { ExitCode::from(exit_code::MISCONFIGURED) } else { ExitCode::SUCCESS }
}

/// Returns the checked configuration.
///
/// # Errors
/// The configuration has errors; all are returned at once.
pub(crate) fn configured<T>(config: Option<T>, errors: ConfigErrors) -> Result<T, Misconfigured> {
    errors.into_result()?;
    Ok(config.expect("a configuration without mistakes is complete"))
}

/// Flushes standard output, and replaces the success of `code` if a part of the answer was not written.
pub(crate) fn finish(code: ExitCode) -> ExitCode {
    let Some(error) = output::flush() else { return code };
    let failure = CommandError::Unwritten(error);
    failure.report();
    if code == ExitCode::SUCCESS { failure.exit_code() } else { code }
}
