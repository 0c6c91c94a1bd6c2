//! A trace as the public API shows it, and what its shape should be.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A trace in Jaeger's JSON.
#[derive(Clone, Debug)]
pub struct TraceView {
    /// 32 hex digits.
    pub trace_id: String,
    /// In the order in which they started.
    pub spans: Vec<SpanView>,
}

/// A span in Jaeger's JSON.
#[derive(Clone, Debug)]
pub struct SpanView {
    /// 16 hex digits.
    pub span_id: String,
    /// `None` for a root.
    pub parent: Option<String>,
    /// Its name.
    pub name: String,
    /// Name of the process that made it.
    pub service: String,
    /// Microseconds since the Unix epoch.
    pub start_us: u64,
    /// Microseconds.
    pub duration_us: u64,
    /// Attributes, as text.
    pub tags: BTreeMap<String, String>,
    /// Trace and span ids of the spans that it links to.
    pub links: Vec<(String, String)>,
}

/// Name and service of every span of the golden tree, from the root to the leaf.
pub const GOLDEN_CHAIN: [(&str, &str); 9] = [
    ("sensor.emit_data", "agent-sensor-agent"),
    ("bridge.publish", "loom"),
    ("EventBus.publish", "loom"),
    ("bridge.forward", "loom"),
    ("agent.on_event", "agent-processor-agent"),
    ("bridge.publish", "loom"),
    ("EventBus.publish", "loom"),
    ("bridge.forward", "loom"),
    ("agent.on_event", "agent-output-agent"),
];

impl TraceView {
    /// Reads one trace of `/api/traces`.
    ///
    /// # Panics
    /// When it has not Jaeger's form.
    pub fn from_jaeger(trace: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let span = |span: &Value| {
            let references = span["references"].as_array().expect("a list");
            let parent = references
                .iter()
                .find(|reference| reference["refType"] == "CHILD_OF");
            let links = references
                .iter()
                .filter(|reference| reference["refType"] == "FOLLOWS_FROM");
            let process = &trace["processes"][span["processID"].as_str().expect("a process")];
            SpanView {
                span_id: text(&span["spanID"]),
                parent: parent.map(|parent| text(&parent["spanID"])),
                name: text(&span["operationName"]),
                service: text(&process["serviceName"]),
                start_us: span["startTime"].as_u64().expect("a time"),
                duration_us: span["duration"].as_u64().expect("a time"),
                tags: span["tags"]
                    .as_array()
                    .expect("a list")
                    .iter()
                    .map(|tag| {
                        let value = &tag["value"];
                        (
                            text(&tag["key"]),
                            value
                                .as_str()
                                .map_or_else(|| value.to_string(), str::to_owned),
                        )
                    })
                    .collect(),
                links: links
                    .map(|link| (text(&link["traceID"]), text(&link["spanID"])))
                    .collect(),
            }
        };
        let mut spans: Vec<_> = trace["spans"]
            .as_array()
            .expect("a list")
            .iter()
            .map(span)
            .collect();
        spans.sort_by_key(|span| span.start_us);
        Self {
            trace_id: text(&trace["traceID"]),
            spans,
        }
    }

    /// The spans from the root to the leaf.
    ///
    /// # Panics
    /// When the trace is not one chain.
    pub fn chain(&self) -> Vec<&SpanView> {
        let mut chain = Vec::new();
        let mut parent: Option<&str> = None;
        loop {
            let children: Vec<_> = self
                .spans
                .iter()
                .filter(|span| span.parent.as_deref() == parent)
                .collect();
            match children[..] {
                [] => break,
                [child] => {
                    chain.push(child);
                    parent = Some(&child.span_id);
                }
                _ => panic!("not a chain: {:#?}", self.outline()),
            }
        }
        assert_eq!(
            chain.len(),
            self.spans.len(),
            "spans outside of the chain: {:#?}",
            self.outline()
        );
        chain
    }

    /// Asserts that the spans are one chain of these names and services.
    ///
    /// # Panics
    /// When they are not.
    pub fn assert_chain(&self, expected: &[(&str, &str)]) {
        let chain = self.chain();
        let found: Vec<_> = chain
            .iter()
            .map(|span| (span.name.as_str(), span.service.as_str()))
            .collect();
        assert_eq!(found, expected);
    }

    /// The only span of this name.
    ///
    /// # Panics
    /// When there is none, or more than one.
    pub fn only(&self, name: &str) -> &SpanView {
        let found: Vec<_> = self.spans.iter().filter(|span| span.name == name).collect();
        match found[..] {
            [span] => span,
            _ => panic!(
                "{} spans are called {name}: {:#?}",
                found.len(),
                self.outline()
            ),
        }
    }

    /// The services in it.
    pub fn services(&self) -> BTreeSet<&str> {
        self.spans
            .iter()
            .map(|span| span.service.as_str())
            .collect()
    }

    /// One line for each span, for messages.
    pub fn outline(&self) -> Vec<String> {
        let line = |span: &SpanView| {
            format!(
                "{} {} of {} under {:?}",
                span.span_id, span.name, span.service, span.parent
            )
        };
        self.spans.iter().map(line).collect()
    }
}
