//! OTLP/JSON of every kind, as a sender may write it: without fields that say nothing, and with one `resourceSpans` for each span.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Any text, among it what has to be escaped and what is written in more than one byte.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        "\\PC{0,8}",
        Just("\u{0}\"\\\n\u{1f600}".to_owned())
    ]
}

/// An object without the fields that say nothing.
fn object(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let says_something = |value: &Value| match value {
        Value::Null => false,
        Value::Number(number) => number.as_u64() != Some(0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Bool(_) => true,
    };
    let fields = fields.into_iter().filter(|(_, v)| says_something(v));
    Value::Object(fields.map(|(k, v)| (k.to_owned(), v)).collect())
}

/// An `AnyValue`, empty ones and nested ones among them.
fn any_value() -> impl Strategy<Value = Value> {
    let double = |number: f64| match number {
        n if n.is_nan() => json!("NaN"),
        n if n == f64::INFINITY => json!("Infinity"),
        n if n == f64::NEG_INFINITY => json!("-Infinity"),
        n => json!(n),
    };
    let leaf = prop_oneof![
        Just(json!({})),
        text().prop_map(|text| json!({ "stringValue": text })),
        any::<bool>().prop_map(|flag| json!({ "boolValue": flag })),
        any::<i64>().prop_map(|number| json!({ "intValue": number.to_string() })),
        any::<f64>().prop_map(move |number| json!({ "doubleValue": double(number) })),
        prop::sample::select(vec!["", "AA==", "+/+/", "bG9vbQ=="])
            .prop_map(|bytes| json!({ "bytesValue": bytes })),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let values = prop::collection::vec(inner.clone(), 0..3);
        let pairs = prop::collection::vec((text(), inner), 0..3);
        prop_oneof![
            values.prop_map(|values| json!({ "arrayValue": { "values": values } })),
            pairs.prop_map(|pairs| json!({ "kvlistValue": { "values": unique(pairs) } })),
        ]
    })
}

/// Keys of a list are unique, as OTLP demands.
fn unique(pairs: Vec<(String, Value)>) -> Vec<Value> {
    let numbered = pairs.into_iter().enumerate();
    let pair = |(at, (key, value))| json!({ "key": format!("{key}{at}"), "value": value });
    numbered.map(pair).collect()
}

/// Attributes: some that Loom reads and keeps in columns, and some that it does not know.
fn attributes() -> impl Strategy<Value = Vec<Value>> {
    let known = prop::sample::subsequence(
        vec![
            (
                "event_id",
                json!({ "stringValue": "0197f3a2-0b1c-7def-8123-456789abcdef" }),
            ),
            ("agent.id", json!({ "stringValue": "sensor-1" })),
            ("topic", json!({ "stringValue": "sensor.data" })),
            ("workflow.id", json!({ "intValue": "7" })),
            ("gen_ai.usage.input_tokens", json!({ "intValue": "12" })),
        ],
        0..3,
    );
    let unknown = prop::collection::vec((text(), any_value()), 0..4);
    (known, unknown).prop_map(|(known, unknown)| {
        let known = known.into_iter();
        let known = known.map(|(key, value)| json!({ "key": key, "value": value }));
        known.chain(unique(unknown)).collect()
    })
}

fn resource() -> impl Strategy<Value = Value> {
    (text(), attributes(), any::<u16>(), text()).prop_map(|(service, others, dropped, schema)| {
        let service = json!({ "key": "service.name", "value": { "stringValue": service } });
        let mut attributes = vec![service];
        attributes.extend(others);
        let resource = object([
            ("attributes", json!(attributes)),
            ("droppedAttributesCount", json!(dropped)),
        ]);
        json!({ "resource": resource, "schemaUrl": schema })
    })
}

fn scope() -> impl Strategy<Value = Value> {
    (text(), text(), attributes(), any::<u16>(), text()).prop_map(
        |(name, version, attributes, dropped, schema)| {
            let scope = object([
                ("name", json!(name)),
                ("version", json!(version)),
                ("attributes", json!(attributes)),
                ("droppedAttributesCount", json!(dropped)),
            ]);
            json!({ "scope": scope, "schemaUrl": schema })
        },
    )
}

