//! A reader of `deploy/compose.yaml`.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde_json::Value;
use weir_testkit::repository::{deploy, yaml};

/// The ports of images that are not built here, from the documents of these images.
const FOREIGN_PORTS: [(&str, u16); 9] = [
    ("nats", 4222),
    ("nats", 8222),
    ("postgres", 5432),
    ("prometheus", 9090),
    ("grafana", 3000),
    ("jaeger", 16686),
    ("jaeger", 4317),
    ("otel-collector", 4317),
    ("otel-collector", 8889),
];

/// The whole file.
pub(super) struct Compose(Value);

#[derive(Clone, Copy)]
pub(super) struct Service<'a>(&'a Value);

impl Compose {
    pub(super) fn read() -> Self {
        Self(yaml(&deploy("compose.yaml")))
    }

    pub(super) fn services(&self) -> impl Iterator<Item = (&str, Service<'_>)> {
        let services = self.0["services"].as_object().expect("services");
        services.iter().map(|(name, service)| (name.as_str(), Service(service)))
    }

    /// The services that run the binary `weir`.
    pub(super) fn services_of_ours(&self) -> impl Iterator<Item = (&str, Service<'_>)> {
        self.services().filter(|(_, service)| service.image() == Some("weir"))
    }

    pub(super) fn service(&self, name: &str) -> Service<'_> {
        let found = self.services().find(|(known, _)| *known == name);
        found.unwrap_or_else(|| panic!("there is no service {name}")).1
    }

    pub(super) fn has_volume(&self, name: &str) -> bool {
        self.0["volumes"].get(name).is_some()
    }

    /// The hosts and ports in environments and health checks, with the service that names them.
    pub(super) fn urls(&self) -> Vec<(String, String, u16)> {
        let in_service = |(name, service): (&str, Service<'_>)| {
            let mut texts: Vec<_> = service.environment().into_values().chain(service.probe()).collect();
            texts.retain(|text| text.contains("://") && !text.contains("127.0.0.1"));
            texts.iter().map(|url| address(name, url)).collect::<Vec<_>>()
        };
        self.services().flat_map(in_service).collect()
    }
}

impl<'a> Service<'a> {
    pub(super) fn image(self) -> Option<&'a str> {
        self.0["image"].as_str()
    }

    pub(super) fn target(self) -> Option<&'a str> {
        self.0["build"]["target"].as_str()
    }

    pub(super) fn dockerfile(self) -> Option<PathBuf> {
        let build = &self.0["build"];
        Some(deploy(build["context"].as_str()?).join(build["dockerfile"].as_str()?))
    }

    /// Every file and folder of the repository that the service names.
    pub(super) fn files(self) -> Vec<PathBuf> {
        let mounted =
            self.volumes().into_iter().filter(|source| source.starts_with('.')).map(|source| deploy(&source));
        mounted.chain(self.dockerfile()).collect()
    }

    pub(super) fn named_volumes(self) -> Vec<String> {
        self.volumes().into_iter().filter(|source| !source.starts_with('.')).collect()
    }

    fn volumes(self) -> Vec<String> {
        texts(&self.0["volumes"]).iter().map(|volume| parts(volume).0).collect()
    }

    pub(super) fn command(self) -> Vec<String> {
        let command = texts(&self.0["command"]);
        let entered = self.0["entrypoint"].as_array().is_some_and(Vec::is_empty);
        // Otherwise the entry point of the image is the binary.
        if entered { command[1..].to_vec() } else { command }
    }

    /// Whether the service runs a role, which Prometheus scrapes.
    pub(super) fn hosts_a_role(self) -> bool {
        self.environment().contains_key("ADMIN_LISTEN")
    }

    pub(super) fn profiles(self) -> Vec<String> {
        texts(&self.0["profiles"])
    }

    /// The time that the service has to end.
    pub(super) fn stop_grace_period(self) -> Option<Duration> {
        let seconds = self.0["stop_grace_period"].as_str()?.strip_suffix('s')?;
        seconds.parse().ok().map(Duration::from_secs)
    }

    /// Whether the container engine bounds the size of its log.
    pub(super) fn rotates_its_log(self) -> bool {
        let logging = &self.0["logging"];
        let bounded = ["max-size", "max-file"].iter().all(|name| logging["options"][name].is_string());
        logging["driver"] == "json-file" && bounded
    }

    pub(super) fn environment(self) -> BTreeMap<String, String> {
        let variables = self.0["environment"].as_object().into_iter().flatten();
        variables.map(|(name, value)| (name.clone(), value.as_str().expect("a text").to_owned())).collect()
    }

    /// The command of the health check, without its `CMD`.
    pub(super) fn probe(self) -> Vec<String> {
        let test = texts(&self.0["healthcheck"]["test"]);
        assert_eq!(
            test.first().map(String::as_str),
            Some("CMD"),
            "the probe must not need a shell, which an image may lack"
        );
        test[1..].to_vec()
    }

    pub(super) fn dependencies(self) -> Vec<(String, String)> {
        let dependencies = self.0["depends_on"].as_object().into_iter().flatten();
        dependencies
            .map(|(name, how)| (name.clone(), how["condition"].as_str().unwrap_or_default().to_owned()))
            .collect()
    }

    /// The published ports: on the host, and in the container.
    pub(super) fn ports(self) -> Vec<(String, String)> {
        texts(&self.0["ports"]).iter().map(|port| parts(port)).collect()
    }

    /// Whether the service `name` listens on `port`.
    pub(super) fn serves(self, port: u16, name: &str) -> bool {
        let admin =
            self.environment().get("ADMIN_LISTEN").map(|address| address.trim_start_matches(':').to_owned());
        let inside = self.ports().into_iter().map(|(_, inside)| inside);
        inside.chain(admin).any(|known| known == port.to_string()) || FOREIGN_PORTS.contains(&(name, port))
    }
}

/// The host and port of a URL or an address that stands in `place`.
pub(super) fn address(place: &str, url: &str) -> (String, String, u16) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    // The default of a password, ${NAME:-word}, has a colon too, so the host begins after the last @.
    let authority = rest.rsplit_once('@').map_or(rest, |(_, authority)| authority);
    let authority = authority.split('/').next().expect("a split has a first part");
    let (host, port) = authority.split_once(':').unwrap_or_else(|| panic!("{place}: {url} names no port"));
    (place.to_owned(), host.to_owned(), port.parse().unwrap_or_else(|_| panic!("{place}: {port} is no port")))
}

fn parts(text: &str) -> (String, String) {
    let mut parts = text.split(':').map(str::to_owned);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.map(|item| item.as_str().unwrap_or_else(|| panic!("{item} is no text")).to_owned()).collect()
}
