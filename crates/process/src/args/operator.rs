//! WEIR_OPERATOR_TOKEN: what operators are told by.

use std::{fmt, path::PathBuf};

use super::ConfigErrors;

/// The arguments of a process that serves, or calls, what carries people's data.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Operators")]
pub struct OperatorArgs {
    /// What operators are told by where ingest does not listen on a loopback address: dead letters and erasures carry
    /// people's data, and without a token they are then not served.
    #[arg(long, env = "WEIR_OPERATOR_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub operator_token: Option<String>,
    /// A file that holds the token, instead.
    #[arg(long, env = "WEIR_OPERATOR_TOKEN_FILE", value_name = "FILE")]
    pub operator_token_file: Option<PathBuf>,
}

/// A token that fits into metadata. Its text is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct OperatorToken(String);

impl OperatorArgs {
    /// The token; the inner `None` is none.
    pub fn check(&self, mistakes: &mut ConfigErrors) -> Option<Option<OperatorToken>> {
        let (text, file) = (self.operator_token.as_deref(), self.operator_token_file.as_ref());
        let text = mistakes.secret("WEIR_OPERATOR_TOKEN", text, file)?;
        mistakes.check("WEIR_OPERATOR_TOKEN", text.as_deref().map(OperatorToken::parse).transpose())
    }
}

impl OperatorToken {
    /// # Errors
    /// It can't be a header's value.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.to_owned())).ok_or("must be of visible ASCII characters, without spaces")
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for OperatorToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OperatorToken(…)")
    }
}
