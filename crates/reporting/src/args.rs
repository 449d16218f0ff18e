//! Arguments of the reporting role.

use std::{net::SocketAddr, time::Duration};

use weir_process::args::{ConfigErrors, Environment};

/// The default port of reporting.
const DEFAULT_PORT: u16 = 50052;

/// The arguments of the reporting role.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Reporting")]
pub struct ReportingArgs {
    /// The address that serves reports over gRPC: HOST:PORT, :PORT or PORT; 0 takes a free port. By default port 50052.
    #[arg(long, env = "REPORTING_LISTEN", value_name = "ADDRESS")]
    pub reporting_listen: Option<String>,
    /// The currency of every purchase amount, an ISO 4217 code: events have no currency.
    #[arg(long, env = "DEFAULT_CURRENCY", default_value = "USD", value_name = "CODE")]
    pub default_currency: String,
    /// The longest time of one report, in milliseconds; a client's own deadline may be shorter.
    #[arg(long, env = "REPORT_TIMEOUT_MS", default_value = "30000", value_name = "MILLISECONDS")]
    pub report_timeout_ms: String,
}

/// The checked [`ReportingArgs`].
#[derive(Clone, Debug)]
pub struct ReportingConfig {
    pub(crate) listen: SocketAddr,
    /// Three capital letters.
    pub(crate) currency: String,
    /// The longest time that one report may take.
    pub timeout: Duration,
}

impl ReportingArgs {
    /// Checks the arguments. Returns `None` where one is wrong, and adds every error to `errors`.
    pub fn check(&self, environment: Environment, errors: &mut ConfigErrors) -> Option<ReportingConfig> {
        let listen =
            environment.listen("REPORTING_LISTEN", self.reporting_listen.as_deref(), DEFAULT_PORT, errors);
        let currency = errors.check("DEFAULT_CURRENCY", currency(&self.default_currency));
        let timeout = errors.check("REPORT_TIMEOUT_MS", timeout(&self.report_timeout_ms));
        Some(ReportingConfig { listen: listen?, currency: currency?, timeout: timeout? })
    }
}

fn currency(text: &str) -> Result<String, String> {
    let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_code { Ok(text.to_owned()) } else { Err(format!("'{text}' is no ISO 4217 code such as USD")) }
}

fn timeout(text: &str) -> Result<Duration, String> {
    match text.parse::<u32>() {
        Ok(milliseconds @ 1..) => Ok(Duration::from_millis(milliseconds.into())),
        Ok(0) | Err(_) => Err(format!("'{text}' is no number of milliseconds from 1 to {}", u32::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(listen: &str, currency: &str, timeout: &str) -> ReportingArgs {
        ReportingArgs {
            reporting_listen: Some(listen.into()),
            default_currency: currency.into(),
            report_timeout_ms: timeout.into(),
        }
    }

    #[test]
    fn every_wrong_argument_is_reported_at_once() {
        for currency in ["", "usd", "US", "USDT", "U$D", "ÜS"] {
            let mut errors = ConfigErrors::default();
            let config = args("nowhere:x", currency, "0").check(Environment::Development, &mut errors);
            assert!(config.is_none());
            let error = errors.into_result().unwrap_err().to_string();
            for variable in ["REPORTING_LISTEN", "DEFAULT_CURRENCY", "REPORT_TIMEOUT_MS"] {
                assert!(error.contains(variable), "{variable} is missing in {error}");
            }
        }
    }

    #[test]
    fn right_arguments_are_taken() {
        let mut errors = ConfigErrors::default();
        let config = args("0", "EUR", "1500").check(Environment::Development, &mut errors).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:0");
        assert_eq!((config.currency.as_str(), config.timeout), ("EUR", Duration::from_millis(1500)));
        assert!(errors.into_result().is_ok());
    }
}
