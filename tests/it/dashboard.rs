//! The dashboard inside of the binary: what was built last, served to browsers, and closed to strangers.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use loom_tests::http;
use loom_tests::process::root;
use loom_tests::server::{Options, TestServer};
use sha2::{Digest as _, Sha256};

/// With a character that ends a cookie.
const TOKEN: &str = "0123456789;abcdef";

/// The rule of `dashboard/scripts/fingerprint.mjs`.
#[test]
fn the_committed_build_is_of_the_committed_sources() {
    let dashboard = root().join("dashboard");
    let mut sources: Vec<String> = [
        "index.html",
        "package.json",
        "package-lock.json",
        "tsconfig.json",
        "vite.config.ts",
    ]
    .map(str::to_owned)
    .into();
    for folder in ["public", "src"] {
        add_files(&dashboard, folder, &mut sources);
    }
    let is_test = |path: &str| path.ends_with(".test.ts") || path.ends_with(".test.tsx");
    sources.retain(|path| !is_test(path) && path != "src/trace/fixture.ts");
    sources.sort_unstable();
    let mut hash = Sha256::new();
    for path in &sources {
        let content = fs::read(dashboard.join(path)).expect("readable");
        hash.update(format!("{path}\0{}\0", content.len()));
        hash.update(content);
    }
    let built = fs::read_to_string(dashboard.join("dist.sha256")).expect("readable");
    assert_eq!(
        built.trim(),
        hex(hash),
        "dashboard/dist is not what dashboard/src would build: run `make ui` and commit both"
    );
}

/// `dashboard/scripts/openapi/stamp.mjs` writes it.
#[test]
fn the_committed_types_are_of_the_committed_description() {
    let description = fs::read(root().join("docs/openapi.json")).expect("readable");
    let stamp = root().join("dashboard/src/api/generated/openapi.sha256");
    assert_eq!(
        fs::read_to_string(stamp).expect("readable").trim(),
        hex(Sha256::new().chain_update(description)),
        "dashboard/src/api/generated is not of docs/openapi.json: run `npm run generate` in dashboard, then `make ui`, and commit it"
    );
}

fn hex(hash: Sha256) -> String {
    let mut text = String::new();
    for byte in hash.finalize() {
        write!(text, "{byte:02x}").expect("room");
    }
    text
}

fn add_files(top: &Path, folder: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(top.join(folder)).expect("readable") {
        let entry = entry.expect("readable");
        let name = entry.file_name().into_string().expect("UTF-8");
        let path = format!("{folder}/{name}");
        if entry.file_type().expect("known").is_dir() {
            add_files(top, &path, found);
        } else {
            found.push(path);
        }
    }
}

/// The answer to one request: head and body.
fn ask(server: &TestServer, request: &str, headers: &str, body: &str) -> (String, String) {
    let answer = http::ask(server, request, headers, body);
    (answer.head, answer.body)
}

#[test]
fn pages_and_files_are_served_under_a_strict_policy() {
    let server = TestServer::start();
    for path in [
        "/",
        "/traces",
        "/traces/0af7651916cd43dd8448eb211c80319c",
        "/agents/a.b",
    ] {
        let (head, body) = ask(&server, &format!("GET {path}"), "", "");
        assert!(head.contains(" 200 "), "{path}: {head}");
        assert!(body.contains("<div id=\"root\">"), "{path}: {body}");
        for header in [
            "content-type: text/html; charset=utf-8",
            "content-security-policy: default-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "cache-control: no-cache",
        ] {
            assert!(head.contains(header), "{path} lacks {header}: {head}");
        }
    }
    let (head, body) = ask(&server, "GET /api/v1/nothing", "", "");
    assert!(head.contains(" 404 ") && body.starts_with('{'), "{head}");
    let (head, _) = ask(&server, "GET /assets/nothing.js", "", "");
    assert!(head.contains(" 404 "), "{head}");
    let (head, _) = ask(&server, "POST /traces", "", "{}");
    assert!(head.contains(" 405 "), "{head}");
}

#[test]
fn a_browser_shows_the_token_once_and_a_cookie_afterwards() {
    let server = TestServer::with(Options {
        environment: vec![("LOOM_TOKEN".to_owned(), TOKEN.to_owned())],
        ..Options::default()
    });
    let (head, _) = ask(&server, "GET /", "", "");
    assert!(
        head.contains(" 200 "),
        "the app itself is nobody's secret: {head}"
    );
    let (head, body) = ask(&server, "GET /api/v1/info", "", "");
    assert!(
        head.contains(" 401 ") && body.contains("\"code\":\"unauthorized\""),
        "{head}{body}"
    );

    let (head, _) = ask(&server, "POST /api/v1/session", "", "{\"token\":\"wrong\"}");
    assert!(head.contains(" 401 "), "{head}");
    let foreign = "Origin: http://evil.example\r\n";
    let shown = format!("{{\"token\":\"{TOKEN}\"}}");
    let (head, _) = ask(&server, "POST /api/v1/session", foreign, &shown);
    assert!(head.contains(" 403 "), "{head}");
    let (head, _) = ask(&server, "POST /api/v1/session", "", &shown);
    assert!(head.contains(" 204 "), "{head}");
    let cookie = head
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))
        .expect("a cookie");
    assert!(
        cookie.contains("httponly") && cookie.contains("samesite=strict"),
        "{cookie}"
    );
    assert!(!cookie.contains(TOKEN), "{cookie}");

    let value = cookie.split(';').next().expect("a value");
    let (head, _) = ask(
        &server,
        "GET /api/v1/info",
        &format!("Cookie: {value}\r\n"),
        "",
    );
    assert!(head.contains(" 200 "), "{head}");
    let (head, _) = ask(&server, "GET /api/v1/info", "Cookie: loom_token=00\r\n", "");
    assert!(head.contains(" 401 "), "{head}");
    let (head, _) = ask(&server, "DELETE /api/v1/session", "", "");
    assert!(head.contains("max-age=0"), "{head}");
}
