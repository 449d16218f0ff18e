//! Environment variables as arguments: an empty variable counts as unset, and no help shows a value.

use std::ffi::OsStr;

use clap::{Arg, ArgMatches, Command, builder::Resettable, error::ErrorKind};

/// Parses the arguments of this process. A variable with an empty or blank value counts as unset. The help names
/// every variable and shows the value of none: any of them may be a secret, or a URL with a login.
///
/// # Errors
/// clap refuses the arguments, or the user asked for help.
pub fn parse(command: &Command) -> Result<ArgMatches, clap::Error> {
    let command = without_values(command.clone());
    match without_blank_variables(command.clone()).try_get_matches() {
        // The help names the empty ones too.
        Err(error) if is_help(&error) => command.try_get_matches(),
        parsed => parsed,
    }
}

fn is_help(error: &clap::Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand)
}

fn without_values(command: Command) -> Command {
    command.mut_args(|arg| arg.hide_env_values(true)).mut_subcommands(without_values)
}

/// Orchestrators pass on unset variables as empty ones.
fn without_blank_variables(command: Command) -> Command {
    command.mut_args(without_blank_variable).mut_subcommands(without_blank_variables)
}

fn without_blank_variable(arg: Arg) -> Arg {
    let blank = arg.get_env().is_some_and(is_blank);
    if blank { arg.env(Resettable::Reset) } else { arg }
}

#[expect(clippy::disallowed_methods, reason = "clap does not show the value that it has read")]
fn is_blank(variable: &OsStr) -> bool {
    std::env::var(variable).is_ok_and(|value| value.trim().is_empty())
}
