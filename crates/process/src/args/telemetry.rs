//! The OTEL_* variables: the export of spans, its address and its form. An error in them does not stop the
//! start: the process warns and uses OpenTelemetry's default. The names and their meaning are
//! OpenTelemetry's.

mod config;
mod values;

use std::path::PathBuf;

use url::Url;

pub use self::config::{ExportConfig, Headers, Protocol, Sampling, TelemetryConfig};
use self::values::Values;

/// The destination of spans.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Traces")]
pub struct TelemetryArgs {
    /// The OTLP endpoint for traces, such as http://127.0.0.1:4317. Without it, and without the endpoint for
    /// traces only, nothing is exported. Over HTTP, /v1/traces is added to it.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", global = true, value_name = "URL")]
    pub otel_exporter_otlp_endpoint: Option<String>,
    /// The endpoint for traces only, used unchanged.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", global = true, value_name = "URL")]
    pub otel_exporter_otlp_traces_endpoint: Option<String>,
    /// grpc or http/protobuf.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_PROTOCOL", global = true, value_name = "PROTOCOL")]
    pub otel_exporter_otlp_protocol: Option<String>,
    /// The protocol for traces only.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", global = true, value_name = "PROTOCOL")]
    pub otel_exporter_otlp_traces_protocol: Option<String>,
    /// The headers of every export, such as an API key of the collector: NAME=VALUE, comma-separated, values
    /// percent-encoded.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_HEADERS", global = true, value_name = "HEADERS")]
    pub otel_exporter_otlp_headers: Option<String>,
    /// A file that holds the headers. For a key take it, or the variable: every user of the machine can read
    /// arguments.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_HEADERS_FILE", global = true, value_name = "FILE")]
    pub otel_exporter_otlp_headers_file: Option<PathBuf>,
    /// The headers for traces only.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_HEADERS", global = true, value_name = "HEADERS")]
    pub otel_exporter_otlp_traces_headers: Option<String>,
    /// A file that holds the headers for traces only.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_HEADERS_FILE", global = true, value_name = "FILE")]
    pub otel_exporter_otlp_traces_headers_file: Option<PathBuf>,
    /// The longest duration of one export, in milliseconds; by default 10000.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TIMEOUT", global = true, value_name = "MILLISECONDS")]
    pub otel_exporter_otlp_timeout: Option<String>,
    /// The longest duration of one export of traces, in milliseconds.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", global = true, value_name = "MILLISECONDS")]
    pub otel_exporter_otlp_traces_timeout: Option<String>,
    /// gzip or none; by default none.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_COMPRESSION", global = true, value_name = "NAME")]
    pub otel_exporter_otlp_compression: Option<String>,
    /// The compression of traces only.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", global = true, value_name = "NAME")]
    pub otel_exporter_otlp_traces_compression: Option<String>,
    /// otlp or none.
    #[arg(long, env = "OTEL_TRACES_EXPORTER", global = true, value_name = "NAME")]
    pub otel_traces_exporter: Option<String>,
    /// The sampler: always_on, always_off or traceidratio, each also with the prefix parentbased_, which
    /// follows the caller's decision; by default parentbased_always_on.
    #[arg(long, env = "OTEL_TRACES_SAMPLER", global = true, value_name = "NAME")]
    pub otel_traces_sampler: Option<String>,
    /// The share of traces that the traceidratio samplers sample, from 0 to 1; by default 1.
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", global = true, value_name = "SHARE")]
    pub otel_traces_sampler_arg: Option<String>,
    /// How long spans are gathered before they are exported, in milliseconds; by default 5000.
    #[arg(long, env = "OTEL_BSP_SCHEDULE_DELAY", global = true, value_name = "MILLISECONDS")]
    pub otel_bsp_schedule_delay: Option<String>,
    /// The largest number of spans in one export; by default 512.
    #[arg(long, env = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", global = true, value_name = "NUMBER")]
    pub otel_bsp_max_export_batch_size: Option<String>,
    /// true exports nothing, regardless of the other variables.
    #[arg(long, env = "OTEL_SDK_DISABLED", global = true, value_name = "BOOLEAN")]
    pub otel_sdk_disabled: Option<String>,
    /// The service name in traces; by default the name of the role.
    #[arg(long, env = "OTEL_SERVICE_NAME", global = true, value_name = "NAME")]
    pub otel_service_name: Option<String>,
}

impl TelemetryArgs {
    /// Checks the arguments and collects warnings. A disabled export produces no warnings.
    pub fn check(&self) -> TelemetryConfig {
        let mut values = Values::default();
        let export = if self.is_wanted(&mut values) { self.export(&mut values) } else { None };
        TelemetryConfig { export, warnings: values.warnings }
    }

