//! The description of the API, as the server gives it, is the one that is committed.

use std::collections::BTreeSet;
use std::{env, fs};

use loom_tests::http::ask;
use loom_tests::process::root;
use loom_tests::server::TestServer;
use serde_json::Value;

/// Fields that an answer may leave out, and how requests are written.
const NOT_ALWAYS_SENT: [&str; 6] = [
    "Payload.payload",
    "Payload.payload_hex",
    "Payload.payload_text",
    "ProblemDetails.errors",
    "ProblemDetails.instance",
    "WhichLetters.letter_ids",
];
/// Objects in which users say what they want.
const OPEN: [&str; 5] = [
    "attributes",
    "input_schema",
    "metadata",
    "payload",
    "resource",
];

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

/// Fields by the schema that they stand in, with what is said of them, and whether they are always there.
fn fields(description: &Value) -> Vec<(String, &str, &Value, bool)> {
    fn add<'a>(name: &str, schema: &'a Value, found: &mut Vec<(String, &'a str, &'a Value, bool)>) {
        let required = schema["required"].as_array();
        for (field, said) in schema["properties"].as_object().into_iter().flatten() {
            let is_required = required.is_some_and(|all| all.iter().any(|one| one == field));
            found.push((format!("{name}.{field}"), field, said, is_required));
        }
        let parts = [&schema["allOf"], &schema["oneOf"]].into_iter();
        for part in parts.filter_map(Value::as_array).flatten() {
            add(name, part, found);
        }
    }
    let mut found = Vec::new();
    let schemas = description["components"]["schemas"].as_object();
    for (name, schema) in schemas.expect("schemas") {
        add(name, schema, &mut found);
    }
    found
}

#[test]
fn answers_leave_nothing_out_and_nothing_open() {
    let server = TestServer::start();
    let served = ask(&server, "GET /api/v1/openapi.json", "", "").json();
    let fields = fields(&served);
    let optional = fields.iter().filter(|(.., is_required)| !is_required);
    let optional: Vec<_> = optional.map(|(name, ..)| name.as_str()).collect();
    assert_eq!(optional, NOT_ALWAYS_SENT);
    for (name, field, said, _) in &fields {
        let kinds = match &said["type"] {
            Value::Array(kinds) => kinds.clone(),
            kind => vec![kind.clone()],
        };
        let is_described = [
            "properties",
            "additionalProperties",
            "$ref",
            "oneOf",
            "allOf",
        ];
        let is_described = is_described.iter().any(|key| said[key] != Value::Null);
        let is_bare = kinds.iter().any(|kind| kind == "object" || kind.is_null());
        assert!(
            is_described || !is_bare || OPEN.contains(field),
            "{name} may be anything: {said}"
        );
    }
}
