//! Tests of the dashboard and the alert rules in `monitoring/`, against metrics of a real run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault, PastEvents};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::program::{PATIENCE, TOKEN};
use crate::web_client::WebClient;

const DASHBOARD: &str = include_str!("../../monitoring/grafana.json");
const RULES: &str = include_str!("../../monitoring/alerts.yaml");

/// The file of the rules, for other programs.
const RULES_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/monitoring/alerts.yaml");

/// The labels that Prometheus adds.
const ADDED: [&str; 2] = ["instance", "job"];

/// The exported metrics: their names, and the values of each of their labels.
#[derive(Debug, Default, PartialEq, Eq)]
struct Metrics(BTreeMap<String, BTreeMap<String, BTreeSet<String>>>);

impl Metrics {
    /// Reads the metrics in the format of Prometheus.
    fn of(text: &str) -> Self {
        let mut all = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            all.add(line);
        }
        all
    }

    /// Reads the metrics that an expression names.
    fn named_in(expression: &str) -> Self {
        let mut all = Self::default();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        for (start, _) in expression.match_indices(['b', 'p']) {
            let name = &expression[start..];
            let is_start = !expression[..start].ends_with(is_part);
            if is_start && (name.starts_with("box_") || name.starts_with("process_")) {
                all.add(name);
            }
        }
        all
    }

    /// Adds the metric at the start of a text.
    fn add(&mut self, text: &str) {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (name, rest) = text.split_at(end.unwrap_or(text.len()));
        if name.is_empty() {
            return;
        }
        let labels = self.0.entry(name.into()).or_default();
        let Some((selector, _)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'))
        else {
            return;
        };
        for label in selector.split(',') {
            let (name, value) = label.split_once('=').expect("a label has a value");
            let value = value.trim_start_matches('~').trim_matches('"');
            let values = value.split('|').map(Into::into);
            labels.entry(name.trim().into()).or_default().extend(values);
        }
    }

    fn merge(&mut self, more: Self) {
        for (name, labels) in more.0 {
            let all = self.0.entry(name).or_default();
            for (label, values) in labels {
                all.entry(label).or_default().extend(values);
            }
        }
    }

    /// Returns what these metrics lack, of those that are wanted.
    fn missing(&self, wanted: &Self) -> Vec<String> {
        let mut missing = Vec::new();
        for (name, labels) in &wanted.0 {
            let Some(exported) = self.0.get(name) else {
                missing.push(name.clone());
                continue;
            };
            for (label, values) in labels {
                if ADDED.contains(&&**label) {
                    continue;
                }
                let exported = exported.get(label);
                let lacks = |value: &&String| exported.is_none_or(|all| !all.contains(*value));
                let lacking = values.iter().filter(lacks);
                missing.extend(lacking.map(|value| format!("{name}{{{label}={value:?}}}")));
            }
        }
        missing
    }
}

/// An expression, and the labels that it or its legend names outside of selectors.
#[derive(Debug)]
struct Expression {
    text: String,
    labels: BTreeSet<String>,
}

impl Expression {
    fn new(text: &str, legend: &str) -> Self {
        let mut labels = BTreeSet::new();
        for group in ["by (", "on ("] {
            for part in text.split(group).skip(1) {
                let (names, _) = part.split_once(')').expect("a list ends");
                labels.extend(names.split(',').map(|name| name.trim().into()));
            }
        }
        for part in legend.split("{{").skip(1) {
            let (name, _) = part.split_once("}}").expect("a variable ends");
            labels.insert(name.trim().trim_start_matches("$labels.").into());
        }
        Self {
            text: text.into(),
            labels,
        }
    }
}

fn dashboard() -> Vec<Expression> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut expressions: Vec<_> = targets
        .map(|target| Expression::new(&text(&target["expr"]), &text(&target["legendFormat"])))
        .collect();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let queries = variables
        .iter()
        .filter_map(|variable| variable["query"]["query"].as_str());
    expressions.extend(queries.map(|query| Expression::new(query, "")));
    expressions
}

fn rules() -> Vec<Expression> {
    let rules: Value = serde_yaml_ng::from_str(RULES).unwrap();
    let rules = rules["groups"][0]["rules"].as_array().unwrap().clone();
    assert_eq!(rules.len(), 6);
    let expression = |rule: Value| {
        let text = rule["expr"].as_str().unwrap();
        let annotations = rule["annotations"].to_string();
        Expression::new(text, &annotations)
    };
    rules.into_iter().map(expression).collect()
}

