//! Mistakes of a configuration, collected so that an operator can correct all of them at once.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use crate::escape;

/// Collects every error of a configuration, so that an operator can correct all of them at once.
#[derive(Debug, Default)]
pub struct ConfigErrors(Vec<String>);

/// Every error of a configuration. `Display` shows each on one line of its own, whatever values it repeats.
#[derive(Debug, thiserror::Error)]
pub struct Misconfigured(Vec<String>);

impl ConfigErrors {
    pub fn add(&mut self, error: impl Into<String>) {
        self.0.push(error.into());
    }

    /// Returns the value, or records an error that names `variable`, the variable or option at fault.
    pub fn check<T, E: fmt::Display>(&mut self, variable: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.add(format!("{variable}: {error}"))).ok()
    }

    /// Reads a secret from `text`, or from `file`, which the variable with the suffix `_FILE` names. The
    /// inner `None` means that neither is given. The line break at the end of a file does not belong to the
    /// secret.
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

    /// # Errors
    /// At least one error was recorded.
    pub fn into_result(self) -> Result<(), Misconfigured> {
        if self.0.is_empty() { Ok(()) } else { Err(Misconfigured(self.0)) }
    }
}

impl Misconfigured {
    /// Iterates over the errors.
    pub(super) fn each(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl fmt::Display for Misconfigured {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the configuration has mistakes:")?;
        self.0.iter().try_for_each(|error| write!(formatter, "\n  - {}", escape::line(error)))
    }
}

/// Reads the secret. The error names the path and the reason, and never the content.
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
        let mut errors = ConfigErrors::default();
        let secret = errors.secret("NATS_URL", text, file.map(Path::to_owned).as_ref());
        errors.into_result().map_err(|errors| errors.to_string())?;
        Ok(secret.expect("a secret without mistakes is complete"))
    }

    #[test]
    fn a_secret_comes_from_one_variable_only() {
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
    fn the_error_for_a_bad_secret_file_names_variable_path_and_reason() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let mut text = vec![(secret(None, Some(&file)).unwrap_err(), "No such file")];
        text.push((secret(None, Some(folder.path())).unwrap_err(), "directory"));
        for (content, reason) in [(&b"\n"[..], "empty"), (b"\xff\xfe", "not UTF-8")] {
            fs::write(&file, content).unwrap();
            text.push((secret(None, Some(&file)).unwrap_err(), reason));
        }
        for (text, reason) in text {
            let path = folder.path().display().to_string();
            assert!(["NATS_URL_FILE", &path, reason].iter().all(|part| text.contains(part)), "{text}");
        }
    }
}
