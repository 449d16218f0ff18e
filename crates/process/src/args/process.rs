//! The arguments of every process: environment, logs, the admin address and the drain delay.

use std::{
    net::{SocketAddr, ToSocketAddrs as _},
    time::Duration,
};

use super::{ConfigErrors, TelemetryArgs, TelemetryConfig};
use crate::logging::{LogFormat, directives};

/// The kind of environment that the process runs in; it chooses defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    Development,
    Staging,
    Production,
}

impl Environment {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "development" => Ok(Self::Development),
            "staging" => Ok(Self::Staging),
            "production" => Ok(Self::Production),
            other => Err(format!("'{other}' is none of development, staging, production")),
        }
    }

    /// The default host of listen addresses. Development listens on this machine only.
    fn default_host(self) -> &'static str {
        match self {
            Self::Development => "127.0.0.1",
            Self::Staging | Self::Production => "0.0.0.0",
        }
    }

    /// The default time for load balancers to notice that a process is no longer ready. Development has none.
    #[must_use]
    pub fn default_drain_delay(self) -> Duration {
        match self {
            Self::Development => Duration::ZERO,
            Self::Staging | Self::Production => Duration::from_secs(5),
        }
    }

    fn default_log_level(self) -> &'static str {
        match self {
            Self::Development | Self::Production => "info",
            Self::Staging => "debug",
        }
    }

    /// Reads a listen address: `HOST:PORT`, `:PORT` or `PORT`. An absent one means `default_port` on this
    /// environment's default host. Port 0 takes a free port.
    pub fn listen(
        self,
        variable: &str,
        text: Option<&str>,
        default_port: u16,
        errors: &mut ConfigErrors,
    ) -> Option<SocketAddr> {
        let host = self.default_host();
        let address = match text {
            None => format!("{host}:{default_port}"),
            Some(port) if !port.contains(':') => format!("{host}:{port}"),
            Some(port) if port.starts_with(':') => format!("{host}{port}"),
            Some(address) => address.to_owned(),
        };
        let resolved = address.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
        errors.check(
            variable,
            resolved.ok_or_else(|| format!("'{address}' is no address to listen on; write HOST:PORT")),
        )
    }
}

/// The arguments that every process has.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Process")]
pub struct ProcessArgs {
    /// development, staging or production: chooses defaults. Development listens on 127.0.0.1 and ends at
    /// once. The others listen on 0.0.0.0 and drain for 5 s. Staging logs at debug, the others at info.
    #[arg(long, env = "APP_ENV", default_value = "development", global = true, value_name = "NAME")]
    pub app_env: String,
    /// off, error, warn, info, debug or trace: the level of Weir itself (libraries log warnings only); or
    /// directives such as "info,weir_edge=debug".
    #[arg(long, env = "LOG_LEVEL", global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// json or pretty; by default pretty on a terminal, else json.
    #[arg(long, env = "LOG_FORMAT", global = true, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// The address of health and metrics: HOST:PORT, :PORT or PORT; 0 takes a free port. By default port 9101
    /// (up, edge), 9102 (ingest), 9103 (collect facebook, all), 9104 (collect tiktok), 9105 (reporting).
    #[arg(long, env = "ADMIN_LISTEN", global = true, value_name = "ADDRESS")]
    pub admin_listen: Option<String>,
    /// How long the process continues to serve after SIGTERM or SIGINT, in milliseconds; by default 0 in
    /// development, else 5000. Its ready probes answer 503 at once. A second signal ends the process at once.
    #[arg(long, env = "DRAIN_DELAY_MS", global = true, value_name = "MILLISECONDS")]
    pub drain_delay_ms: Option<String>,
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}

/// The checked [`ProcessArgs`].
#[derive(Clone, Debug)]
pub struct ProcessConfig {
    pub environment: Environment,
    /// Directives of tracing-subscriber's `EnvFilter`.
    pub log_directives: String,
    pub log_format: LogFormat,
    pub admin_listen: SocketAddr,
    /// The time between the signal that asks the process to end and the end of its roles.
    pub drain_delay: Duration,
    pub telemetry: TelemetryConfig,
}

impl ProcessArgs {
    /// Checks the arguments of a process whose admin server listens on `admin_port` by default.
    ///
    /// Also returns the environment, because other arguments take their defaults from it even if these have
    /// errors.
    pub fn check(&self, admin_port: u16, errors: &mut ConfigErrors) -> (Environment, Option<ProcessConfig>) {
        let environment = errors.check("APP_ENV", Environment::parse(&self.app_env));
        let known = environment.unwrap_or(Environment::Development);
        let level = self.log_level.as_deref().unwrap_or(known.default_log_level());
        let log_directives = errors.check("LOG_LEVEL", directives(level));
        let log_format = errors.check("LOG_FORMAT", LogFormat::parse(self.log_format.as_deref()));
        let admin_listen = known.listen("ADMIN_LISTEN", self.admin_listen.as_deref(), admin_port, errors);
        let drain_delay = self.drain_delay_ms.as_deref().map(milliseconds).transpose();
        let drain_delay = errors.check("DRAIN_DELAY_MS", drain_delay);
        let config = || {
            Some(ProcessConfig {
                environment: environment?,
                log_directives: log_directives?,
                log_format: log_format?,
                admin_listen: admin_listen?,
                drain_delay: drain_delay?.unwrap_or(known.default_drain_delay()),
                telemetry: self.telemetry.check(),
            })
        };
        (known, config())
    }
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    let number = text.trim().parse().map(Duration::from_millis);
    number.map_err(|_| format!("'{text}' is no number of milliseconds such as 5000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(app_env: &str, log_level: &str, log_format: &str, admin_listen: &str) -> ProcessArgs {
        ProcessArgs {
            app_env: app_env.into(),
            log_level: Some(log_level.into()),
            log_format: Some(log_format.into()),
            admin_listen: Some(admin_listen.into()),
            drain_delay_ms: Some("soon".into()),
            telemetry: TelemetryArgs::default(),
        }
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let mut errors = ConfigErrors::default();
        args("home", "loud", "xml", "nowhere:x").check(9101, &mut errors);
        let text = errors.into_result().unwrap_err().to_string();
        for variable in ["APP_ENV", "LOG_LEVEL", "LOG_FORMAT", "ADMIN_LISTEN", "DRAIN_DELAY_MS"] {
            assert!(text.contains(variable), "{variable} is missing in {text}");
        }
    }

    #[test]
    fn the_environment_chooses_the_host() {
        let mut errors = ConfigErrors::default();
        let listen = |environment: Environment, text, errors: &mut _| {
            environment.listen("EDGE_LISTEN", text, 3001, errors).unwrap().to_string()
        };
        assert_eq!(listen(Environment::Development, None, &mut errors), "127.0.0.1:3001");
        assert_eq!(listen(Environment::Production, None, &mut errors), "0.0.0.0:3001");
        assert_eq!(listen(Environment::Production, Some(":80"), &mut errors), "0.0.0.0:80");
        assert_eq!(listen(Environment::Production, Some("127.0.0.1:80"), &mut errors), "127.0.0.1:80");
        assert!(errors.into_result().is_ok());
    }
}
