//! Executions with real agents: each state as the API, the command and the store have it.

use loom_proto::v1;
use loom_tests::agent::{RawAgent, event, hello};
use loom_tests::cli::run;
use loom_tests::eventually::eventually;
use loom_tests::python::PythonAgent;
use loom_tests::server::TestServer;
use rustix::process::Signal;
use serde_json::Value;

/// Handles a reading, fails on the next, sleeps over another, and ends with the last.
const AGENT: &str = r#"
import asyncio
import loom

async def main() -> None:
    agent = loom.Agent("worker")
    end = asyncio.Event()

    @agent.on("work.>")
    async def handle(ctx: loom.Context, topic: str, event: loom.Event) -> None:
        if topic == "work.bad":
            raise ValueError("no such reading")
        if topic == "work.end":
            end.set()

    @agent.on("slow", timeout=0.05)
    async def sleep(ctx: loom.Context, topic: str, event: loom.Event) -> None:
        await asyncio.sleep(3600)

    async with agent:
        for topic in ("slow", "work.good", "work.bad", "work.end"):
            await agent.emit(topic, correlation_id="c-1")
        await end.wait()

asyncio.run(main())
"#;

/// A member of the group `workers`. With `HOLD` it keeps what it gets, and says so.
const WORKER: &str = r#"
import asyncio
import os
import loom

agent = loom.Agent(os.environ["NAME"], heartbeat_timeout=1)

@agent.on("orders.>", ack=True, group="workers")
async def handle(ctx: loom.Context, topic: str, event: loom.Event) -> None:
    if "HOLD" in os.environ and event.text() != "first":
        print("holds", event.text(), flush=True)
        await asyncio.Event().wait()
    print("handled", event.text(), event.attempt, flush=True)

agent.run()
"#;

async fn get(server: &TestServer, path: &str) -> Value {
    server.http().get_json(path).await.expect("an answer")
}

fn field<'a>(list: &'a Value, name: &str) -> Vec<&'a str> {
    let items = list["items"].as_array().expect("items");
    items
        .iter()
        .filter_map(|item| item[name].as_str())
        .collect()
}

/// Runs a script of the agent `worker` to its end.
fn run_agent(server: &TestServer, script: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("agent.py");
    std::fs::write(&path, script).expect("written");
    let mut agent = PythonAgent::run(&path, server.environment());
    let status = agent.wait();
    assert!(status.success(), "{status}: {}", agent.log());
}

#[tokio::test]
async fn what_has_run_is_listed_counted_and_shown() {
    let server = TestServer::start();
    let said = run(&["executions", "ls"], Some(&server));
    assert!(said.code == Some(0) && said.out.is_empty() && said.err.contains("no such execution"));

    run_agent(&server, AGENT);
    let list = eventually("all are stored", async || {
        let path = "/api/v1/executions?agent=worker&state=COMPLETED&state=FAILED";
        let list = get(&server, path).await;
        if field(&list, "state").len() == 3 {
            Ok(list)
        } else {
            Err(list)
        }
    })
    .await;
    // The newest first.
    assert_eq!(
        field(&list, "operation"),
        ["work.end", "work.bad", "work.good"]
    );
    assert_eq!(field(&list, "state"), ["COMPLETED", "FAILED", "COMPLETED"]);
    assert_eq!(list["truncated"], false);
    let failed = &list["items"][1];
    assert_eq!(failed["error_message"], "ValueError: no such reading");
    assert_eq!(failed["correlation_id"], "c-1");
    let late = eventually("the one that slept is stored", async || {
        let list = get(&server, "/api/v1/executions?state=TIMEOUT").await;
        if field(&list, "state").is_empty() {
            Err(list)
        } else {
            Ok(list)
        }
    })
    .await;
    assert_eq!(field(&late, "operation"), ["slow"]);
    let counts = get(&server, "/api/v1/executions/states").await;
    assert_eq!(
        (&counts["states"]["COMPLETED"], &counts["states"]["FAILED"]),
        (&2.into(), &1.into())
    );

    // Page by page it is the same.
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = get(
            &server,
            &format!("/api/v1/executions?state=COMPLETED&state=FAILED&limit=1&cursor={cursor}"),
        )
        .await;
        seen.extend(field(&page, "execution_id").into_iter().map(str::to_owned));
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        next.clone_into(&mut cursor);
    }
    assert_eq!(seen, field(&list, "execution_id"));

    // Its id is that of the span that handed it over.
    let id = failed["execution_id"].as_str().expect("an id");
    let trace = failed["trace_id"].as_str().expect("a trace");
    // agent.emit, bridge.publish, EventBus.publish, bridge.forward, agent.on_event
    let trace = server.trace(trace, 5).await;
    assert_eq!(trace.only("bridge.forward").span_id, id);
    let shown = run(&["executions", "show", id, "--json"], Some(&server)).json();
    assert_eq!(
        (&shown["state"], &shown["metadata"]["topic"]),
        (&"FAILED".into(), &"work.bad".into())
    );
    let timing = &shown["timing"];
    assert!(
        timing["total_ms"].is_f64() && timing["queue_wait_ms"].is_f64(),
        "{timing}"
    );
    assert_eq!(timing["llm_ms"], 0.0);
    let said = run(&["executions", "show", id], Some(&server));
    assert!(
        said.out.contains("metadata.error.type") && said.out.contains("ValueError"),
        "{said:?}"
    );

    assert!(said.out.contains("timing.queue_wait_ms"), "{said:?}");

    let said = run(&["executions", "ls", "--state", "failed"], Some(&server));
    assert!(
        said.out.contains(id) && said.err.contains("1 FAILED"),
        "{said:?}"
    );
    assert!(!said.out.contains("work.good"), "{said:?}");
}

