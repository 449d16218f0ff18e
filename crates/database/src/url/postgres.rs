//! PostgreSQL URLs, part by part: an error names the wrong part, a warning names each ignored parameter.

use std::{net::IpAddr, path::PathBuf};

use sqlx::{
    ConnectOptions as _,
    postgres::{PgConnectOptions, PgSslMode},
};
use url::Url;

use super::UrlError;

/// The parameters that sqlx understands in a query, besides `options[NAME]`.
const KNOWN: [&str; 19] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "target_session_attrs",
];
const SSL_MODES: &str = "must be disable, allow, prefer, require, verify-ca or verify-full";
const SEVERAL_HOSTS: &str = "names several hosts: name one, such as the address that follows the primary";

/// The options of a connection, and the parameters of the URL that Weir ignores.
#[derive(Clone)]
pub(crate) struct PostgresUrl {
    pub(crate) options: PgConnectOptions,
    /// Names of parameters.
    pub(crate) ignored: Vec<String>,
    /// Files of TLS, by the parameter that names them.
    pub(crate) files: Vec<(&'static str, PathBuf)>,
}

impl PostgresUrl {
    /// Reads the rest of a URL behind `postgres://`.
    ///
    /// # Errors
    /// The first part that is wrong. No text repeats characters that may belong to a password.
    pub(super) fn parse(rest: &str) -> Result<Self, UrlError> {
        check_parts(rest)?;
        // libpq takes a user without a host, which is in the query then. The crate `url` does not.
        let rest = match rest.split_once("@/") {
            Some((user, behind)) if !user.contains('/') => format!("{user}@localhost/{behind}"),
            _ => rest.to_owned(),
        };
        let mut url = Url::parse(&format!("postgres://{rest}")).map_err(|error| match error {
            url::ParseError::InvalidPort => part("the port", "must be a number from 1 to 65535"),
            _ => part("the host", "is no name and no address"),
        })?;
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let (known, ignored): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(name, _)| is_known(name));
        let mut settings = Settings::default();
        {
            let mut query = url.query_pairs_mut();
            query.clear();
            for (name, value) in &known {
                if settings.read(name, value)? {
                    query.append_pair(name, value);
                }
            }
        }
        let options = PgConnectOptions::from_url(&url).map_err(|_| part("a part of it", "is not UTF-8"))?;
        let ignored = ignored.into_iter().map(|(name, _)| name).collect();
        Ok(Self { options: settings.apply(options)?, ignored, files: settings.files })
    }
}

/// The parameters of a query that sqlx reads otherwise than libpq, or not at all.
#[derive(Debug, Default)]
struct Settings {
    files: Vec<(&'static str, PathBuf)>,
    system_roots: bool,
}

impl Settings {
    /// Reads one parameter. Returns whether sqlx must see it too.
    fn read(&mut self, name: &str, value: &str) -> Result<bool, UrlError> {
        match name {
            "target_session_attrs" if value == "any" => return Ok(false),
            "target_session_attrs" => {
                let remedy = "is not supported: take it out, and name the host of the primary for collectors";
                return Err(part("target_session_attrs", remedy));
            }
            "host" | "hostaddr" | "port" if value.contains(',') => {
                return Err(part("its query", SEVERAL_HOSTS));
            }
            "hostaddr" if value.parse::<IpAddr>().is_err() => {
                return Err(part("hostaddr", "must be an IP address"));
            }
            "port" => check_port(value)?,
            "sslmode" | "ssl-mode" if value.parse::<PgSslMode>().is_err() => {
                return Err(part("sslmode", SSL_MODES));
            }
            "statement-cache-capacity" if value.parse::<usize>().is_err() => {
                return Err(part("statement-cache-capacity", "must be a number"));
            }
            // As in libpq: the roots of the system, with verify-full.
            "sslrootcert" | "ssl-root-cert" | "ssl-ca" if value == "system" => {
                self.system_roots = true;
                return Ok(false);
            }
            "sslrootcert" | "ssl-root-cert" | "ssl-ca" => self.add_file("sslrootcert", value),
            "sslcert" | "ssl-cert" => self.add_file("sslcert", value),
            "sslkey" | "ssl-key" => self.add_file("sslkey", value),
            _ => {}
        }
        Ok(true)
    }

    /// Remembers the file of a parameter, unless the value is the certificate itself.
    fn add_file(&mut self, name: &'static str, value: &str) {
        if !value.contains("-----BEGIN") {
            self.files.push((name, PathBuf::from(value)));
        }
    }

    fn has_file(&self, name: &str) -> bool {
        self.files.iter().any(|(file, _)| *file == name)
    }

