//! The files of deploy/: every path, variable, port, command, service and metric that they name exists.
//! The checks need no container engine.

mod compose;

use std::{collections::BTreeSet, fs, process::Command as Blocking};

use compose::Compose;
use serde_json::Value;
use weir_process::{END_DEADLINE, args::Environment};
use weir_testkit::{
    repository::{deploy, repository, yaml},
    weir::{binary, command},
};

/// The commands of the runbook that run in the service `operator`.
const OPERATED: [&str; 13] = [
    "journal status",
    "journal apply",
    "journal forget-lost",
    "dead-letters list",
    "dead-letters redrive",
    "dead-letters discard",
    "erase",
    "event",
    "migrate status",
    "publish",
    "reconcile",
    "report events",
    "verify",
];

/// Variables that these commands read and the service does not set. The image sets the data folder. A file of a login
/// must be mounted, and the override that mounts it sets its variable.
const NOT_THE_OPERATOR_S: [&str; 6] =
    ["WEIR_DATA_DIR", "NATS_CREDS", "NATS_NKEY", "NATS_CA", "NATS_CERT", "NATS_KEY"];

#[test]
fn every_path_that_compose_names_exists() {
    for (name, service) in Compose::read().services() {
        for file in service.files() {
            assert!(file.exists(), "{name} names {}, which does not exist", file.display());
        }
        if let Some(target) = service.target() {
            let dockerfile =
                fs::read_to_string(service.dockerfile().expect("a target has a Dockerfile")).unwrap();
            assert!(dockerfile.contains(&format!(" AS {target}\n")), "{name}: no stage {target}");
        }
    }
}

#[tokio::test]
async fn every_command_and_variable_in_compose_is_known_to_the_binary() {
    for (name, service) in Compose::read().services_of_ours() {
        let mut help = help(&service.command()).await;
        if name == "operator" {
            // The runbook also lets operators run an ingest beside a copy of the journal.
            for words in OPERATED.into_iter().chain(["ingest"]) {
                help.push_str(&self::help(&words.split(' ').map(str::to_owned).collect::<Vec<_>>()).await);
            }
        }
        for variable in service.environment().keys() {
            let known = ["=", "]"].iter().any(|end| help.contains(&format!("[env: {variable}{end}")));
            assert!(known, "{name}: {variable} is no variable of its role");
        }
        let probe = service.probe();
        assert_eq!(probe[..2], ["weir", "health"], "{name} is probed by {probe:?}");
        let help = self::help(&["health".into()]).await;
        for option in probe.iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(option.as_str()), "{name}: weir health knows no {option}");
        }
    }
}

#[tokio::test]
async fn published_ports_are_those_that_the_roles_listen_on() {
    let compose = Compose::read();
    for (name, variable, port) in [
        ("edge", "EDGE_LISTEN", "3001"),
        ("ingest", "INGEST_LISTEN", "50051"),
        ("reporting", "REPORTING_LISTEN", "50052"),
    ] {
        let service = compose.service(name);
        assert!(!service.environment().contains_key(variable), "{name} listens on its default port");
        assert!(service.ports().iter().all(|(_, inside)| inside == port), "{name}: {:?}", service.ports());
        let help = help(&service.command()).await;
        assert!(help.contains(port), "{name} does not listen on {port} by default:\n{help}");
    }
    let outside: Vec<_> =
        compose.services().flat_map(|(_, service)| service.ports()).map(|(port, _)| port).collect();
    for expected in ["3001", "3004", "3000", "9090", "16686"] {
        assert!(outside.iter().any(|port| port == expected), "{expected} is not among {outside:?}");
    }
}

