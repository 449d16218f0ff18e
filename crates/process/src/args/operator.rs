//! WEIR_OPERATOR_TOKEN: the token by which a server recognises operators.

use std::{fmt, path::PathBuf};

use super::ConfigErrors;

/// The arguments of a process that serves or calls services with people's data.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Operators")]
pub struct OperatorArgs {
    /// The token that operators present if ingest does not listen on a loopback address. Dead letters and
    /// erasures carry people's data, so without a token ingest does not serve them there.
    #[arg(long, env = "WEIR_OPERATOR_TOKEN", value_name = "TOKEN")]
    pub operator_token: Option<String>,
    /// A file that holds the token. Take it, or the variable: every user of the machine can read arguments.
    #[arg(long, env = "WEIR_OPERATOR_TOKEN_FILE", value_name = "FILE")]
    pub operator_token_file: Option<PathBuf>,
}

/// A token that fits into metadata. `Debug` does not show its text.
#[derive(Clone, PartialEq, Eq)]
pub struct OperatorToken(String);

impl OperatorArgs {
    /// Checks the arguments. The inner `None` means that no token is given.
    pub fn check(&self, errors: &mut ConfigErrors) -> Option<Option<OperatorToken>> {
        let (text, file) = (self.operator_token.as_deref(), self.operator_token_file.as_ref());
        let text = errors.secret("WEIR_OPERATOR_TOKEN", text, file)?;
        errors.check("WEIR_OPERATOR_TOKEN", text.as_deref().map(OperatorToken::parse).transpose())
    }
}

impl OperatorToken {
    /// # Errors
    /// The text can't be the value of a header.
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
