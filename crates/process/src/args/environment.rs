//! The environment as the arguments see it: empty variables are as if unset, and secrets may lie in files.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgMatches, Command, builder::Resettable, error::ErrorKind};

use super::ConfigErrors;

/// Parses this process's arguments; a variable whose value is empty or blank is as if it were not set.
///
/// # Errors
/// What clap refuses, or the help that was asked for.
pub fn parse(command: &Command) -> Result<ArgMatches, clap::Error> {
    match without_blank_variables(command.clone()).try_get_matches() {
        // The help names every variable, the empty ones too.
        Err(error) if is_help(&error) => command.clone().try_get_matches(),
        parsed => parsed,
    }
}

fn is_help(error: &clap::Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand)
}

/// Orchestrators pass a variable on that nobody has set: as an empty one.
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

impl ConfigErrors {
    /// A secret that is given as `text`, or as the content of `file`, which the variable with the suffix `_FILE`
    /// names. The inner `None` means that neither is given. The line break at the end of a file is no part of it.
    pub fn secret(
        &mut self,
        variable: &str,
        text: Option<&str>,
        file: Option<&PathBuf>,
    ) -> Option<Option<String>> {
        let text = text.filter(|text| !text.trim().is_empty());
        let of_file = format!("{variable}_FILE");
        match (text, file) {
            (Some(_), Some(_)) => {
                self.add(format!("{variable} and {of_file}: both are set; set one of them"));
                None
            }
            (None, Some(file)) => self.check(&of_file, content(file)).map(Some),
            (text, None) => Some(text.map(str::to_owned)),
        }
    }
}

/// The text of the file, which an error never shows.
fn content(file: &Path) -> Result<String, String> {
    let refused = |reason: String| format!("can't take the secret from {}: {reason}", file.display());
    let bytes = fs::read(file).map_err(|error| refused(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| refused("the file is not UTF-8".into()))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.trim().is_empty() { Err(refused("the file is empty".into())) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: Option<&str>, file: Option<&Path>) -> Result<Option<String>, String> {
        let mut mistakes = ConfigErrors::default();
        let secret = mistakes.secret("NATS_URL", text, file.map(Path::to_owned).as_ref());
        mistakes.into_result().map_err(|mistakes| mistakes.to_string())?;
        Ok(secret.expect("a secret without mistakes is complete"))
    }

    #[test]
    fn a_secret_is_given_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        assert_eq!(secret(None, None), Ok(None));
        assert_eq!(secret(Some("  "), None), Ok(None));
        for (content, expected) in [("s3 cret", "s3 cret"), ("one\n", "one"), ("two\r\n", "two")] {
            fs::write(&file, content).unwrap();
            assert_eq!(secret(None, Some(&file)), Ok(Some(expected.into())));
            assert_eq!(secret(Some(""), Some(&file)), Ok(Some(expected.into())));
        }
        let both = secret(Some("text"), Some(&file)).unwrap_err();
        assert!(both.contains("NATS_URL and NATS_URL_FILE"), "{both}");
    }

    #[test]
    fn a_file_that_holds_no_secret_is_refused_by_variable_path_and_reason() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let mut told = vec![(secret(None, Some(&file)).unwrap_err(), "No such file")];
        told.push((secret(None, Some(folder.path())).unwrap_err(), "directory"));
        for (content, reason) in [(&b"\n"[..], "empty"), (b"\xff\xfe", "not UTF-8")] {
            fs::write(&file, content).unwrap();
            told.push((secret(None, Some(&file)).unwrap_err(), reason));
        }
        for (told, reason) in told {
            let path = folder.path().display().to_string();
            assert!(["NATS_URL_FILE", &path, reason].iter().all(|part| told.contains(part)), "{told}");
        }
    }
}
