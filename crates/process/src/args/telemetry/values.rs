//! Readers of OTEL_* values. An invalid value is ignored with a warning.

use std::{path::PathBuf, time::Duration};

use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use url::Url;

use super::config::{Headers, Protocol, Sampling};
use crate::{args::ConfigErrors, redact};

pub(super) const PARENT_BASED_ALWAYS_ON: Sampling = Sampling { parent_based: true, share: 1.0 };

/// A variable and its value.
type Given<'a> = (&'static str, Option<&'a str>);

/// Reads values and collects warnings.
#[derive(Debug, Default)]
pub(super) struct Values {
    pub(super) warnings: Vec<String>,
}

impl Values {
    /// Warns that `text` of `variable` is `wrong`, and that `instead` applies.
    pub(super) fn warn(&mut self, variable: &str, text: &str, wrong: &str, instead: &str) {
        self.warnings.push(format!("{variable}: '{text}' is {wrong}; it is ignored, and {instead}"));
    }

    /// Returns the first valid value, and warns of invalid ones before it.
    fn first<'a, T>(
        &mut self,
        given: impl IntoIterator<Item = Given<'a>>,
        wrong: &str,
        instead: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        for (variable, text) in given {
            let Some(text) = self::given(text) else { continue };
            match read(text) {
                Some(value) => return Some(value),
                None => self.warn(variable, text, wrong, instead),
            }
        }
        None
    }

    pub(super) fn boolean(&mut self, variable: &'static str, text: Option<&str>) {
        let read = |text: &str| ["true", "false"].iter().find(|name| text.eq_ignore_ascii_case(name));
        self.first([(variable, text)], "neither true nor false", "false is used", read);
    }

    pub(super) fn protocol<'a>(&mut self, given: impl IntoIterator<Item = Given<'a>>) -> Protocol {
        let read = |text: &str| match text.to_ascii_lowercase().as_str() {
            "grpc" => Some(Protocol::Grpc),
            "http/protobuf" => Some(Protocol::HttpProtobuf),
            _ => None,
        };
        let protocol =
            self.first(given, "none of grpc, http/protobuf", "http/protobuf is used by default", read);
        protocol.unwrap_or(Protocol::HttpProtobuf)
    }

    pub(super) fn gzip<'a>(&mut self, given: impl IntoIterator<Item = Given<'a>>) -> bool {
        let read = |text: &str| match text.to_ascii_lowercase().as_str() {
            "gzip" => Some(true),
            "none" => Some(false),
            _ => None,
        };
        self.first(given, "none of gzip, none", "none is used by default", read).unwrap_or(false)
    }

    pub(super) fn number<'a>(&mut self, given: impl IntoIterator<Item = Given<'a>>, default: usize) -> usize {
        let read = |text: &str| text.parse().ok().filter(|number| *number > 0);
        let instead = format!("{default} is used by default");
        self.first(given, "no whole number from 1 on", &instead, read).unwrap_or(default)
    }

    pub(super) fn milliseconds<'a>(
        &mut self,
        given: impl IntoIterator<Item = Given<'a>>,
        default: u64,
    ) -> Duration {
        let read = |text: &str| text.parse().ok().filter(|number| *number > 0);
        let instead = format!("{default} is used by default");
        let milliseconds = self.first(given, "no number of milliseconds from 1 on", &instead, read);
        Duration::from_millis(milliseconds.unwrap_or(default))
    }

    /// An invalid share samples everything, as the SDK does.
    pub(super) fn sampling(&mut self, sampler: Option<&str>, share: Option<&str>) -> Sampling {
        let read = |text: &str| {
            let name = text.to_ascii_lowercase();
            let of_parent = name.strip_prefix("parentbased_");
            let share = match of_parent.unwrap_or(&name) {
                "always_on" => Some(1.0),
                "always_off" => Some(0.0),
                "traceidratio" => None,
                _ => return None,
            };
            Some((of_parent.is_some(), share))
        };
        let wrong = "none of always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, \
                     parentbased_traceidratio";
        let instead = "parentbased_always_on is used";
        match self.first([("OTEL_TRACES_SAMPLER", sampler)], wrong, instead, read) {
            None => PARENT_BASED_ALWAYS_ON,
            Some((parent_based, Some(share))) => Sampling { parent_based, share },
            Some((parent_based, None)) => Sampling { parent_based, share: self.share(share) },
        }
    }

    fn share(&mut self, text: Option<&str>) -> f64 {
        let read = |text: &str| text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
        let share =
            self.first([("OTEL_TRACES_SAMPLER_ARG", text)], "no share from 0 to 1", "1 is used", read);
        share.unwrap_or(1.0)
    }

    /// Reads a URL. A login in it is left out, with a warning: no exporter would send it, and their libraries
    /// log it. No warning repeats it.
    pub(super) fn endpoint(&mut self, variable: &'static str, text: Option<&str>) -> Option<Url> {
        let text = given(text)?;
        let shown = redact::before_host(text);
        let wrong = match Url::parse(text) {
            Ok(url) if url.scheme() == "http" && url.has_host() => {
                return Some(self.without_login(variable, &shown, url));
            }
            Ok(url) if url.scheme() == "https" => {
                "https, which is not supported: name an http address of a collector beside this process"
            }
            Ok(_) | Err(_) => "no address such as http://127.0.0.1:4317",
        };
        self.warn(variable, &shown, wrong, "nothing is exported to it");
        None
    }

    fn without_login(&mut self, variable: &str, shown: &str, mut url: Url) -> Url {
        if !url.username().is_empty() || url.password().is_some() {
            self.warnings.push(format!(
                "{variable}: '{shown}' has a user or a password, which is left out; \
                 OTEL_EXPORTER_OTLP_HEADERS_FILE takes an authorization header"
            ));
            url.set_username("")
                .and_then(|()| url.set_password(None))
                .expect("an http URL with a host has a login");
        }
        url
    }

    /// Reads headers from `variable`, or from the file that its twin names. Warnings show nothing of them.
    pub(super) fn headers(
        &mut self,
        variable: &'static str,
        text: Option<&str>,
        file: Option<&PathBuf>,
    ) -> Option<Headers> {
        let mut errors = ConfigErrors::default();
        let text = errors.secret(variable, text, file);
        if let Err(misconfigured) = errors.into_result() {
            let text = misconfigured
                .each()
                .map(|error| format!("{error}; it is ignored, and no header of it is sent"));
            self.warnings.extend(text);
        }
        let text = text??;
        let items: Vec<_> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
        let read: Vec<_> = items.iter().filter_map(|item| header(item)).collect();
        if read.len() < items.len() {
            let wrong = items.len() - read.len();
            self.warnings.push(format!(
                "{variable}: {wrong} of {} items are not NAME=VALUE with percent-encoded values, and are ignored",
                items.len()
            ));
        }
        Some(Headers(read))
    }
}

fn header(item: &str) -> Option<(String, String)> {
    let (name, value) = item.split_once('=')?;
    let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
    let (name, _) = (HeaderName::try_from(name.trim()).ok()?, HeaderValue::from_str(&value).ok()?);
    Some((name.as_str().to_owned(), value.into_owned()))
}

/// Names of a comma-separated list, in lower case.
pub(super) fn names(text: Option<&str>) -> Vec<String> {
    let names = text.unwrap_or_default().split(',').map(|name| name.trim().to_ascii_lowercase());
    names.filter(|name| !name.is_empty()).collect()
}

pub(super) fn is_true(text: Option<&str>) -> bool {
    given(text).is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

/// OpenTelemetry treats an empty or blank value as an unset one.
pub(super) fn given(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}
