//! What Jaeger's UI demands of an answer before it shows it, said again: its schemas of `/api/v3`, and what its trace page and
//! Grafana's data source read of the legacy shapes (jaeger-ui c321fb3, grafana-jaeger-datasource 13.0.1).

use serde_json::Value;

/// The list under `name`, which must be there.
fn list<'a>(json: &'a Value, name: &str) -> &'a Vec<Value> {
    json[name]
        .as_array()
        .unwrap_or_else(|| panic!("{name} must be a list: {json}"))
}

fn text<'a>(json: &'a Value, name: &str) -> &'a str {
    json[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} must be text: {json}"))
}

fn count(json: &Value, name: &str) -> u64 {
    json[name]
        .as_u64()
        .unwrap_or_else(|| panic!("{name} must be a number, not negative: {json}"))
}

fn hex(json: &Value, name: &str, digits: usize) {
    let id = text(json, name);
    let is_hex = id.bytes().all(|b| b.is_ascii_hexdigit());
    assert!(id.len() == digits && is_hex, "{name}: {id:?}");
}

/// An integer of 64 bits as protobuf's JSON has it.
fn decimal(json: &Value, name: &str) -> u64 {
    let digits = text(json, name);
    assert!(digits.bytes().all(|b| b.is_ascii_digit()), "{digits:?}");
    digits.parse().expect("64 bits")
}

/// `/api/v3/services`
pub(crate) fn services(json: &Value) {
    for name in list(json, "services") {
        assert!(name.is_string(), "{name}");
    }
}

/// `/api/v3/operations`
pub(crate) fn operations(json: &Value) {
    for operation in list(json, "operations") {
        text(operation, "name");
        let kind = text(operation, "spanKind");
        let kinds = ["internal", "server", "client", "producer", "consumer"];
        assert!(kinds.contains(&kind), "{kind:?}");
    }
}

/// `/api/v3/trace-summaries`
pub(crate) fn summaries(json: &Value) {
    for summary in list(json, "summaries") {
        hex(summary, "traceId", 32);
        text(summary, "rootServiceName");
        text(summary, "rootOperationName");
        let start = decimal(summary, "minStartTimeUnixNano");
        assert!(decimal(summary, "maxEndTimeUnixNano") >= start);
        for name in ["spanCount", "errorSpanCount", "orphanSpanCount"] {
            count(summary, name);
        }
        let services = list(summary, "services");
        let names: Vec<_> = services.iter().map(|one| text(one, "name")).collect();
        assert!(names.is_sorted(), "{names:?}");
        let sum = |name| services.iter().map(|one| count(one, name)).sum::<u64>();
        assert_eq!(sum("spanCount"), count(summary, "spanCount"));
        assert_eq!(sum("errorSpanCount"), count(summary, "errorSpanCount"));
    }
}

/// `/api/v3/traces` and `/api/v3/traces/{id}`
pub(crate) fn otlp(json: &Value) {
    for resource_spans in list(&json["result"], "resourceSpans") {
        assert!(resource_spans["resource"].is_object());
        for scope_spans in list(resource_spans, "scopeSpans") {
            assert!(scope_spans["scope"].is_object());
            for span in list(scope_spans, "spans") {
                hex(span, "traceId", 32);
                hex(span, "spanId", 16);
                if !span["parentSpanId"].is_null() {
                    hex(span, "parentSpanId", 16);
                }
                text(span, "name");
                decimal(span, "startTimeUnixNano");
                decimal(span, "endTimeUnixNano");
                assert!(span["kind"].is_null() || span["kind"].is_u64());
            }
        }
    }
}

/// An error of `/api/v3`
pub(crate) fn v3_error(status: u16, json: &Value) {
    let error = &json["error"];
    assert_eq!(error["httpCode"], status, "{json}");
    assert!(!text(error, "message").is_empty());
}

/// Every answer of the older family but its metrics
pub(crate) fn envelope(json: &Value) {
    list(json, "data");
    for name in ["total", "limit", "offset"] {
        count(json, name);
    }
    assert!(json["errors"].is_null() || json["errors"].is_array());
}

/// An error of the older family
pub(crate) fn legacy_error(status: u16, json: &Value) {
    assert!(json["data"].is_null(), "{json}");
    for name in ["total", "limit", "offset"] {
        assert_eq!(json[name], 0);
    }
    let errors = list(json, "errors");
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0]["code"], status, "{json}");
    assert!(!text(&errors[0], "msg").is_empty());
}

/// The `data` of `/api/traces`, `/api/traces/{id}` and `/api/transform`
pub(crate) fn legacy_traces(data: &Value) {
    for trace in data.as_array().expect("a list") {
        hex(trace, "traceID", 32);
        assert!(trace["warnings"].is_null() || trace["warnings"].is_array());
        for process in trace["processes"].as_object().expect("a map").values() {
            text(process, "serviceName");
            tags(list(process, "tags"));
        }
        for span in list(trace, "spans") {
            assert_eq!(span["traceID"], trace["traceID"]);
            hex(span, "spanID", 16);
            text(span, "operationName");
            count(span, "startTime");
            count(span, "duration");
            tags(list(span, "tags"));
            for reference in list(span, "references") {
                assert!(["CHILD_OF", "FOLLOWS_FROM"].contains(&text(reference, "refType")));
                hex(reference, "traceID", 32);
                hex(reference, "spanID", 16);
            }
            for log in list(span, "logs") {
                count(log, "timestamp");
                tags(list(log, "fields"));
            }
            let process = text(span, "processID");
            assert!(trace["processes"][process].is_object(), "{process}");
            assert!(span["warnings"].is_null() || span["warnings"].is_array());
        }
    }
}

fn tags(tags: &[Value]) {
    for tag in tags {
        text(tag, "key");
        let value = &tag["value"];
        let is_right = match text(tag, "type") {
            "string" | "binary" => value.is_string(),
            "bool" => value.is_boolean(),
            // As text where a browser would round it, or JSON has no number for it.
            "int64" => value.is_i64() || value.is_string(),
            "float64" => value.is_number() || value.is_string(),
            _ => false,
        };
        assert!(is_right, "{tag}");
    }
}

/// `/api/metrics/{latencies,calls,errors}`
pub(crate) fn metric_family(json: &Value) {
    let name = text(json, "name");
    let rest = name.strip_prefix("service_").expect("a name that it knows");
    let rest = rest.strip_prefix("operation_").unwrap_or(rest);
    assert!(
        ["latencies", "call_rate", "error_rate"].contains(&rest),
        "{name}"
    );
    assert_eq!(json["type"], "GAUGE");
    text(json, "help");
    for metric in list(json, "metrics") {
        // The UI takes the first one for the service.
        assert_eq!(metric["labels"][0]["name"], "service_name");
        for label in list(metric, "labels") {
            text(label, "name");
            text(label, "value");
        }
        for point in list(metric, "metricPoints") {
            let value = &point["gaugeValue"]["doubleValue"];
            assert!(value.is_number() || value == "NaN", "{point}");
            assert!(text(point, "timestamp").ends_with('Z'));
        }
    }
}
