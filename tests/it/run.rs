//! `loom run`: processes in their order, restarted, and ended with all that they started.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use loom_tests::cli::run_in;
use loom_tests::process::{Guarded, command, loom, python, root};
use loom_tests::python::variables;
use loom_tests::server::TestServer;
use loom_tests::{cli::Said, eventually};

const ANY_PORTS: &str = "[server]\nephemeral = true\nbridge_addr = '127.0.0.1:0'\notlp_grpc_addr = '127.0.0.1:0'\n\
                         otlp_http_addr = '127.0.0.1:0'\nhttp_addr = '127.0.0.1:0'\ndrain_grace = '2s'\n";

fn project(agents: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(
        directory.path().join("loom.toml"),
        format!("{ANY_PORTS}{agents}"),
    )
    .expect("written");
    directory
}

fn run_project(directory: &Path, more: &[&str]) -> Said {
    run_in(directory, &[&["run"], more].concat(), Vec::new())
}

#[test]
fn the_demo_runs_until_its_traces_are_whole() {
    let demo = root().join("demo/trace-test");
    let interpreter = python();
    let environment = variables([
        ("LOOM_PYTHON", interpreter.to_str().expect("a path")),
        ("SENSOR_INTERVAL_S", "0.05"),
        ("LOOM_BRIDGE_ADDR", "127.0.0.1:0"),
        ("LOOM_OTLP_GRPC_ADDR", "127.0.0.1:0"),
        ("LOOM_OTLP_HTTP_ADDR", "127.0.0.1:0"),
        ("LOOM_HTTP_ADDR", "127.0.0.1:0"),
        ("LOOM_EPHEMERAL", "true"),
        // One name for all would make them one service.
        ("OTEL_SERVICE_NAME", "one-for-all"),
    ]);
    let said = run_in(
        &demo,
        &["run", "--until-traces", "2", "--for", "60s"],
        environment,
    );
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(
        said.err.matches("whole trace of 9 spans").count(),
        2,
        "{said:?}"
    );
    // Consumers before producers: not even the first reading is lost.
    assert!(
        said.out.contains("output-agent    | reading 1: "),
        "{said:?}"
    );
    assert!(said.err.contains("sensor-agent    | waits for"), "{said:?}");
}

#[test]
fn traces_that_do_not_come_are_code_5() {
    let directory = project("[agents.idle]\ncommand = 'sh'\nargs = ['-c', 'exec sleep 60']\n");
    let said = run_project(directory.path(), &["--until-traces", "1", "--for", "300ms"]);
    assert_eq!(said.code, Some(5), "{said:?}");
    assert!(
        said.err.contains("0 of 1 traces") && said.err.contains("agent-idle"),
        "{said:?}"
    );
}

#[test]
fn what_fails_is_started_again_and_what_ends_well_is_not() {
    let directory = project(
        "[agents.flaky]\ncommand = 'sh'\nargs = ['-c', 'if [ -e second ]; then echo good; else touch second; exit 7; fi']\n\
         [agents.done]\ncommand = 'sh'\nargs = ['-c', 'echo once; echo loud >&2']\n",
    );
    let said = run_project(directory.path(), &[]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.out.contains("flaky | good") && said.err.contains("exit status: 7"),
        "{said:?}"
    );
    assert_eq!(said.out.matches("done  | once").count(), 1, "{said:?}");
    assert!(
        said.err.contains("done  | loud"),
        "stderr stays stderr: {said:?}"
    );
}

#[test]
fn an_agent_that_may_not_be_started_again_makes_the_run_fail() {
    let directory =
        project("[agents.bad]\ncommand = 'sh'\nargs = ['-c', 'exit 3']\nrestart = 'never'\n");
    let said = run_project(directory.path(), &[]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let directory = project("[agents.missing]\ncommand = 'no-such-program-anywhere'\n");
    let said = run_project(directory.path(), &[]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.err.contains("no-such-program-anywhere")
            && said.err.contains("agents.missing.command"),
        "{said:?}"
    );
}

#[test]
fn a_directory_without_a_project_is_wrong_usage() {
    let empty = tempfile::tempdir().expect("a directory");
    let said = run_project(empty.path(), &[]);
    assert_eq!(said.code, Some(2), "{said:?}");
    let no_agents = project("");
    let said = run_project(no_agents.path(), &[]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("[agents.<id>]"), "{said:?}");
}

#[tokio::test]
async fn the_end_of_a_run_is_the_end_of_all_its_processes() {
    // A child that ignores the request, and a grandchild.
    let directory = project(
        "[agents.stubborn]\ncommand = 'sh'\nargs = ['-c', 'trap \"\" TERM; sleep 600 & echo $! > grandchild; echo $$ > child; wait; sleep 600']\n",
    );
    let mut process = Guarded(
        command(loom())
            .arg("run")
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("started"),
    );
    let id = async |file: &str| {
        let path = directory.path().join(file);
        eventually("the process says its id", async || {
            let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
            text.trim()
                .parse::<i32>()
                .map_err(|error| error.to_string())
        })
        .await
    };
    let ids = [id("grandchild").await, id("child").await];
    assert!(ids.iter().all(|id| is_alive(*id)));
    let status = process.terminate();
    assert_eq!(
        status.code(),
        Some(1),
        "an agent that had to be killed did not end well"
    );
    eventually("they are gone", async || {
        if ids.iter().any(|id| is_alive(*id)) {
            Err(ids)
        } else {
            Ok(())
        }
    })
    .await;
}

fn is_alive(id: i32) -> bool {
    let pid = rustix::process::Pid::from_raw(id).expect("an id");
    let zombie =
        fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| stat.contains(") Z "));
    rustix::process::test_kill_process(pid).is_ok() && !zombie
}

#[tokio::test]
async fn a_server_that_runs_is_used_and_left_running() {
    let server = TestServer::start();
    let directory = project(
        "[agents.reporter]\ncommand = 'sh'\nargs = ['-c', 'echo at $LOOM_ADDRESS to $OTEL_EXPORTER_OTLP_ENDPOINT as ${OTEL_SERVICE_NAME:-nobody}']\n",
    );
    let mut environment = server.environment();
    environment.retain(|(name, _)| name != "OTEL_EXPORTER_OTLP_ENDPOINT");
    environment.extend(variables([("OTEL_SERVICE_NAME", "one-for-all")]));
    let said = run_in(directory.path(), &["run"], environment);
    assert_eq!(said.code, Some(0), "{said:?}");
    let expected = format!(
        "reporter | at {} to {} as nobody",
        server.bridge_addr(),
        server.addresses().otlp_endpoint().expect("open")
    );
    assert!(said.out.contains(&expected), "{expected}: {said:?}");
    assert!(said.err.contains("a server runs at"), "{said:?}");
    server.stats().await;
}
