//! The log level: a level of Weir's own, or directives. It can change while the process runs.

use tracing::{info, level_filters::LevelFilter};
use tracing_subscriber::{EnvFilter, Registry, reload};

/// The current log level. Cheap to clone; every clone changes the same level.
#[derive(Clone, Debug)]
pub(crate) struct LogLevel {
    handle: reload::Handle<EnvFilter, Registry>,
}

impl LogLevel {
    pub(super) fn new(handle: reload::Handle<EnvFilter, Registry>) -> Self {
        Self { handle }
    }

    /// Applies `text` from now on, in the syntax of LOG_LEVEL.
    ///
    /// # Errors
    /// The text is neither a level nor directives. The error is the reason.
    pub(crate) fn set(&self, text: &str) -> Result<(), String> {
        let directives = directives(text)?;
        self.handle.reload(EnvFilter::new(&directives)).map_err(|error| error.to_string())?;
        info!(directives, "the log level was changed");
        Ok(())
    }

    /// The directives that are in force.
    pub(crate) fn current(&self) -> String {
        self.handle.with_current(ToString::to_string).unwrap_or_default()
    }
}

/// Reads a level or directives of `EnvFilter`. A bare word that is not a level is refused, because it would
/// silently name a target.
///
/// A level applies to Weir itself. Libraries log warnings only, unless directives name them.
pub(crate) fn directives(text: &str) -> Result<String, String> {
    let first = text.split(',').next().unwrap_or_default();
    match first.parse::<LevelFilter>() {
        Ok(level) if text == first => Ok(format!("{},weir={level}", level.min(LevelFilter::WARN))),
        Err(_) if !first.contains('=') => {
            Err(format!("'{first}' is none of error, warn, info, debug, trace, off"))
        }
        Ok(_) | Err(_) => EnvFilter::try_new(text).map(|_| capped(text)).map_err(|error| error.to_string()),
    }
}

/// At debug and trace async-nats logs every message with its subject. It stays at info unless a directive
/// names it.
fn capped(text: &str) -> String {
    let levels = text.split(',').filter_map(|directive| directive.trim().parse::<LevelFilter>().ok());
    let is_verbose = levels.max().is_some_and(|level| level > LevelFilter::INFO);
    if is_verbose && !text.contains("async_nats") {
        format!("{text},async_nats=info")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_weir_s_own_and_libraries_only_warn() {
        assert_eq!(directives("info").unwrap(), "warn,weir=info");
        assert_eq!(directives("trace").unwrap(), "warn,weir=trace");
        assert_eq!(directives("info,sqlx=debug").unwrap(), "info,sqlx=debug");
        assert_eq!(directives("trace,sqlx=warn").unwrap(), "trace,sqlx=warn,async_nats=info");
        assert_eq!(directives("trace,async_nats=debug").unwrap(), "trace,async_nats=debug");
    }

    #[test]
    fn an_invalid_level_is_refused_by_its_name() {
        assert_eq!(directives("error").unwrap(), "error,weir=error");
        assert!(directives("warn,weir_edge=debug").is_ok());
        assert!(directives("loud").unwrap_err().contains("'loud'"));
    }
}