#[tokio::test]
async fn what_cannot_be_meant_and_what_is_not_there_have_codes() {
    let server = TestServer::start();
    for (arguments, code) in [
        (&["executions"][..], 2),
        (&["executions", "ls", "--state", "ZOMBIE"], 2),
        (&["executions", "show", "xyz"], 2),
        (&["executions", "show", "00f067aa0ba902b7"], 4),
        (&["executions", "ls", "--http", "127.0.0.1:1"], 3),
    ] {
        assert_eq!(
            run(arguments, Some(&server)).code,
            Some(code),
            "{arguments:?}"
        );
    }
    let refused = server
        .http()
        .get_json::<Value>("/api/v1/executions?state=ZOMBIE")
        .await;
    assert!(
        refused
            .expect_err("refused")
            .to_string()
            .contains("is no state")
    );
}

#[tokio::test]
async fn an_open_call_runs_until_it_is_answered() {
    let server = TestServer::start();
    let mut provider = RawAgent::connect(
        server.bridge_addr(),
        v1::Hello {
            capabilities: vec![v1::Capability {
                name: "calc.add".to_owned(),
                ..v1::Capability::default()
            }],
            ..hello("calculator", &[])
        },
    )
    .await;
    let caller = RawAgent::connect(server.bridge_addr(), hello("caller", &[])).await;
    caller
        .send(v1::ClientEvent {
            call: vec![v1::ActionCall {
                call_id: 1,
                capability: "calc.add".to_owned(),
                ..v1::ActionCall::default()
            }],
            ..v1::ClientEvent::default()
        })
        .await;
    let call = provider.call().await;
    let open = get(&server, "/api/v1/executions?state=RUNNING&agent=calculator").await;
    assert_eq!(field(&open, "operation"), ["calc.add"]);
    let id = field(&open, "execution_id")[0].to_owned();
    let traceparent = call.headers.get("traceparent").expect("a context");
    assert!(traceparent.contains(&id), "{traceparent}");
    let shown = get(&server, &format!("/api/v1/executions/{id}")).await;
    assert_eq!(
        (&shown["state"], &shown["end_time"]),
        (&"RUNNING".into(), &Value::Null)
    );

    provider
        .send(v1::ClientEvent {
            reply: vec![v1::ActionReply {
                call_id: call.call_id,
                outcome: Some(v1::action_reply::Outcome::Result("3".into())),
                ..v1::ActionReply::default()
            }],
            ..v1::ClientEvent::default()
        })
        .await;
    eventually("nothing runs", async || {
        let open = get(&server, "/api/v1/executions?state=RUNNING").await;
        if field(&open, "state").is_empty() {
            Ok(())
        } else {
            Err(open)
        }
    })
    .await;
}

