//! What a span of OTLP/JSON is in Jaeger's JSON, said once more from the documents: Jaeger's translator of OTLP, and the rules of
//! OpenTelemetry for exporters that are not OTLP. It knows nothing of Loom's code.

use serde_json::{Value, json};

/// The largest integer that a browser reads as it is.
const MAX_SAFE: u64 = 1 << 53;

/// The one span of this `resourceSpans`, with its process in the place of the name of one. What is JSON in a text is that JSON
/// itself, see [`read_texts`].
pub(crate) fn expected(resource_spans: &Value) -> Value {
    let scope = &resource_spans["scopeSpans"][0]["scope"];
    let span = &resource_spans["scopeSpans"][0]["spans"][0];
    let start = number(&span["startTimeUnixNano"]);
    let end = number(&span["endTimeUnixNano"]);
    let warnings = (end < start)
        .then(|| json!(["the span ends before it starts; its duration is shown as 0"]));
    json!({
        "traceID": span["traceId"],
        "spanID": span["spanId"],
        "flags": number(&span["flags"]) & 1,
        "operationName": span["name"],
        "references": references(span),
        "startTime": start / 1_000,
        "duration": end.saturating_sub(start) / 1_000,
        "tags": span_tags(span, scope),
        "logs": list(&span["events"]).iter().map(log).collect::<Vec<_>>(),
        "processID": process(&resource_spans["resource"]),
        "warnings": warnings,
    })
}

/// Reads every text that is a list or a map of JSON: the order of a map's keys does not matter.
pub(crate) fn read_texts(value: &mut Value) {
    match value {
        Value::String(text) if text.starts_with(['[', '{']) => {
            if let Ok(read) = serde_json::from_str(text) {
                *value = read;
                read_texts(value);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(read_texts),
        Value::Object(map) => map.values_mut().for_each(read_texts),
        _ => {}
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// An integer as JSON has it, as text, or not at all.
fn number(value: &Value) -> u64 {
    let text = value.as_str().map(|text| text.parse().expect("digits"));
    text.or(value.as_u64()).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn process(resource: &Value) -> Value {
    let (names, others): (Vec<_>, Vec<_>) = list(&resource["attributes"])
        .iter()
        .partition(|pair| pair["key"] == "service.name");
    let name = names
        .first()
        .map(|pair| text(&pair["value"]["stringValue"]));
    let name = name.filter(|name| !name.is_empty());
    json!({
        "serviceName": name.unwrap_or("OTLPResourceNoServiceName"),
        "tags": others.into_iter().map(tag).collect::<Vec<_>>(),
    })
}

fn references(span: &Value) -> Vec<Value> {
    let reference = |kind: &str, trace: &Value, span: &Value| json!({ "refType": kind, "traceID": trace, "spanID": span });
    let parent = &span["parentSpanId"];
    let mut references = Vec::new();
    if parent.is_string() {
        references.push(reference("CHILD_OF", &span["traceId"], parent));
    }
    for link in list(&span["links"]) {
        references.push(reference("FOLLOWS_FROM", &link["traceId"], &link["spanId"]));
    }
    references
}

fn span_tags(span: &Value, scope: &Value) -> Vec<Value> {
    let mut tags: Vec<_> = list(&span["attributes"]).iter().map(tag).collect();
    let mut add = |key: &str, text: &str| {
        if !text.is_empty() {
            tags.push(json!({ "key": key, "type": "string", "value": text }));
        }
    };
    add("otel.scope.name", text(&scope["name"]));
    add("otel.scope.version", text(&scope["version"]));
    let kinds = ["", "internal", "server", "client", "producer", "consumer"];
    add("span.kind", kinds[number(&span["kind"]) as usize]);
    let code = number(&span["status"]["code"]);
    add("otel.status_code", ["", "OK", "ERROR"][code as usize]);
    add("otel.status_description", text(&span["status"]["message"]));
    add("w3c.tracestate", text(&span["traceState"]));
    if code == 2 {
        tags.push(json!({ "key": "error", "type": "bool", "value": true }));
    }
    tags
}

fn log(event: &Value) -> Value {
    let name = json!({ "key": "event", "type": "string", "value": text(&event["name"]) });
    let mut fields = vec![name];
    fields.extend(list(&event["attributes"]).iter().map(tag));
    json!({ "timestamp": number(&event["timeUnixNano"]) / 1_000, "fields": fields })
}

fn tag(pair: &Value) -> Value {
    let (kind, value) = typed(&pair["value"]);
    json!({ "key": pair["key"], "type": kind, "value": value })
}

fn typed(value: &Value) -> (&'static str, Value) {
    let Some((kind, value)) = value.as_object().and_then(|one| one.iter().next()) else {
        return ("string", json!(""));
    };
    match kind.as_str() {
        "stringValue" => ("string", value.clone()),
        "boolValue" => ("bool", value.clone()),
        "intValue" => {
            let number: i64 = text(value).parse().expect("64 bits");
            let is_safe = number.unsigned_abs() <= MAX_SAFE;
            (
                "int64",
                if is_safe {
                    json!(number)
                } else {
                    value.clone()
                },
            )
        }
        "doubleValue" => match text(value) {
            "" => ("float64", value.clone()),
            "NaN" => ("float64", json!("NaN")),
            "Infinity" => ("float64", json!("inf")),
            _ => ("float64", json!("-inf")),
        },
        "bytesValue" => ("binary", value.clone()),
        _ => ("string", plain(kind, value)),
    }
}

/// A list or a map as plain JSON. What JSON has no number for is text, and bytes are base64.
fn plain(kind: &str, value: &Value) -> Value {
    let inner = |value: &Value| match value.as_object().and_then(|one| one.iter().next()) {
        None => Value::Null,
        Some((kind, value)) => plain(kind, value),
    };
    match kind {
        "arrayValue" => list(&value["values"]).iter().map(inner).collect(),
        "kvlistValue" => {
            let pairs = list(&value["values"]).iter();
            let map: serde_json::Map<_, _> = pairs
                .map(|pair| (text(&pair["key"]).to_owned(), inner(&pair["value"])))
                .collect();
            map.into()
        }
        "intValue" => {
            let number: i64 = text(value).parse().expect("64 bits");
            let is_safe = number.unsigned_abs() < MAX_SAFE;
            if is_safe {
                json!(number)
            } else {
                value.clone()
            }
        }
        "doubleValue" if value.is_string() => json!(text(value).replace("Infinity", "inf")),
        _ => value.clone(),
    }
}
