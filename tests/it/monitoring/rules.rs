//! The recording rules and the alerts: each alert is tested firing and quiet, and leads to its section of the runbook.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::Command,
};

use serde_json::Value;
use weir_testkit::repository::{deploy, repository, yaml};

/// A recording or alerting rule.
pub(super) struct Rule {
    /// The name of the recorded series or of the alert.
    pub(super) name: String,
    pub(super) expression: String,
    alert: bool,
    labels: Value,
    annotations: Value,
}

/// The recording rules.
pub(super) fn recorded() -> Vec<Rule> {
    rules().into_iter().filter(|rule| !rule.alert).collect()
}

/// The alerts.
pub(super) fn alerts() -> Vec<Rule> {
    rules().into_iter().filter(|rule| rule.alert).collect()
}

/// Every rule of every file that the configuration names.
fn rules() -> Vec<Rule> {
    let configuration = yaml(&deploy("prometheus/prometheus.yml"));
    let files = configuration["rule_files"].as_array().expect("rule files").iter();
    let files = files.map(|file| yaml(&deploy("prometheus").join(file.as_str().expect("a file's name"))));
    let groups = files.flat_map(|file| file["groups"].as_array().expect("groups").clone());
    groups.flat_map(|group| group["rules"].as_array().expect("rules").clone()).map(rule).collect()
}

fn rule(mut rule: Value) -> Rule {
    let alert = rule["alert"].is_string();
    let name = if alert { &rule["alert"] } else { &rule["record"] };
    Rule {
        name: name.as_str().expect("a rule has a name").to_owned(),
        expression: rule["expr"].as_str().expect("a rule has an expression").to_owned(),
        alert,
        labels: rule["labels"].take(),
        annotations: rule["annotations"].take(),
    }
}

/// The files of promtool's test cases.
fn cases() -> Vec<PathBuf> {
    let folder = fs::read_dir(deploy("prometheus/tests")).expect("the rules have tests");
    folder.map(|entry| entry.expect("a folder's entry").path()).collect()
}

fn promtool(arguments: &[&str], files: &[PathBuf]) {
    let output =
        Command::new("promtool").args(arguments).args(files).output().expect("promtool is installed");
    let both = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "promtool {arguments:?}\n{}", String::from_utf8_lossy(&both));
}

#[test]
fn promtool_accepts_the_configuration_with_its_rules() {
    promtool(&["check", "config"], &[deploy("prometheus/prometheus.yml")]);
}

#[test]
fn every_rule_passes_its_cases() {
    promtool(&["test", "rules"], &cases());
}

/// Alerts are compared by name and labels, because the labels distinguish the windows of one alert.
#[test]
fn every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_quiet() {
    let mut fired: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut quiet = BTreeSet::new();
    let checks = cases().into_iter().flat_map(|file| yaml(&file)["tests"].as_array().expect("tests").clone());
    for check in checks.flat_map(|test| test["alert_rule_test"].as_array().expect("checks").clone()) {
        let alert = check["alertname"].as_str().expect("an alert's name").to_owned();
        let expected = check["exp_alerts"].as_array().expect("expected alerts");
        if expected.is_empty() {
            quiet.insert(alert);
        } else {
            fired.entry(alert).or_default().extend(expected.iter().map(|alert| alert["exp_labels"].clone()));
        }
    }
    for rule in alerts() {
        let labels = rule.labels.as_object().expect("an alert has labels");
        let has_all =
            |fired: &Value| labels.iter().all(|(name, value)| fired.get(name.as_str()) == Some(value));
        let fires = fired.get(&rule.name).is_some_and(|fired| fired.iter().any(has_all));
        assert!(fires, "no case makes {} with {labels:?} fire", rule.name);
        assert!(quiet.contains(&rule.name), "no case leaves {} quiet", rule.name);
    }
}

#[test]
fn every_alert_has_a_summary_a_severity_and_a_section_of_the_runbook() {
    let sections = sections();
    for rule in alerts() {
        let severity = rule.labels["severity"].as_str().unwrap_or_default();
        assert!(["critical", "warning"].contains(&severity), "{}: severity {severity:?}", rule.name);
        assert!(rule.annotations["summary"].is_string(), "{} has no summary", rule.name);
        let link = rule.annotations["runbook_url"].as_str().unwrap_or_default();
        assert_eq!(link, format!("docs/runbook.md#{}", rule.name.to_lowercase()));
        let section = sections.get(&rule.name).unwrap_or_else(|| panic!("{link} leads nowhere"));
        for part in ["**It means**", "**Look**", "**Do**"] {
            assert!(section.contains(part), "{}: the runbook has no {part}", rule.name);
        }
    }
    let known: BTreeSet<_> = alerts().into_iter().map(|rule| rule.name).collect();
    let described: BTreeSet<_> = sections.into_keys().collect();
    assert_eq!(described, known, "the runbook has sections of alerts that don't exist");
}

/// The sections of the runbook about alerts, by heading.
fn sections() -> BTreeMap<String, String> {
    let runbook = fs::read_to_string(repository("docs/runbook.md")).expect("there is a runbook");
    let sections = runbook.split("\n### ").skip(1);
    let sections = sections.filter_map(|section| section.split_once('\n'));
    sections.map(|(heading, text)| (heading.to_owned(), text.to_owned())).collect()
}

/// The runbook states the objectives that the alerts use.
#[test]
fn the_runbook_states_every_objective_and_its_budget() {
    let runbook = fs::read_to_string(repository("docs/runbook.md")).expect("there is a runbook");
    for rule in recorded().into_iter().filter(|rule| rule.name == "slo:error_budget:ratio") {
        let slo = rule.labels["slo"].as_str().expect("a budget is an objective's");
        let budget = rule.expression.trim_start_matches("vector(").trim_end_matches(')');
        let percent = 100.0 - 100.0 * budget.parse::<f64>().expect("a budget is a share");
        let row = runbook.lines().find(|line| line.starts_with(&format!("| `{slo}` |")));
        let row = row.unwrap_or_else(|| panic!("the runbook does not state {slo}"));
        assert!(row.contains(&format!(" {percent} % ")), "{slo} is {percent} %, and not: {row}");
    }
}
