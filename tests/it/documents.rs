//! What the pages list is what the code has: names, variables, settings, codes.

use std::collections::BTreeSet;
use std::fs;

use loom_proto::code::CODES;
use loom_proto::semconv::{attribute, event, header, metric, span};
use loom_server::config::DEFAULT_FILE;
use loom_server::env;
use loom_tests::cli::run;
use loom_tests::process::root;
use loom_tests::python::PythonAgent;
use loom_tests::server::TestServer;

fn page(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name))
        .unwrap_or_else(|error| panic!("docs/{name}: {error}"))
}

/// Text as a cell shows it, without the marks of code around it.
fn cell(text: &str) -> String {
    text.trim().trim_matches('`').to_owned()
}

/// The rows of all tables of a page, each as its cells.
fn rows(page: &str) -> BTreeSet<Vec<String>> {
    let cells = |line: &str| -> Option<Vec<String>> {
        let inner = line.strip_prefix("| ")?.strip_suffix(" |")?;
        Some(inner.split(" | ").map(cell).collect())
    };
    page.lines()
        .filter_map(cells)
        .filter(|row| !row[0].starts_with("--"))
        .collect()
}

#[test]
fn the_page_of_names_has_every_name_and_its_meaning() {
    let rows = rows(&page("semconv.md"));
    let mut expected = BTreeSet::new();
    for names in [
        span::ALL,
        event::ALL,
        attribute::ALL,
        header::ALL,
        metric::ALL,
    ] {
        expected.extend(names.iter().map(|name| {
            vec![
                name.value.to_owned(),
                name.constant.to_owned(),
                cell(name.meaning),
            ]
        }));
    }
    let listed: BTreeSet<_> = rows
        .into_iter()
        .filter(|row| row[1] != "constant")
        .collect();
    let missing: Vec<_> = expected.difference(&listed).collect();
    let left_over: Vec<_> = listed.difference(&expected).collect();
    assert!(
        missing.is_empty() && left_over.is_empty(),
        "missing: {missing:#?}\nleft over: {left_over:#?}"
    );
}

#[test]
fn the_page_of_settings_has_every_variable() {
    let rows = rows(&page("configuration.md"));
    let expected: BTreeSet<_> = env::ALL
        .iter()
        .map(|variable| {
            vec![
                variable.name.to_owned(),
                variable.read_by.to_owned(),
                cell(variable.meaning),
            ]
        })
        .collect();
    let listed: BTreeSet<_> = rows
        .into_iter()
        .filter(|row| row.len() == 3 && row[0].chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .collect();
    let missing: Vec<_> = expected.difference(&listed).collect();
    let left_over: Vec<_> = listed.difference(&expected).collect();
    assert!(
        missing.is_empty() && left_over.is_empty(),
        "missing: {missing:#?}\nleft over: {left_over:#?}"
    );
}

#[test]
fn the_page_of_settings_shows_the_default_file_as_it_is() {
    let page = page("configuration.md");
    let shown = page
        .split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    assert_eq!(
        shown,
        Some(DEFAULT_FILE),
        "copy server/loom.default.toml into docs/configuration.md"
    );
}

#[test]
fn the_page_of_errors_has_every_code_with_its_faces() {
    let rows = rows(&page("errors.md"));
    for faces in CODES.iter().skip(1) {
        let row = rows.iter().find(|row| row[0] == faces.name);
        let row = row.unwrap_or_else(|| panic!("docs/errors.md has no row for {}", faces.name));
        let grpc = format!("{:?}", tonic::Code::from_i32(faces.grpc));
        assert_eq!(
            row[1..4],
            [grpc, faces.http.to_string(), faces.python.to_owned()],
            "{}",
            faces.name
        );
        assert!(
            row.len() == 5 && row[4].len() > 10,
            "{} says nothing about what to do",
            faces.name
        );
    }
    let codes: BTreeSet<_> = CODES.iter().map(|faces| faces.name).collect();
    let unknown: Vec<_> = rows
        .iter()
        .filter(|row| row.len() == 5 && row[0] != "code" && !codes.contains(&*row[0]))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut broken = Vec::new();
    let mut pages: Vec<_> = fs::read_dir(root().join("docs"))
        .expect("docs")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    pages.push(root().join("README.md"));
    for path in pages
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
    {
        let text = fs::read_to_string(path).expect("readable");
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let target = link.split('#').next().unwrap_or_default();
            let is_local = !target.is_empty() && !target.contains("://");
            if is_local && !path.parent().expect("a folder").join(target).exists() {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// The lines of the indented block that begins with `first`.
fn block(page: &str, first: &str) -> String {
    let indented = |line: &&str| line.is_empty() || line.starts_with("    ");
    let lines = page
        .lines()
        .skip_while(|line| line.trim() != first)
        .take_while(indented);
    lines
        .flat_map(|line| [line.strip_prefix("    ").unwrap_or(line), "\n"])
        .collect()
}

#[tokio::test]
async fn the_agents_on_the_first_pages_run_as_they_stand_there() {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    for text in [readme, page("quickstart.md")] {
        let script = block(&text, "from loom import Agent");
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("greeter.py");
        fs::write(&path, script).expect("written");
        let server = TestServer::start();
        let agent = PythonAgent::run(&path, server.environment());
        server.has_agent("greeter").await;
        let said = run(
            &["publish", "guest.arrived", "{\"name\": \"Ada\"}", "--json"],
            Some(&server),
        );
        assert_eq!(said.code, Some(0), "{said:?}");
        let id = said.json()["trace_id"].as_str().expect("an id").to_owned();
        let trace = server.trace(&id, 6).await;
        assert_eq!(trace.only("agent.on_event").service, "agent-greeter");
        let names: Vec<_> = trace.chain().iter().map(|span| span.name.clone()).collect();
        assert_eq!(
            names[3..],
            ["agent.on_event", "bridge.publish", "EventBus.publish"]
        );
        agent.stop();
    }
}