fn event(event_type: &str) -> String {
    let now = Timestamp::now();
    format!(r#"{{"event_id":"{event_type}","event_type":"{event_type}","created_at":"{now:.0}"}}"#)
}

/// Returns the metrics of a program that reads past events.
fn history() -> Metrics {
    let server = EmulatorServer::start();
    server.append_past(TOKEN, &PastEvents::year_until(server.unix(), 100));
    let day = format!(
        "{:.0}",
        Timestamp::now() - SignedDuration::from_hours(24 * 100)
    );
    let (mut tail, web) = WebClient::start(&server, &["--enterprise", "--since", &day]);
    tail.wait_for_report(|line| line == "following live events");
    Metrics::of(&web.get("/metrics").body)
}

/// Each metric and each label of the dashboard and the rules is exported by a run with faults.
#[test]
fn monitoring_files_name_exported_metrics_only() {
    let expressions: Vec<_> = dashboard().into_iter().chain(rules()).collect();
    let mut wanted = Metrics::default();
    for expression in &expressions {
        wanted.merge(Metrics::named_in(&expression.text));
    }
    assert!(wanted.0.len() >= 20, "{wanted:?}");

    let server = EmulatorServer::start();
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("position");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("tail.checkpoint");
    let checkpoint = [
        "--type",
        "ITEM_UPLOAD",
        "--checkpoint",
        file.to_str().unwrap(),
    ];
    let (mut tail, web) = WebClient::start(&server, &checkpoint);
    tail.wait_for_report(|line| line == "listening");
    let exports = |text: &str| web.wait_for("/metrics", |metrics| metrics.body.contains(text));
    server.queue_fault(Endpoint::Events, Fault::RateLimited { seconds: 1 }, 1);
    // The second event is a repeat.
    server.append_json(TOKEN, [event("ITEM_UPLOAD"), event("ITEM_UPLOAD")]);
    exports(r#"state="retrying""#);
    let saved = format!("position {}", server.emulator().newest_position(TOKEN));
    tail.wait_for_report(|line| line == saved);
    // The position moves without an event to acknowledge, and can't be saved.
    fs::remove_dir_all(&folder).unwrap();
    server.append_json(TOKEN, [event("ITEM_TRASH")]);
    exports(r#"state="not_saving""#);
    fs::create_dir(&folder).unwrap();
    exports(r#"streams{stream_type="all",state="not_saving"} 0"#);
    server.queue_fault(Endpoint::Options, Fault::EmptyList, 1_000);
    let reconnect = Fault::Signal {
        message: "reconnect".into(),
    };
    while server.interrupt_polls(&reconnect) == 0 {
        assert!(server.wait_until(PATIENCE, |emulator| emulator.counters().open_polls == 1));
    }
    exports(r#"state="degraded""#);
    let mut exported = Metrics::of(&web.get("/metrics").body);
    exported.merge(history());

    let missing = exported.missing(&wanted);
    assert!(missing.is_empty(), "{missing:?}");
    for Expression { text, labels } in &expressions {
        let metrics = Metrics::named_in(text);
        let labels_of = |name| exported.0.get(name).map(BTreeMap::keys);
        let mut known: BTreeSet<_> = metrics.0.keys().filter_map(labels_of).flatten().collect();
        let added = ADDED.map(String::from);
        known.extend(&added);
        for label in labels {
            assert!(known.contains(label), "{label} in {text}");
        }
    }
}

#[test]
fn a_wrong_name_or_label_in_an_expression_is_found() {
    let exported =
        Metrics::of("# TYPE box_a gauge\nbox_a{x=\"1\"} 2\nbox_a{x=\"3\",le=\"+Inf\"} 4\nbox_b 1");
    for (expression, expected) in [
        (r#"rate(box_a{x=~"1|3", job="j"}[5m]) / box_b"#, &[][..]),
        ("box_c + box_a", &["box_c"]),
        (r#"box_a{x=~"1|2"}"#, &[r#"box_a{x="2"}"#]),
        (r#"box_b{x="1"}"#, &[r#"box_b{x="1"}"#]),
    ] {
        assert_eq!(exported.missing(&Metrics::named_in(expression)), expected);
    }
}

#[test]
#[ignore = "needs promtool, which is in Debian's package prometheus"]
fn rules_are_valid_for_prometheus() {
    let checked = Command::new("promtool")
        .args(["check", "rules", "--lint-fatal", RULES_FILE])
        .output()
        .expect("promtool is installed");
    assert!(checked.status.success(), "{checked:?}");
}
