//! The boards of Grafana: their JSON is valid, and their data sources, links and variables exist. The checks need no
//! Grafana.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde_json::Value;
use weir_testkit::repository::{deploy, yaml};

/// A query of a panel to Prometheus.
#[derive(Clone, Debug)]
pub(super) struct PanelQuery {
    /// The board and the panel, for messages.
    pub(super) place: String,
    /// The expression with every variable set to all values, as on a newly opened board.
    pub(super) expression: String,
    /// Whether the panel shows exemplars.
    pub(super) exemplars: bool,
}

/// The queries of every panel of every board.
pub(super) fn panel_queries() -> Vec<PanelQuery> {
    boards().iter().flat_map(|(file, board)| panels(board).map(move |panel| (file, panel))).fold(
        Vec::new(),
        |mut queries, (file, panel)| {
            for target in panel["targets"].as_array().into_iter().flatten() {
                queries.push(PanelQuery {
                    place: format!("{file}: {}", panel["title"]),
                    expression: target["expr"].as_str().expect("an expression").replace("$instance", ".*"),
                    exemplars: target["exemplar"] == true,
                });
            }
            queries
        },
    )
}

/// The boards, by file name.
fn boards() -> BTreeMap<String, Value> {
    let folder = fs::read_dir(deploy("grafana/dashboards")).expect("there are boards");
    let files = folder.map(|entry| entry.expect("a folder's entry").path());
    files
        .map(|file| {
            let text = fs::read_to_string(&file).expect("a board is text");
            let board = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file:?}: {error}"));
            (file.file_name().expect("a file's name").to_string_lossy().into_owned(), board)
        })
        .collect()
}

fn panels(board: &Value) -> impl Iterator<Item = &Value> {
    board["panels"].as_array().expect("panels").iter()
}

/// The types of the data sources, by uid.
fn data_sources() -> BTreeMap<String, String> {
    let configuration = yaml(&deploy("grafana/provisioning/datasources/datasources.yaml"));
    let sources = configuration["datasources"].as_array().expect("data sources").iter();
    sources.map(|source| (text(&source["uid"]), text(&source["type"]))).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// Every object inside `value`, and `value` itself.
fn objects(value: &Value) -> Vec<&Value> {
    let below: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(members) => members.values().collect(),
        _ => return Vec::new(),
    };
    std::iter::once(value).chain(below.into_iter().flat_map(objects)).collect()
}

#[test]
fn boards_and_panels_have_distinct_ids() {
    let boards = boards();
    let uids: BTreeSet<_> = boards.values().map(|board| text(&board["uid"])).collect();
    assert_eq!(uids.len(), boards.len(), "two boards have one uid: {uids:?}");
    for (file, board) in &boards {
        let mut ids = BTreeSet::new();
        for panel in panels(board) {
            assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{file}: {} twice", panel["id"]);
            assert!(!text(&panel["title"]).is_empty(), "{file}: a panel without a title");
            let has_query = !["row", "text"].contains(&text(&panel["type"]).as_str());
            assert_eq!(has_query, panel["targets"].is_array(), "{file}: {}", panel["title"]);
            assert!(
                !has_query || !text(&panel["description"]).is_empty(),
                "{file}: {} has no description",
                panel["title"]
            );
        }
    }
}

#[test]
fn panels_do_not_overlap() {
    for (file, board) in boards() {
        let mut taken = BTreeSet::new();
        for panel in panels(&board) {
            let at = |name: &str| panel["gridPos"][name].as_u64().expect("a place");
            assert!(at("x") + at("w") <= 24, "{file}: {} extends beyond the right edge", panel["title"]);
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(taken.insert((x, y)), "{file}: {} overlaps another panel", panel["title"]);
                }
            }
        }
    }
}

#[test]
fn every_data_source_that_a_board_or_data_source_names_is_provisioned() {
    let sources = data_sources();
    for (file, board) in boards() {
        for source in objects(&board).into_iter().filter_map(|object| object.get("datasource")) {
            let (uid, kind) = (text(&source["uid"]), text(&source["type"]));
            assert_eq!(sources.get(&uid), Some(&kind), "{file} names {source}");
        }
    }
    let configuration = yaml(&deploy("grafana/provisioning/datasources/datasources.yaml"));
    let named: Vec<_> = objects(&configuration).into_iter().filter_map(|o| o.get("datasourceUid")).collect();
    assert!(named.iter().any(|uid| *uid == "jaeger"), "exemplars do not lead to Jaeger");
    assert!(named.iter().all(|uid| sources.contains_key(&text(uid))), "{named:?} are not all provisioned");
}

#[test]
fn links_lead_to_traces_and_to_the_log_by_correlation_id() {
    let sources = data_sources();
    for (file, board) in boards() {
        let variables = board["templating"]["list"].as_array().expect("variables");
        let known: BTreeSet<_> = variables.iter().map(|variable| text(&variable["name"])).collect();
        let links = panels(&board)
            .flat_map(|panel| panel["fieldConfig"]["defaults"]["links"].as_array().into_iter().flatten());
        let (mut traces, mut logs) = (0, 0);
        for link in links {
            let url = text(&link["url"]);
            for variable in url.split("${").skip(1).filter_map(|rest| rest.split('}').next()) {
                let of_grafana = variable.starts_with("__");
                assert!(of_grafana || known.contains(variable), "{file}: no variable {variable}");
            }
            if url == "${log_store}${correlation_id}" {
                logs += 1;
                continue;
            }
            let panes: Value = serde_json::from_str(&panes(&url)).expect("panes of Explore are JSON");
            let uids: Vec<_> = objects(&panes).into_iter().filter_map(|o| o.get("uid")).collect();
            assert!(!uids.is_empty() && uids.iter().all(|uid| sources.contains_key(&text(uid))), "{url}");
            traces += 1;
        }
        assert!(logs > 0 && (traces > 0 || file == "processes.json"), "{file}: {traces} and {logs} links");
    }
}

/// The panes that a link into Explore opens.
fn panes(url: &str) -> String {
    let grafana = reqwest::Url::parse("http://grafana").expect("a URL");
    let url = grafana.join(url).expect("a link of the same Grafana");
    assert_eq!(url.path(), "/explore", "{url}");
    let panes = url.query_pairs().find(|(name, _)| name == "panes");
    panes.expect("a link into Explore has panes").1.into_owned()
}

#[test]
fn latencies_show_exemplars() {
    let shown: Vec<_> = panel_queries().into_iter().filter(|query| query.exemplars).collect();
    for metric in [
        "report_duration_seconds",
        "http_server_request_duration_seconds",
        "weir_publish_duration",
        "weir_commit_duration",
    ] {
        let found = shown.iter().any(|query| query.expression.contains(metric));
        assert!(found, "no panel shows exemplars of {metric}");
    }
}
