//! Spans as Loom and its agents make them, for measurements: an event from a sensor to a processor, which asks a model and
//! a database, and on to an output.
//!
//! Twelve spans make a trace. Ids are spread over all ids; agents, topics, workflows, sessions and users repeat as they do in a
//! real store: few of the first, many of the last.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

/// Spans of one trace.
pub(crate) const SPANS: u64 = 12;
/// Groups of three agents: a sensor, a processor and an output.
const TEAMS: u64 = 8;
const WORKFLOWS: u64 = 20;
const USERS: u64 = 5_000;
/// Traces of one session; five sessions are open at a time.
const TRACES_PER_SESSION: u64 = 20;
const NS_PER_MS: u64 = 1_000_000;
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.44.0";

/// Which spans of a trace say whom they are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// All of them, those of the bus too.
    All,
    /// Those of agents' processes, as in a real Loom: the store completes the others.
    Agents,
}

/// The traces of these numbers as requests of their processes, trace `n` beginning `n * step_ns` after `begin_ns`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Begin of trace 0, ns since the Unix epoch.
    pub(crate) begin_ns: u64,
    /// From the begin of one trace to that of the next.
    pub(crate) step_ns: u64,
    /// Who says whom a span is about.
    pub(crate) names: Names,
}

impl Load {
    /// One request with all spans of some traces.
    pub(crate) fn request(&self, traces: std::ops::Range<u64>) -> ExportTraceServiceRequest {
        let mut owners: Vec<(String, Vec<Span>)> = Vec::new();
        for number in traces {
            for (service, span) in self.trace(number) {
                match owners.iter_mut().find(|(name, _)| *name == service) {
                    Some((_, spans)) => spans.push(span),
                    None => owners.push((service, vec![span])),
                }
            }
        }
        let resource_spans = owners.into_iter().map(|(service, spans)| ResourceSpans {
            resource: Some(Resource {
                attributes: vec![
                    text("service.name", &service),
                    text(
                        "service.instance.id",
                        "018f3e7b-4a7c-7c29-8c90-1a2b3c4d5e6f",
                    ),
                    text("telemetry.sdk.name", "loom"),
                ],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "loom".to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans,
                schema_url: SCHEMA.to_owned(),
            }],
            schema_url: SCHEMA.to_owned(),
        });
        ExportTraceServiceRequest {
            resource_spans: resource_spans.collect(),
        }
    }

    /// The spans of a trace, each with its service.
    fn trace(&self, number: u64) -> Vec<(String, Span)> {
        let team = number % TEAMS;
        let (sensor, processor, output) = (
            format!("sensor-{team}"),
            format!("processor-{team}"),
            format!("output-{team}"),
        );
        let begin = self.begin_ns + number * self.step_ns;
        let mut make = Maker {
            names: self.names,
            number,
            begin,
            spans: Vec::with_capacity(SPANS as usize),
        };
        let read = make.span(&sensor, "sensor.emit_data", 1, None, 0..900, vec![]);
        let delivered = make.hop(&sensor, &processor, "sensor.data", read, 100);
        let handled = make.on_event(&processor, "sensor.data", delivered, 1_000..60_000);
        let chat = vec![
            text("gen_ai.operation.name", "chat"),
            text("gen_ai.provider.name", "openai"),
            text("gen_ai.request.model", "gpt-4o-mini"),
            text("gen_ai.response.model", "gpt-4o-mini-2024-07-18"),
            int("gen_ai.usage.input_tokens", 500 + number % 700),
            int("gen_ai.usage.output_tokens", 50 + number % 90),
            attribute(
                "loom.llm.ttft_ms",
                Value::DoubleValue(120.25 + (number % 64) as f64),
            ),
        ];
        make.span(
            &processor,
            "chat gpt-4o-mini",
            3,
            Some(handled),
            1_500..50_000,
            chat,
        );
        let query = vec![
            text("db.system.name", "postgresql"),
            text(
                "db.query.text",
                "SELECT value FROM readings WHERE sensor = $1",
            ),
        ];
        make.span(
            &processor,
            "SELECT readings",
            3,
            Some(handled),
            51_000..54_000,
            query,
        );
        let delivered = make.hop(&processor, &output, "processed.data", handled, 55_000);
        make.on_event(&output, "processed.data", delivered, 57_000..59_000);
        make.span(&output, "write", 1, Some(SPANS - 1), 57_500..58_500, vec![]);
        make.spans
    }
}

/// Makes the spans of a trace one after the other; their numbers begin with 1.
struct Maker {
    names: Names,
    number: u64,
    begin: u64,
    spans: Vec<(String, Span)>,
}

impl Maker {
    /// A span from µs to µs after the begin of the trace; returns its number.
    fn span(
        &mut self,
        agent: &str,
        name: &str,
        kind: i32,
        parent: Option<u64>,
        during_us: std::ops::Range<u64>,
        attributes: Vec<KeyValue>,
    ) -> u64 {
        let own = [vec![text("agent.id", agent)], attributes].concat();
        self.push(
            format!("agent-{agent}"),
            name,
            kind,
            parent,
            during_us,
            own,
            true,
        )
    }