    fn is_wanted(&self, values: &mut Values) -> bool {
        let exporters = values::names(self.otel_traces_exporter.as_deref());
        if exporters.iter().any(|name| name == "none") || values::is_true(self.otel_sdk_disabled.as_deref()) {
            return false;
        }
        values.boolean("OTEL_SDK_DISABLED", self.otel_sdk_disabled.as_deref());
        for name in exporters.iter().filter(|name| *name != "otlp") {
            values.warn(
                "OTEL_TRACES_EXPORTER",
                name,
                "none of otlp, none",
                "otlp is used where an endpoint is named",
            );
        }
        true
    }

    fn export(&self, values: &mut Values) -> Option<ExportConfig> {
        let protocol = values.protocol([
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", self.otel_exporter_otlp_traces_protocol.as_deref()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", self.otel_exporter_otlp_protocol.as_deref()),
        ]);
        let endpoint = self.endpoint(protocol, values)?;
        Some(ExportConfig {
            protocol,
            endpoint,
            headers: self.headers(values),
            timeout: values.milliseconds(
                [
                    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", self.otel_exporter_otlp_traces_timeout.as_deref()),
                    ("OTEL_EXPORTER_OTLP_TIMEOUT", self.otel_exporter_otlp_timeout.as_deref()),
                ],
                10_000,
            ),
            gzip: values.gzip([
                (
                    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
                    self.otel_exporter_otlp_traces_compression.as_deref(),
                ),
                ("OTEL_EXPORTER_OTLP_COMPRESSION", self.otel_exporter_otlp_compression.as_deref()),
            ]),
            sampling: values
                .sampling(self.otel_traces_sampler.as_deref(), self.otel_traces_sampler_arg.as_deref()),
            schedule_delay: values
                .milliseconds([("OTEL_BSP_SCHEDULE_DELAY", self.otel_bsp_schedule_delay.as_deref())], 5_000),
            max_batch: values.number(
                [("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", self.otel_bsp_max_export_batch_size.as_deref())],
                512,
            ),
            service_name: values::given(self.otel_service_name.as_deref()).map(str::to_owned),
        })
    }

    fn endpoint(&self, protocol: Protocol, values: &mut Values) -> Option<Url> {
        let of_traces = self.otel_exporter_otlp_traces_endpoint.as_deref();
        let of_all = self.otel_exporter_otlp_endpoint.as_deref();
        if let Some(url) = values.endpoint("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", of_traces) {
            return Some(url);
        }
        // An exporter that is asked for by name uses the collectors' default address.
        let by_name = || {
            let asked = values::names(self.otel_traces_exporter.as_deref()).iter().any(|name| name == "otlp");
            let named = values::given(of_traces).or(values::given(of_all)).is_some();
            let default = match protocol {
                Protocol::Grpc => "http://localhost:4317",
                Protocol::HttpProtobuf => "http://localhost:4318",
            };
            (asked && !named).then(|| Url::parse(default).expect("a constant is a URL"))
        };
        let mut url = values.endpoint("OTEL_EXPORTER_OTLP_ENDPOINT", of_all).or_else(by_name)?;
        if protocol == Protocol::HttpProtobuf {
            let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
            url.set_path(&path);
        }
        Some(url)
    }

    fn headers(&self, values: &mut Values) -> Headers {
        let of_traces = values.headers(
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            self.otel_exporter_otlp_traces_headers.as_deref(),
            self.otel_exporter_otlp_traces_headers_file.as_ref(),
        );
        let of_all = values.headers(
            "OTEL_EXPORTER_OTLP_HEADERS",
            self.otel_exporter_otlp_headers.as_deref(),
            self.otel_exporter_otlp_headers_file.as_ref(),
        );
        of_traces.or(of_all).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{values::PARENT_BASED_ALWAYS_ON, *};

    fn at(endpoint: &str) -> TelemetryArgs {
        TelemetryArgs { otel_exporter_otlp_endpoint: Some(endpoint.into()), ..TelemetryArgs::default() }
    }

    fn silent(args: &TelemetryArgs) -> Option<ExportConfig> {
        let config = args.check();
        assert_eq!(config.warnings, Vec::<String>::new());
        config.export
    }

    #[test]
    fn nothing_is_exported_unless_it_is_asked_for() {
        assert_eq!(silent(&TelemetryArgs::default()), None);
        assert_eq!(silent(&at("")), None);
    }

    #[test]
    fn a_disabled_export_ignores_every_other_variable_without_a_warning() {
        let misconfigured = || TelemetryArgs {
            otel_exporter_otlp_protocol: Some("http/json".into()),
            otel_traces_sampler: Some("foo".into()),
            ..at("https://c:4318")
        };
        for text in ["true", "True", "TRUE"] {
            let disabled = TelemetryArgs { otel_sdk_disabled: Some(text.into()), ..misconfigured() };
            assert_eq!(silent(&disabled), None, "{text}");
        }
        for text in ["none", "None", "otlp,none", "none, console"] {
            let none = TelemetryArgs { otel_traces_exporter: Some(text.into()), ..misconfigured() };
            assert_eq!(silent(&none), None, "{text}");
        }
    }

    #[test]
    fn the_path_of_traces_is_added_over_http_alone() {
        let endpoint = |args: TelemetryArgs| silent(&args).unwrap().endpoint.to_string();
        assert_eq!(endpoint(at("http://c:4318/")), "http://c:4318/v1/traces");
        assert_eq!(endpoint(at("http://c:4318/otlp")), "http://c:4318/otlp/v1/traces");
        let grpc =
            || TelemetryArgs { otel_exporter_otlp_protocol: Some("gRPC".into()), ..at("http://c:4317") };
        assert_eq!(endpoint(grpc()), "http://c:4317/");
        let own = TelemetryArgs { otel_exporter_otlp_traces_endpoint: Some("http://t:1/x".into()), ..grpc() };
        assert_eq!(endpoint(own), "http://t:1/x");
        let by_name = TelemetryArgs { otel_traces_exporter: Some("otlp".into()), ..TelemetryArgs::default() };
        assert_eq!(endpoint(by_name), "http://localhost:4318/v1/traces");
    }

    #[test]
    fn an_invalid_variable_is_named_in_a_warning_and_replaced_by_its_default() {
        let defaults = silent(&at("http://c:4318")).unwrap();
        let config = TelemetryArgs {
            otel_exporter_otlp_traces_endpoint: Some("nowhere".into()),
            otel_exporter_otlp_protocol: Some("http/json".into()),
            otel_exporter_otlp_headers: Some("hidden".into()),
            otel_exporter_otlp_timeout: Some("10s".into()),
            otel_exporter_otlp_compression: Some("brotli".into()),
            otel_traces_exporter: Some("otlp,console".into()),
            otel_traces_sampler: Some("foo".into()),
            otel_bsp_schedule_delay: Some("-1".into()),
            otel_bsp_max_export_batch_size: Some("0".into()),
            otel_sdk_disabled: Some("maybe".into()),
            ..at("http://c:4318")
        }
        .check();
        assert_eq!(config.export, Some(defaults));
        for variable in [
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "OTEL_EXPORTER_OTLP_HEADERS",
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "OTEL_TRACES_EXPORTER",
            "OTEL_TRACES_SAMPLER",
            "OTEL_BSP_SCHEDULE_DELAY",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
            "OTEL_SDK_DISABLED",
        ] {
            let text = config.warnings.iter().filter(|warning| warning.starts_with(&format!("{variable}: ")));
            assert_eq!(text.count(), 1, "{variable} in {:?}", config.warnings);
        }
        assert!(!format!("{config:?}").contains("hidden"), "{config:?}");
    }

    #[test]
    fn a_login_in_an_endpoint_is_left_out_with_a_warning_that_does_not_repeat_it() {
        let config = at("http://u:hidden@c:4318/x").check();
        assert_eq!(config.export.as_ref().unwrap().endpoint.as_str(), "http://c:4318/x/v1/traces");
        assert!(
            config.warnings.len() == 1 && config.warnings[0].contains("'…@c:4318/x' has a user"),
            "{config:?}"
        );
        assert!(!format!("{config:?}").contains("hidden"), "{config:?}");
    }

    #[test]
    fn an_unusable_endpoint_disables_the_export() {
        for endpoint in ["https://c:4318", "nowhere", "unix:/x", "c:4317"] {
            let config = at(endpoint).check();
            assert!(config.export.is_none() && config.warnings.len() == 1, "{endpoint}: {config:?}");
            assert!(config.warnings[0].contains("nothing is exported"), "{config:?}");
        }
    }

    #[test]
    fn every_valid_value_is_accepted() {
        let sampling = |sampler: &str, share: Option<&str>| {
            let args = TelemetryArgs {
                otel_traces_sampler: Some(sampler.into()),
                otel_traces_sampler_arg: share.map(Into::into),
                ..at("http://c:4318")
            };
            let config = args.check();
            (config.export.unwrap().sampling, config.warnings.len())
        };
        let of = |parent_based, share| Sampling { parent_based, share };
        assert_eq!(sampling("always_on", None), (of(false, 1.0), 0));
        assert_eq!(sampling("parentbased_always_off", Some("x")), (of(true, 0.0), 0));
        assert_eq!(sampling("traceidratio", Some("0.25")), (of(false, 0.25), 0));
        assert_eq!(sampling("parentbased_traceidratio", None), (of(true, 1.0), 0));
        for wrong in ["1.5", "-1", "NaN", "half"] {
            assert_eq!(sampling("parentbased_traceidratio", Some(wrong)), (of(true, 1.0), 1), "{wrong}");
        }
        assert_eq!(sampling("jaeger_remote", None), (PARENT_BASED_ALWAYS_ON, 1));
        let args = TelemetryArgs {
            otel_exporter_otlp_headers: Some("api-key=a%20b,x=1=2".into()),
            otel_exporter_otlp_compression: Some("gzip".into()),
            ..at("http://c:4318")
        };
        let export = silent(&args).unwrap();
        assert!(export.gzip);
        let expected = [("api-key", "a b"), ("x", "1=2")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!(export.headers.0, expected);
    }
}
