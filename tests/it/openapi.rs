//! The description of the API, as the server gives it, is the one that is committed.

use std::collections::BTreeSet;
use std::{env, fs};

use loom_tests::http::ask;
use loom_tests::process::root;
use loom_tests::server::TestServer;
use serde_json::Value;

/// `make gen` writes it.
const COMMITTED: &str = "docs/openapi.json";

#[test]
fn the_description_is_the_committed_one() {
    let server = TestServer::start();
    let answer = ask(&server, "GET /api/v1/openapi.json", "", "");
    assert_eq!(answer.status, 200);
    let served = answer.json();
    let path = root().join(COMMITTED);
    if env::var_os("LOOM_REGENERATE").is_some() {
        let text = serde_json::to_string_pretty(&served).expect("JSON");
        fs::write(&path, text + "\n").expect("written");
        return;
    }
    let committed = fs::read_to_string(&path).expect("readable");
    let committed: Value = serde_json::from_str(&committed).expect("JSON");
    assert!(
        committed == served,
        "{COMMITTED} is not what the server says of itself: run `make gen` and commit it"
    );
}

#[test]
fn every_operation_says_what_it_is_and_how_it_fails() {
    let server = TestServer::start();
    let served = ask(&server, "GET /api/v1/openapi.json", "", "").json();
    assert_eq!(served["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    let paths = served["paths"].as_object().expect("paths");
    for (path, methods) in paths {
        assert!(path.starts_with("/api/v1/"), "{path}");
        for (method, operation) in methods.as_object().expect("methods") {
            let id = operation["operationId"].as_str().expect("an id");
            assert!(ids.insert(id.to_owned()), "two operations are {id}");
            assert!(operation["summary"].is_string(), "{method} {path}");
            assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1));
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = &parameter["name"];
                assert!(parameter["description"].is_string(), "{path}: {name}");
            }
        }
    }
    // References that lead nowhere make the whole document unreadable for whoever generates from it.
    let text = served.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().expect("a name");
        assert!(
            served["components"]["schemas"][name].is_object(),
            "{name} is referred to, and not there"
        );
    }
}
