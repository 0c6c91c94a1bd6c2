//! What comes in as OTLP/JSON goes out as the same OTLP/JSON, and as the same in Jaeger's JSON.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::jaeger_json::{expected, read_texts};
use crate::otlp_json::{request, told};
use crate::support::Server;

const CASES: u32 = 96;

/// Sends many traces to a server, one by one, and asks for each under `path`; `compare` gets what was sent and what came.
fn each_trace(path: &str, compare: impl Fn(&Value, &Value) -> Result<(), TestCaseError>) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let server = runtime.block_on(Server::start());
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let trace = Cell::new(0_u128);
    let result = TestRunner::new(config).run(&told(), |told| {
        trace.set(trace.get() + 1);
        let sent = request(trace.get(), &told);
        let (status, answer) = runtime.block_on(async {
            let headers = ["Content-Type: application/json"];
            let taken = server.post(&headers, sent.to_string().as_bytes()).await;
            assert_eq!(taken.status, 200, "{}", taken.body);
            assert_eq!(taken.body, "{}", "all spans are taken");
            server.flush().await;
            server.get(&format!("{path}/{:x}", trace.get())).await
        });
        prop_assert_eq!(status, 200, "{}", answer);
        compare(&sent, &answer)
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn what_came_in_goes_out() {
    each_trace("/api/v3/traces", |sent, answer| {
        let got = apart(&answer["result"]);
        let expected = apart(sent);
        prop_assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(&expected) {
            prop_assert_eq!(got, expected);
        }
        Ok(())
    });
}

#[test]
fn jaegers_json_says_the_same() {
    each_trace("/api/traces", |sent, answer| {
        let trace = &answer["data"][0];
        let mut spans = trace["spans"].as_array().cloned().unwrap_or_default();
        for span in &mut spans {
            // What a span says of its process by a name of the trace's.
            let process = span["processID"].as_str().unwrap_or_default().to_owned();
            span["processID"] = trace["processes"][process].clone();
        }
        spans.sort_by_key(|span| span["spanID"].to_string());
        let sent = apart(sent);
        prop_assert_eq!(spans.len(), sent.len());
        for (mut got, sent) in spans.into_iter().zip(&sent) {
            let mut expected = expected(sent);
            read_texts(&mut expected);
            read_texts(&mut got);
            prop_assert_eq!(got, expected);
        }
        Ok(())
    });
}

/// The spans of an answer, each in a `resourceSpans` of its own, by id.
fn apart(data: &Value) -> Vec<Value> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut apart = Vec::new();
    for resource_spans in list(&data["resourceSpans"]) {
        for scope_spans in list(&resource_spans["scopeSpans"]) {
            for span in list(&scope_spans["spans"]) {
                let mut one = resource_spans.clone();
                one["scopeSpans"] = json!([scope_spans]);
                one["scopeSpans"][0]["spans"] = json!([span]);
                apart.push(one);
            }
        }
    }
    let id = |one: &Value| one["scopeSpans"][0]["spans"][0]["spanId"].to_string();
    apart.sort_by_key(id);
    apart
}