/// Two workers, of which the first holds four orders; what happens to it, and who handles them then.
async fn held_by_one_handled_by_other(
    server: &TestServer,
    lose: impl FnOnce(PythonAgent) -> Option<PythonAgent>,
) -> Option<PythonAgent> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("worker.py");
    std::fs::write(&path, WORKER).expect("written");
    let start = |name: &str, hold: bool| {
        let mut environment = server.environment();
        environment.push(("NAME".to_owned(), name.to_owned()));
        environment.extend(hold.then(|| ("HOLD".to_owned(), "1".to_owned())));
        PythonAgent::run(&path, environment)
    };
    let one = start("one", true);
    server.has_agent("one").await;
    let shop = RawAgent::connect(server.bridge_addr(), hello("shop", &[])).await;
    let order = |text: String| v1::Event {
        payload: text.into(),
        ..event("orders.new", "")
    };
    // An agent that has never told of a handler is not missed: it may only listen.
    shop.publish(vec![order("first".to_owned())]).await;
    eventually("the first worker has told of a handler", async || {
        let list = get(server, "/api/v1/executions?agent=one&state=COMPLETED").await;
        if field(&list, "state").len() == 1 {
            Ok(())
        } else {
            Err(list)
        }
    })
    .await;
    shop.publish((0..4).map(|number| order(number.to_string())).collect())
        .await;
    let lines = |log: &str, what: &str| log.lines().filter(|line| line.contains(what)).count();
    eventually("the first worker holds all", async || {
        let log = one.log();
        if lines(&log, "holds") == 4 {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;

    let open = eventually("they are known as running", async || {
        let open = get(server, "/api/v1/executions?agent=one&state=RUNNING").await;
        if field(&open, "state").len() == 4 {
            Ok(open)
        } else {
            Err(open)
        }
    })
    .await;
    let counts = get(server, "/api/v1/executions/states?agent=one").await;
    assert_eq!(counts["states"]["RUNNING"], 4, "{counts}");
    let held: Vec<_> = field(&open, "execution_id")
        .into_iter()
        .map(str::to_owned)
        .collect();

    let other = start("other", false);
    server.has_agent("other").await;
    let one = lose(one);
    eventually("the other one handles all", async || {
        let log = other.log();
        if lines(&log, "handled") == 4 {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    for number in 0..4 {
        let line = format!("handled {number} 2");
        assert_eq!(lines(&other.log(), &line), 1, "{}", other.log());
    }
    server.has_not_agent("one").await;
    let list = eventually("what it handled is stored", async || {
        let list = get(server, "/api/v1/executions?agent=other&state=COMPLETED").await;
        if field(&list, "state").len() == 4 {
            Ok(list)
        } else {
            Err(list)
        }
    })
    .await;
    let items = list["items"].as_array().expect("items");
    assert!(items.iter().all(|item| item["attempt"] == 2), "{list}");
    // The runtime tells the end of what the lost process can tell no more, under the id that it had.
    for id in held {
        let path = format!("/api/v1/executions/{id}");
        eventually("the held ones are dead", async || {
            // It is unknown until the runtime has told.
            let execution: Result<Value, _> = server.http().get_json(&path).await;
            let execution = execution.map_err(|error| error.to_string())?;
            if execution["state"] == "DEAD" {
                Ok(())
            } else {
                Err(execution.to_string())
            }
        })
        .await;
    }
    other.stop();
    one
}

fn with_orders(directory: &std::path::Path) -> TestServer {
    TestServer::keeping("[streams.orders]\ntopics = [\"orders.>\"]\n", directory)
}

#[tokio::test]
async fn what_a_killed_agent_had_in_hand_is_handled_by_another() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = with_orders(directory.path());
    let lost = held_by_one_handled_by_other(&server, |one| {
        one.kill();
        None
    });
    lost.await;
}

#[tokio::test]
async fn a_frozen_agent_is_lost_and_comes_back_when_it_thaws() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = with_orders(directory.path());
    let one = held_by_one_handled_by_other(&server, |one| {
        one.signal(Signal::STOP);
        Some(one)
    });
    let one = one.await.expect("it is only frozen");
    one.signal(Signal::CONT);
    server.has_agent("one").await;
    // What it still held of its old connection is nobody's concern: everything is handled.
    assert_eq!(
        server
            .metric("loom_group_lag{stream=\"orders\",group=\"workers\"}")
            .await,
        0
    );
    one.stop();
}
