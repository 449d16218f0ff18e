//! The OTEL_* variables that decide whether spans are exported, and where to. The others are read by the SDK itself.

use url::Url;

use super::Mistakes;

/// Where spans go. The names and their meaning are OpenTelemetry's.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Traces")]
pub struct TelemetryArgs {
    /// Where traces are sent over OTLP, such as http://127.0.0.1:4317; without it, and without the one for traces
    /// alone, nothing is exported. Over HTTP, /v1/traces is added to it.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", global = true, value_name = "URL")]
    pub otel_exporter_otlp_endpoint: Option<String>,
    /// The same for traces alone, taken as it is.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", global = true, value_name = "URL")]
    pub otel_exporter_otlp_traces_endpoint: Option<String>,
    /// grpc or http/protobuf.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_PROTOCOL", global = true, value_name = "PROTOCOL")]
    pub otel_exporter_otlp_protocol: Option<String>,
    /// The same for traces alone.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", global = true, value_name = "PROTOCOL")]
    pub otel_exporter_otlp_traces_protocol: Option<String>,
    /// otlp or none.
    #[arg(long, env = "OTEL_TRACES_EXPORTER", global = true, value_name = "NAME")]
    pub otel_traces_exporter: Option<String>,
    /// true exports nothing, whatever the others say.
    #[arg(long, env = "OTEL_SDK_DISABLED", global = true, value_name = "BOOLEAN")]
    pub otel_sdk_disabled: Option<String>,
    /// The service's name in traces; by default the role's.
    #[arg(long, env = "OTEL_SERVICE_NAME", global = true, value_name = "NAME")]
    pub otel_service_name: Option<String>,
}

/// How spans travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Grpc,
    HttpProtobuf,
}

/// Where spans are sent, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetryConfig {
    pub protocol: Protocol,
    pub endpoint: Url,
    /// What was named by hand.
    pub service_name: Option<String>,
}

impl TelemetryArgs {
    /// The inner `None` means that nothing is exported.
    pub fn check(&self, mistakes: &mut Mistakes) -> Option<Option<TelemetryConfig>> {
        let protocol = self.protocol(mistakes);
        let endpoint = self.endpoint(protocol.unwrap_or(Protocol::HttpProtobuf), mistakes);
        let wanted = self.is_wanted(mistakes);
        let (protocol, endpoint, wanted) = (protocol?, endpoint?, wanted?);
        let service_name = given(&self.otel_service_name).map(str::to_owned);
        let config = endpoint.map(|endpoint| TelemetryConfig { protocol, endpoint, service_name });
        Some(config.filter(|_| wanted))
    }

    /// OpenTelemetry's default is HTTP.
    fn protocol(&self, mistakes: &mut Mistakes) -> Option<Protocol> {
        let of_traces =
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", given(&self.otel_exporter_otlp_traces_protocol));
        let of_all = ("OTEL_EXPORTER_OTLP_PROTOCOL", given(&self.otel_exporter_otlp_protocol));
        let (variable, name) = if of_traces.1.is_some() { of_traces } else { of_all };
        match name {
            None | Some("http/protobuf") => Some(Protocol::HttpProtobuf),
            Some("grpc") => Some(Protocol::Grpc),
            Some(other) => {
                mistakes.add(format!("{variable}: '{other}' is none of grpc, http/protobuf"));
                None
            }
        }
    }

    fn endpoint(&self, protocol: Protocol, mistakes: &mut Mistakes) -> Option<Option<Url>> {
        if let Some(text) = given(&self.otel_exporter_otlp_traces_endpoint) {
            return mistakes.check("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url(text)).map(Some);
        }
        let text = match given(&self.otel_exporter_otlp_endpoint) {
            Some(text) => text,
            // Asked for by name: then it is where collectors listen by default.
            None if self.otel_traces_exporter.as_deref() == Some("otlp") => match protocol {
                Protocol::Grpc => "http://localhost:4317",
                Protocol::HttpProtobuf => "http://localhost:4318",
            },
            None => return Some(None),
        };
        let whole = match protocol {
            Protocol::Grpc => text.to_owned(),
            Protocol::HttpProtobuf => format!("{}/v1/traces", text.trim_end_matches('/')),
        };
        mistakes.check("OTEL_EXPORTER_OTLP_ENDPOINT", url(&whole)).map(Some)
    }

    fn is_wanted(&self, mistakes: &mut Mistakes) -> Option<bool> {
        // Whatever is not true is false, says OpenTelemetry.
        let disabled =
            self.otel_sdk_disabled.as_deref().is_some_and(|text| text.eq_ignore_ascii_case("true"));
        match given(&self.otel_traces_exporter) {
            None | Some("otlp") => Some(!disabled),
            Some("none") => Some(false),
            Some(other) => {
                mistakes.add(format!("OTEL_TRACES_EXPORTER: '{other}' is none of otlp, none"));
                None
            }
        }
    }
}

/// An empty variable is as good as none, says OpenTelemetry.
fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

fn url(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if url.scheme() == "http" && url.has_host() => Ok(url),
        Ok(url) if url.scheme() == "https" => {
            Err(format!("'{text}': https is not supported; use http to a collector beside this process"))
        }
        Ok(_) | Err(_) => Err(format!("'{text}' is no address such as http://127.0.0.1:4317")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(args: TelemetryArgs) -> Result<Option<TelemetryConfig>, String> {
        let mut mistakes = Mistakes::default();
        let config = args.check(&mut mistakes);
        mistakes.into_result().map_err(|mistakes| mistakes.to_string())?;
        Ok(config.expect("a configuration without mistakes is complete"))
    }

    fn at(endpoint: &str) -> TelemetryArgs {
        TelemetryArgs { otel_exporter_otlp_endpoint: Some(endpoint.into()), ..TelemetryArgs::default() }
    }

    #[test]
    fn nothing_is_exported_unless_it_is_asked_for() {
        assert_eq!(check(TelemetryArgs::default()), Ok(None));
        assert_eq!(check(at("")), Ok(None));
        let disabled = TelemetryArgs { otel_sdk_disabled: Some("True".into()), ..at("http://c:4318") };
        assert_eq!(check(disabled), Ok(None));
        let none = TelemetryArgs { otel_traces_exporter: Some("none".into()), ..at("http://c:4318") };
        assert_eq!(check(none), Ok(None));
    }

    #[test]
    fn the_path_of_traces_is_added_over_http_alone() {
        let endpoint = |args| check(args).unwrap().unwrap().endpoint.to_string();
        assert_eq!(endpoint(at("http://c:4318/")), "http://c:4318/v1/traces");
        let grpc =
            || TelemetryArgs { otel_exporter_otlp_protocol: Some("grpc".into()), ..at("http://c:4317") };
        assert_eq!(endpoint(grpc()), "http://c:4317/");
        let own = TelemetryArgs { otel_exporter_otlp_traces_endpoint: Some("http://t:1/x".into()), ..grpc() };
        assert_eq!(endpoint(own), "http://t:1/x");
        let by_name = TelemetryArgs { otel_traces_exporter: Some("otlp".into()), ..TelemetryArgs::default() };
        assert_eq!(endpoint(by_name), "http://localhost:4318/v1/traces");
    }

    #[test]
    fn every_mistake_is_told() {
        let told = check(TelemetryArgs {
            otel_traces_exporter: Some("zipkin".into()),
            otel_exporter_otlp_protocol: Some("carrier-pigeon".into()),
            ..at("nowhere")
        })
        .unwrap_err();
        for variable in ["OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_ENDPOINT"]
        {
            assert!(told.contains(variable), "{variable} is missing in {told}");
        }
    }
}
