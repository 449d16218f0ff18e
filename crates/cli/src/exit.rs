//! The end of a command: its exit code, and its error message.

use std::{fmt, io, process::ExitCode};

use weir_process::{
    args::{ConfigErrors, Misconfigured},
    escape, exit_code,
};

use crate::output::{self, eprint_line, eprint_lines};

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

/// The refusal of a server: its message, and each field at fault on a line of its own. No value begins a line.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) message: String,
    /// Name and description of each field at fault.
    pub(crate) fields: Vec<String>,
    /// Whether the request is invalid, so that neither a retry nor another server helps.
    pub(crate) is_invalid: bool,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&escape::line(&self.message))?;
        self.fields.iter().try_for_each(|field| write!(formatter, "\n  - {}", escape::line(field)))
    }
}

impl std::error::Error for Refusal {}

impl CommandError {
    /// Reports the error. Where logs are written it becomes a log entry, so that the output contains only
    /// entries.
    pub(crate) fn report(&self) {
        if tracing::dispatcher::has_been_set() {
            tracing::error!(error = %self, "this process failed");
        } else if self.has_lines() {
            eprint_lines(&format!("weir: {self}"));
        } else {
            eprint_line(format_args!("weir: {self}"));
        }
    }

    /// Whether the error breaks its lines itself.
    fn has_lines(&self) -> bool {
        match self {
            Self::Misconfigured(_) => true,
            Self::Failed(error) => error.is::<Refusal>(),
            Self::Unwritten(_) => false,
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Misconfigured(_) => ExitCode::from(exit_code::MISCONFIGURED),
            Self::Failed(error) => match error.downcast_ref::<Refusal>() {
                Some(Refusal { is_invalid: true, .. }) => ExitCode::from(exit_code::MISCONFIGURED),
                Some(_) | None => ExitCode::from(exit_code::FAILED),
            },
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