#[test]
fn every_service_has_a_health_check_and_waits_for_healthy_services() {
    let compose = Compose::read();
    for (name, service) in compose.services() {
        assert!(!service.probe().is_empty(), "{name} has no health check");
        for (dependency, condition) in service.dependencies() {
            assert!(
                compose.services().any(|(known, _)| known == dependency),
                "{name} waits for {dependency}"
            );
            assert_eq!(condition, "service_healthy", "{name} waits for {dependency}");
        }
        for volume in service.named_volumes() {
            assert!(compose.has_volume(&volume), "{name} uses the volume {volume}, which is not declared");
        }
        if let Some(image) = service.image() {
            assert!(image == "weir" || image.contains(':'), "{name} pins no version of {image}");
        }
    }
}

#[tokio::test]
async fn the_operator_service_has_every_variable_that_the_runbook_s_commands_read() {
    let compose = Compose::read();
    let operator = compose.service("operator");
    assert_eq!(operator.profiles(), ["operator"], "`up` starts it");
    let has = operator.environment();
    for words in OPERATED {
        let help = help(&words.split(' ').map(str::to_owned).collect::<Vec<_>>()).await;
        let variables = help.split("[env: ").skip(1).filter_map(|rest| rest.split(['=', ']']).next());
        for variable in
            variables.filter(|name| !name.ends_with("_FILE") && !NOT_THE_OPERATOR_S.contains(name))
        {
            assert!(has.contains_key(variable), "weir {words} reads {variable}");
        }
    }
    for (name, service) in compose.services_of_ours() {
        for (variable, value) in service.environment() {
            let same =
                !["NATS_", "JOURNAL_", "DATABASE_", "WEIR_"].iter().any(|start| variable.starts_with(start))
                    || has.get(&variable) == Some(&value);
            assert!(same, "{name} has another {variable} than the operator");
        }
    }
}

#[test]
fn compose_gives_every_role_time_to_end_and_bounds_its_log() {
    let longest = Environment::Production.default_drain_delay() + END_DEADLINE;
    let compose = Compose::read();
    for (name, service) in compose.services_of_ours() {
        let grace = service.stop_grace_period().unwrap_or_else(|| panic!("{name} is killed after 10 s"));
        assert!(grace > longest, "{name} is killed after {grace:?}, and may take {longest:?}");
    }
    for (name, service) in compose.services() {
        assert!(service.rotates_its_log(), "{name} fills the disk with its log");
    }
}

#[test]
fn urls_between_services_name_services_and_their_ports() {
    let compose = Compose::read();
    for (place, host, port) in compose.urls().into_iter().chain(scraped()).chain(data_sources()) {
        let service = compose.service(&host);
        assert!(service.serves(port, &host), "{place} names {host}:{port}, where nothing is served");
    }
}

#[test]
fn prometheus_scrapes_every_role_where_it_serves_metrics() {
    let compose = Compose::read();
    let scraped: Vec<_> = scraped().into_iter().map(|(_, host, port)| (host, port)).collect();
    for (name, service) in compose.services_of_ours().filter(|(_, service)| service.hosts_a_role()) {
        let listens = service.environment()["ADMIN_LISTEN"].trim_start_matches(':').parse().expect("a port");
        assert!(scraped.contains(&(name.to_owned(), listens)), "{name}:{listens} is not among {scraped:?}");
    }
}

#[test]
fn the_journal_s_configuration_passes_the_check_of_nats_server() {
    let nats = Blocking::new("nats-server").arg("-t").arg("-c").arg(deploy("nats.conf")).output().unwrap();
    assert!(nats.status.success(), "{}", String::from_utf8_lossy(&nats.stderr));
    let configuration = fs::read_to_string(deploy("nats.conf")).unwrap();
    assert!(configuration.contains("sync_interval: always"), "the server acknowledges before it syncs");
}