    fn apply(&self, options: PgConnectOptions) -> Result<PgConnectOptions, UrlError> {
        if self.has_file("sslcert") != self.has_file("sslkey") {
            return Err(part("sslcert", "and sslkey must be given together"));
        }
        // As in libpq: a root certificate makes sslmode=require verify it.
        let checked = self.has_file("sslrootcert") && matches!(options.get_ssl_mode(), PgSslMode::Require);
        let options = match (self.system_roots, checked) {
            (true, _) => options.ssl_mode(PgSslMode::VerifyFull),
            (false, true) => options.ssl_mode(PgSslMode::VerifyCa),
            (false, false) => options,
        };
        let named = options.get_application_name().is_some();
        let options = if named { options } else { options.application_name("weir") };
        // Only a URL has an IPv6 address in brackets. Poolers refuse parameters that they don't know.
        let host = options.get_host().trim_matches(['[', ']']).to_owned();
        Ok(options.host(&host).extra_float_digits(None::<i8>))
    }
}

fn is_known(name: &str) -> bool {
    KNOWN.contains(&name) || (name.starts_with("options[") && name.ends_with(']'))
}

/// Finds characters that make a parser take one part for another.
fn check_parts(rest: &str) -> Result<(), UrlError> {
    let (authority, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (path, query) = behind.split_once('?').unwrap_or((behind, ""));
    if rest.contains('#') {
        return Err(unescaped('#', "%23"));
    }
    if path.contains('@') {
        return Err(unescaped('/', "%2F"));
    }
    if query.split('=').next().is_some_and(|first| first.contains('@')) {
        return Err(unescaped('?', "%3F"));
    }
    let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    if !is_well_escaped(user) {
        return Err(unescaped('%', "%25"));
    }
    if hosts.contains(',') {
        return Err(part("it", SEVERAL_HOSTS));
    }
    match hosts.rsplit_once(':') {
        Some((host, port)) if !host.starts_with('[') || host.ends_with(']') => check_port(port),
        _ => Ok(()),
    }
}

fn is_well_escaped(text: &str) -> bool {
    let is_escape =
        |rest: &str| rest.as_bytes().get(..2).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
    text.split('%').skip(1).all(is_escape)
}

fn check_port(port: &str) -> Result<(), UrlError> {
    match port.parse::<u16>() {
        Ok(1..) => Ok(()),
        _ if port.is_empty() => Ok(()),
        // The text may be the beginning of a password, so that the error does not repeat it.
        _ => Err(part(
            "the port",
            "must be a number from 1 to 65535 (in a password write / as %2F, ? as %3F and # as %23)",
        )),
    }
}

fn unescaped(letter: char, escape: &str) -> UrlError {
    part("the user or password", format!("has an unescaped {letter}: write it as {escape}"))
}

fn part(part: &'static str, problem: impl Into<String>) -> UrlError {
    UrlError::Part { part, problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DatabaseUrl;

    fn refusal(text: &str) -> String {
        text.parse::<DatabaseUrl>().expect_err(text).to_string()
    }

    #[test]
    fn an_error_names_the_unescaped_character_and_not_the_password() {
        for (password, escape) in [
            ("sec/ret", "%2F"),
            ("12/ret", "%2F"),
            ("12?ret", "%3F"),
            ("sec#ret", "%23"),
            ("sec%ret", "%25"),
            ("ret%", "%25"),
        ] {
            let error = refusal(&format!("postgres://weir:{password}@db:5432/events"));
            assert!(error.contains("password") && error.contains(escape), "{error}");
            assert!(!error.contains("ret") && !error.contains("12"), "{error}");
        }
        for password in ["sec%2Fret", "sec@ret", "se:cret", "se%25cret", "s%C3%A9cret"] {
            format!("postgres://weir:{password}@db:5432/events?user=some@body")
                .parse::<DatabaseUrl>()
                .unwrap();
        }
    }

    #[test]
    fn several_hosts_are_refused() {
        for text in [
            "postgres://weir:pw@one,two/events",
            "postgres://weir:pw@one:5432,two:5433/events",
            "postgres://weir:pw@/events?host=one,two",
        ] {
            assert!(refusal(text).contains("several hosts"), "{text}");
        }
        assert!(
            refusal("postgres://weir@db/events?target_session_attrs=read-write")
                .contains("target_session_attrs")
        );
        "postgres://weir@db/events?target_session_attrs=any".parse::<DatabaseUrl>().unwrap();
    }

    #[test]
    fn an_error_names_the_wrong_part() {
        for (text, named) in [
            ("postgres://db:port/events", "the port"),
            ("postgres://db:70000/events", "the port"),
            ("postgres://db:0/events", "the port"),
            ("postgres://weir@db/events?port=x", "the port"),
            ("postgres://weir@db/events?hostaddr=db", "hostaddr"),
            ("postgres://weir@db/events?sslmode=on", "sslmode"),
            ("postgres://weir@db/events?sslcert=a.pem", "sslkey"),
            ("postgres://weir@[::1/events", "the host"),
            ("postgres://w%FF@db/events", "UTF-8"),
        ] {
            assert!(refusal(text).contains(named), "{text}: {}", refusal(text));
        }
    }

    #[test]
    fn an_unknown_parameter_is_ignored_and_named() {
        let url = PostgresUrl::parse("weir@db/events?connect_timeout=3&sslmode=require&sslpassword=secret")
            .unwrap();
        assert_eq!(url.ignored, ["connect_timeout", "sslpassword"]);
        assert!(matches!(url.options.get_ssl_mode(), PgSslMode::Require));
    }

    #[test]
    fn a_named_root_certificate_is_verified() {
        let mode = |query: &str| {
            PostgresUrl::parse(&format!("weir@db/events?{query}")).unwrap().options.get_ssl_mode()
        };
        assert!(matches!(mode("sslmode=require&sslrootcert=ca.pem"), PgSslMode::VerifyCa));
        assert!(matches!(mode("sslrootcert=system"), PgSslMode::VerifyFull));
        assert!(matches!(mode("sslmode=verify-full&sslrootcert=ca.pem"), PgSslMode::VerifyFull));
    }
}