    /// What the server tells of an event: it was published, routed and handed over. Returns the last span.
    fn hop(&mut self, from: &str, to: &str, topic: &str, parent: u64, at_us: u64) -> u64 {
        let event = self.event(topic);
        let mut parent = parent;
        for (step, name) in ["bridge.publish", "EventBus.publish", "bridge.forward"]
            .into_iter()
            .enumerate()
        {
            let id = self.spans.len() as u64 + 1;
            let agent = if step == 2 { to } else { from };
            let mut attributes = vec![
                text("agent_id", agent),
                text("topic", topic),
                text("event_id", &event),
                text("trace_id", &hex(&trace_id(self.number))),
                text("span_id", &hex(&span_id(self.number, id))),
                text("messaging.system", "loom"),
                text("messaging.destination.name", topic),
                text("messaging.message.id", &event),
                text(
                    "messaging.operation.name",
                    if step == 2 { "forward" } else { "publish" },
                ),
                text("messaging.operation.type", "send"),
                text("messaging.client.id", agent),
            ];
            match step {
                0 => attributes.push(int("messaging.message.body.size", 256 + self.number % 32)),
                1 => attributes.push(int("loom.bus.matched", 1)),
                _ => attributes.extend([
                    text("messaging.destination.subscription.name", topic),
                    int("messaging.message.delivery_attempt", 1),
                    int("loom.queue.wait_us", 20 + self.number % 2_000),
                ]),
            }
            let at = at_us + 100 * step as u64;
            let names = self.names == Names::All;
            let kind = if step == 0 { 5 } else { 4 };
            parent = self.push(
                "loom".to_owned(),
                name,
                kind,
                Some(parent),
                at..at + 80,
                attributes,
                names,
            );
        }
        parent
    }

    fn on_event(
        &mut self,
        agent: &str,
        topic: &str,
        parent: u64,
        during_us: std::ops::Range<u64>,
    ) -> u64 {
        let event = self.event(topic);
        let attributes = vec![
            text("event.id", &event),
            text("event.type", "reading"),
            text("topic", topic),
            text("messaging.system", "loom"),
            text("messaging.destination.name", topic),
            text("messaging.message.id", &event),
            text("messaging.operation.name", "on_event"),
            text("messaging.operation.type", "process"),
            text("messaging.client.id", agent),
            text("gen_ai.operation.name", "invoke_agent"),
            text("gen_ai.agent.id", agent),
            text("gen_ai.agent.name", agent),
            attribute(
                "loom.phase.thinking_ms",
                Value::DoubleValue(1.5 + (self.number % 100) as f64),
            ),
        ];
        self.span(
            agent,
            "agent.on_event",
            5,
            Some(parent),
            during_us,
            attributes,
        )
    }

    #[expect(clippy::too_many_arguments, reason = "a span has that many parts")]
    fn push(
        &mut self,
        service: String,
        name: &str,
        kind: i32,
        parent: Option<u64>,
        during_us: std::ops::Range<u64>,
        mut attributes: Vec<KeyValue>,
        names: bool,
    ) -> u64 {
        let id = self.spans.len() as u64 + 1;
        if names {
            let session = self.number / (5 * TRACES_PER_SESSION) * 5 + self.number % 5;
            attributes.extend([
                text("workflow.id", &format!("analysis-{}", session % WORKFLOWS)),
                text("session.id", &uuid(0x5e55_1017, session)),
                text("user.id", &format!("user-{}", spread(session) % USERS)),
            ]);
        }
        // One trace of fifty fails where it is handled.
        let failed = name == "agent.on_event" && self.number.is_multiple_of(50);
        let span = Span {
            trace_id: trace_id(self.number).to_vec(),
            span_id: span_id(self.number, id).to_vec(),
            parent_span_id: parent.map_or_else(Vec::new, |id| span_id(self.number, id).to_vec()),
            name: name.to_owned(),
            kind,
            flags: 0x101,
            start_time_unix_nano: self.begin + during_us.start * 1_000,
            end_time_unix_nano: self.begin + during_us.end * 1_000 + self.number % NS_PER_MS,
            attributes,
            status: failed.then(|| Status {
                code: StatusCode::Error.into(),
                message: "no answer".to_owned(),
            }),
            ..Span::default()
        };
        self.spans.push((service, span));
        id
    }

    fn event(&self, topic: &str) -> String {
        uuid(
            self.begin / NS_PER_MS,
            self.number * 2 + u64::from(topic == "sensor.data"),
        )
    }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn text(key: &str, text: &str) -> KeyValue {
    attribute(key, Value::StringValue(text.to_owned()))
}

fn int(key: &str, number: u64) -> KeyValue {
    attribute(key, Value::IntValue(number.cast_signed()))
}

/// Spreads numbers over all numbers, as random ids are.
fn spread(number: u64) -> u64 {
    let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// Id of a trace.
fn trace_id(number: u64) -> [u8; 16] {
    let high = spread(number);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&high.to_be_bytes());
    id[8..].copy_from_slice(&spread(high).to_be_bytes());
    id
}

fn span_id(trace: u64, number: u64) -> [u8; 8] {
    (spread(trace * SPANS + number) | 1).to_be_bytes()
}

/// A UUID of version 7 of this millisecond.
fn uuid(ms: u64, number: u64) -> String {
    let tail = spread(number);
    format!(
        "{:08x}-{:04x}-7{:03x}-8{:03x}-{:012x}",
        ms >> 16 & 0xffff_ffff,
        ms & 0xffff,
        tail >> 52,
        tail & 0xfff,
        tail >> 12 & 0xffff_ffff_ffff
    )
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String does not fail.
        _ = write!(text, "{byte:02x}");
        text
    })
}