#[test]
fn every_pipeline_uses_configured_components() {
    for file in [repository("otel-collector.yaml"), deploy("jaeger.yaml")] {
        let collector = yaml(&file);
        let configured = |kinds: &[&str], name: &Value| {
            let name = name.as_str().expect("a component has a name");
            kinds.iter().any(|kind| collector[*kind].get(name).is_some())
        };
        for (connector, _) in collector["connectors"].as_object().into_iter().flatten() {
            for end in ["receivers", "exporters"] {
                let pipelines = collector["service"]["pipelines"].as_object().expect("pipelines");
                let mut parts = pipelines.values().flat_map(|parts| parts[end].as_array().expect("a list"));
                assert!(parts.any(|name| name == connector), "{connector} is no pipeline's {end}");
            }
        }
        for (pipeline, parts) in collector["service"]["pipelines"].as_object().expect("pipelines") {
            for (part, kinds) in [
                ("receivers", ["receivers", "connectors"].as_slice()),
                ("processors", &["processors"]),
                ("exporters", &["exporters", "connectors"]),
            ] {
                for name in parts[part].as_array().expect("a list of components") {
                    assert!(configured(kinds, name), "{}: {pipeline} uses {name}", file.display());
                }
            }
        }
        for extension in collector["service"]["extensions"].as_array().expect("extensions") {
            assert!(configured(&["extensions"], extension), "{}: no {extension}", file.display());
        }
    }
}

#[test]
fn telemetry_pipelines_limit_memory_first_count_every_span_and_send_batches() {
    let collector = yaml(&repository("otel-collector.yaml"));
    let pipelines = collector["service"]["pipelines"].as_object().expect("pipelines");
    for (pipeline, parts) in pipelines {
        assert_eq!(parts["processors"][0], "memory_limiter", "{pipeline}");
        let sampled = parts["processors"].as_array().expect("a list").contains(&"tail_sampling".into());
        let counted = parts["exporters"].as_array().expect("a list").contains(&"spanmetrics".into());
        assert!(!(sampled && counted), "{pipeline} counts spans after the sampling");
        if !counted {
            assert_eq!(parts["processors"].as_array().and_then(|all| all.last()), Some(&"batch".into()));
        }
    }
}

#[tokio::test]
async fn the_reference_lists_every_variable_and_no_other() {
    let reference = fs::read_to_string(repository("docs/reference.md")).unwrap();
    let rows = reference.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let is_variable = |name: &str| name.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_');
    let listed: BTreeSet<_> =
        rows.map(|(name, _)| name.to_owned()).filter(|name| is_variable(name)).collect();
    let mut known = BTreeSet::new();
    for words in [
        "up",
        "edge",
        "ingest",
        "collect all",
        "reporting",
        "migrate up",
        "publish",
        "verify",
        "report events",
        "event",
        "health",
    ] {
        let help = help(&words.split(' ').map(str::to_owned).collect::<Vec<_>>()).await;
        let variables = help.split("[env: ").skip(1).filter_map(|rest| rest.split(['=', ']']).next());
        known.extend(variables.map(str::to_owned));
    }
    assert_eq!(listed, known);
}

/// The help of a command, in one line; fails if the binary has no such command.
async fn help(words: &[String]) -> String {
    let words: Vec<_> = words.iter().map(String::as_str).chain(["--help"]).collect();
    let output = command(&words).output().await.unwrap_or_else(|error| panic!("{:?}: {error}", binary()));
    assert!(output.status.success(), "weir {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    // The help is wrapped to the width of a page.
    String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The targets that Prometheus scrapes: file, host and port.
fn scraped() -> Vec<(String, String, u16)> {
    let configuration = yaml(&deploy("prometheus/prometheus.yml"));
    let jobs = configuration["scrape_configs"].as_array().expect("jobs").iter();
    let groups = jobs.flat_map(|job| job["static_configs"].as_array().expect("targets"));
    let targets = groups.flat_map(|group| group["targets"].as_array().expect("targets"));
    targets.map(|target| compose::address("prometheus.yml", target.as_str().expect("an address"))).collect()
}

/// The servers that Grafana queries: file, host and port.
fn data_sources() -> Vec<(String, String, u16)> {
    let configuration = yaml(&deploy("grafana/provisioning/datasources/datasources.yaml"));
    let sources = configuration["datasources"].as_array().expect("data sources").iter();
    sources
        .map(|source| compose::address("datasources.yaml", source["url"].as_str().expect("a URL")))
        .collect()
}