fn id(digits: usize) -> impl Strategy<Value = String> {
    (1..u64::MAX).prop_map(move |id| format!("{id:0digits$x}"))
}

/// Times that the store can keep: until 2262.
fn time() -> impl Strategy<Value = String> {
    (0..i64::MAX.cast_unsigned()).prop_map(|time| time.to_string())
}

fn event() -> impl Strategy<Value = Value> {
    (time(), text(), attributes(), any::<u16>()).prop_map(|(time, name, attributes, dropped)| {
        object([
            ("timeUnixNano", json!(time)),
            ("name", json!(name)),
            ("attributes", json!(attributes)),
            ("droppedAttributesCount", json!(dropped)),
        ])
    })
}

fn link() -> impl Strategy<Value = Value> {
    (
        id(32),
        id(16),
        text(),
        attributes(),
        any::<u16>(),
        any::<u32>(),
    )
        .prop_map(|(trace, span, state, attributes, dropped, flags)| {
            object([
                ("traceId", json!(trace)),
                ("spanId", json!(span)),
                ("traceState", json!(state)),
                ("attributes", json!(attributes)),
                ("droppedAttributesCount", json!(dropped)),
                ("flags", json!(flags)),
            ])
        })
}

/// A span without its ids, as a map of fields that say something.
fn span() -> impl Strategy<Value = Map<String, Value>> {
    let head = (
        prop::option::of(id(16)),
        text(),
        any::<u32>(),
        text(),
        0..6_u8,
    );
    let body = (
        attributes(),
        prop::collection::vec(event(), 0..3),
        prop::collection::vec(link(), 0..3),
    );
    let dropped = (any::<u32>(), any::<u32>(), any::<u32>());
    let times = (time(), time());
    let status = (text(), 0..3_u8);
    (head, times, body, dropped, status).prop_map(|(head, times, body, dropped, status)| {
        let (parent, state, flags, name, kind) = head;
        let (attributes, events, links) = body;
        let status = object([("message", json!(status.0)), ("code", json!(status.1))]);
        let span = object([
            ("parentSpanId", json!(parent)),
            ("traceState", json!(state)),
            ("flags", json!(flags)),
            ("kind", json!(kind)),
            ("startTimeUnixNano", json!(times.0)),
            ("endTimeUnixNano", json!(times.1)),
            ("attributes", json!(attributes)),
            ("droppedAttributesCount", json!(dropped.0)),
            ("events", json!(events)),
            ("droppedEventsCount", json!(dropped.1)),
            ("links", json!(links)),
            ("droppedLinksCount", json!(dropped.2)),
            ("status", status),
        ]);
        let mut span = span.as_object().cloned().unwrap_or_default();
        // It is there always.
        span.insert("name".to_owned(), json!(name));
        span
    })
}

/// Spans, each with its resource and its scope.
pub(crate) type Told = Vec<(Value, Value, Map<String, Value>)>;

pub(crate) fn told() -> impl Strategy<Value = Told> {
    let owners = (
        prop::collection::vec(resource(), 1..3),
        prop::collection::vec(scope(), 1..3),
    );
    owners.prop_flat_map(|(resources, scopes)| {
        let one = (
            prop::sample::select(resources),
            prop::sample::select(scopes),
            span(),
        );
        prop::collection::vec(one, 1..6)
    })
}

/// One `resourceSpans` for each span, all of this trace.
pub(crate) fn request(trace: u128, told: &Told) -> Value {
    let groups = (1..).zip(told).map(|(at, (resource, scope, span))| {
        let mut span = span.clone();
        span.insert("traceId".to_owned(), json!(format!("{trace:032x}")));
        span.insert("spanId".to_owned(), json!(format!("{at:016x}")));
        let scope_spans = object([
            ("schemaUrl", scope["schemaUrl"].clone()),
            ("spans", json!([span])),
        ]);
        let mut scope_spans = scope_spans;
        scope_spans["scope"] = scope["scope"].clone();
        let mut resource_spans = object([
            ("schemaUrl", resource["schemaUrl"].clone()),
            ("scopeSpans", json!([scope_spans])),
        ]);
        resource_spans["resource"] = resource["resource"].clone();
        resource_spans
    });
    json!({ "resourceSpans": groups.collect::<Vec<_>>() })
}
