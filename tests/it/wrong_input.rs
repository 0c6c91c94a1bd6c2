//! Wrong input gets a clear error each, and nobody else is disturbed.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use loom_proto::{Code, Frame, v1};
use loom_tests::agent::{RawAgent, event, hello};
use loom_tests::cli::{run, run_in};
use loom_tests::eventually;
use loom_tests::eventually::PATIENCE;
use loom_tests::python::{PythonAgent, variables};
use loom_tests::server::{Options, TestServer};
use tonic::Status;

fn code(status: &Status) -> &str {
    status
        .metadata()
        .get("loom-code")
        .and_then(|code| code.to_str().ok())
        .unwrap_or("none")
}

fn field(status: &Status) -> &str {
    status
        .metadata()
        .get("loom-field")
        .and_then(|field| field.to_str().ok())
        .unwrap_or("none")
}

/// A pair that must still work after whatever was done to the server.
struct Bystanders {
    publisher: RawAgent,
    listener: RawAgent,
}

impl Bystanders {
    async fn arrive(server: &TestServer) -> Self {
        let listener = RawAgent::connect(
            server.bridge_addr(),
            hello("bystander-listener", &["quiet.>"]),
        )
        .await;
        let publisher =
            RawAgent::connect(server.bridge_addr(), hello("bystander-publisher", &[])).await;
        Self {
            publisher,
            listener,
        }
    }

    async fn are_undisturbed(&mut self) {
        let sent = event("quiet.talk", "");
        let id = sent.id.clone();
        self.publisher.publish(vec![sent]).await;
        assert_eq!(
            self.listener.delivery().await.event.map(|event| event.id),
            Some(id)
        );
    }
}

#[tokio::test]
async fn a_hello_that_cannot_be_granted_is_refused_with_its_field() {
    let server = TestServer::start();
    let mut bystanders = Bystanders::arrive(&server).await;
    let capability = |name: &str| v1::Capability {
        name: name.to_owned(),
        ..Default::default()
    };
    for (hello, expected, at) in [
        (hello("", &[]), "invalid_agent_id", "hello.agent_id"),
        (hello("a b", &[]), "invalid_agent_id", "hello.agent_id"),
        (
            hello(&"x".repeat(129), &[]),
            "invalid_agent_id",
            "hello.agent_id",
        ),
        (
            hello("a", &["b..c"]),
            "invalid_subscription",
            "hello.subscriptions",
        ),
        (
            hello("a", &["b.>.c"]),
            "invalid_subscription",
            "hello.subscriptions",
        ),
        (
            hello("a", &["b.c*"]),
            "invalid_subscription",
            "hello.subscriptions",
        ),
        (
            v1::Hello {
                capabilities: vec![capability("a b")],
                ..hello("a", &[])
            },
            "invalid_capability",
            "hello.capabilities",
        ),
    ] {
        let refused = RawAgent::try_connect(server.bridge_addr(), hello.clone())
            .await
            .expect_err("refused");
        assert_eq!(
            (code(&refused), field(&refused)),
            (expected, at),
            "{hello:?}: {refused:?}"
        );
    }
    bystanders.are_undisturbed().await;
}

#[tokio::test]
async fn an_agent_id_in_use_is_refused_and_the_first_one_stays() {
    let server = TestServer::start();
    let mut first = RawAgent::connect(server.bridge_addr(), hello("same", &["quiet.>"])).await;
    let refused = RawAgent::try_connect(server.bridge_addr(), hello("same", &[]))
        .await
        .expect_err("refused");
    assert_eq!(code(&refused), "agent_id_in_use");
    assert!(
        refused.message().contains("stop that process"),
        "{}",
        refused.message()
    );
    let publisher = RawAgent::connect(server.bridge_addr(), hello("publisher", &[])).await;
    publisher.publish(vec![event("quiet.talk", "")]).await;
    first.delivery().await;

    // When it has left, its place is free.
    drop(first);
    server.has_not_agent("same").await;
    RawAgent::connect(server.bridge_addr(), hello("same", &[])).await;
}

#[tokio::test]
async fn a_bad_event_is_rejected_by_its_number_and_the_others_of_its_batch_go_on() {
    let settings = "[bridge]\nmax_event = '64KiB'".to_owned();
    let server = TestServer::with(Options {
        settings,
        ..Options::default()
    });
    let mut listener =
        RawAgent::connect(server.bridge_addr(), hello("listener", &["good.>"])).await;
    let mut publisher = RawAgent::connect(server.bridge_addr(), hello("publisher", &[])).await;
    let large = v1::Event {
        payload: vec![0; 100_000].into(),
        ..event("good.large", "")
    };
    let short_id = v1::Event {
        id: vec![1, 2, 3].into(),
        ..event("good.id", "")
    };
    let mut liar = event("good.sender", "");
    liar.envelope.get_or_insert_default().sender = "somebody-else".to_owned();
    let batch = vec![
        event("good.1", ""),
        event("a..b", ""),
        large,
        event("", ""),
        short_id,
        liar,
        event("good.2", ""),
    ];
    publisher.publish(batch).await;

    let mut rejected = Vec::new();
    loop {
        let ack = publisher.ack().await;
        rejected.extend(ack.rejected);
        if ack.through == 7 {
            break;
        }
    }
    let found: Vec<_> = rejected
        .iter()
        .map(|it| {
            (
                it.number,
                it.error.as_ref().map_or(Code::Unspecified, v1::Error::code),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (2, Code::InvalidTopic),
            (3, Code::EventTooLarge),
            (4, Code::InvalidTopic),
            (5, Code::InvalidEvent),
            (6, Code::PermissionDenied)
        ]
    );
    for error in rejected
        .iter()
        .filter_map(|rejection| rejection.error.as_ref())
    {
        assert!(
            !error.message.is_empty() && error.field.starts_with("event"),
            "{error:?}"
        );
    }
    let mut topics = Vec::new();
    for _ in 0..2 {
        topics.push(listener.delivery().await.event.expect("an event").topic);
    }
    assert_eq!(topics, ["good.1", "good.2"]);
    assert_eq!(
        server
            .metric("loom_bus_rejected_total{code=\"event_too_large\"}")
            .await,
        1
    );
}

#[tokio::test]
async fn what_breaks_the_protocol_ends_its_own_stream_only() {
    let server = TestServer::start();
    let mut bystanders = Bystanders::arrive(&server).await;

    // A second Hello.
    let mut twice = RawAgent::connect(server.bridge_addr(), hello("twice", &[])).await;
    twice
        .send(v1::ClientEvent {
            hello: Some(hello("twice", &[])),
            ..Default::default()
        })
        .await;
    assert_eq!(
        code(&twice.ended().await.expect_err("refused")),
        "duplicate_hello"
    );

    // Bytes that are no protobuf.
    let mut garbled = RawAgent::connect(server.bridge_addr(), hello("garbled", &[])).await;
    garbled.send_bytes(vec![0xff; 64]).await;
    assert_eq!(
        code(&garbled.ended().await.expect_err("refused")),
        "malformed_frame"
    );

    // Anything but Hello as the first message.
    let silent = RawAgent::try_open(server.bridge_addr(), Frame::default())
        .await
        .expect_err("refused");
    assert_eq!(code(&silent), "hello_expected");
    let noise = RawAgent::try_open(server.bridge_addr(), Frame(vec![0x0f; 9].into()))
        .await
        .expect_err("refused");
    assert_eq!(code(&noise), "malformed_frame");

    for id in ["twice", "garbled"] {
        server.has_not_agent(id).await;
    }
    bystanders.are_undisturbed().await;
}

#[tokio::test]
async fn garbage_on_a_port_harms_nobody() {
    let server = TestServer::start();
    let mut bystanders = Bystanders::arrive(&server).await;
    let addresses = *server.addresses();
    for address in [
        addresses.bridge,
        addresses.otlp_grpc,
        addresses.otlp_http,
        addresses.http,
    ]
    .into_iter()
    .flatten()
    {
        for garbage in [
            b"\x00\xff\x00\xff\r\n\r\n".as_slice(),
            b"GET",
            &b"A".repeat(100_000),
        ] {
            let mut stream = TcpStream::connect(address).expect("connected");
            stream.set_read_timeout(Some(PATIENCE)).expect("set");
            // The other side may hang up before it has read all of it.
            let written = stream.write_all(garbage);
            drop(written.and_then(|()| stream.shutdown(std::net::Shutdown::Write)));
            let mut answer = Vec::new();
            // Closed or reset: either way, not left hanging.
            let end = stream.read_to_end(&mut answer);
            assert!(
                !matches!(&end, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock),
                "{address} hangs"
            );
        }
    }
    bystanders.are_undisturbed().await;
}

#[tokio::test]
async fn wrong_settings_stop_the_start_with_their_name() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(
        directory.path().join("loom.toml"),
        "[server]\nhttp_addr = '127.0.0.1:0'\nhttp_prot = 1\n",
    )
    .expect("written");
    let said = run_in(directory.path(), &["up"], Vec::new());
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(
        said.err.contains("loom.toml")
            && said.err.contains("line 3")
            && said.err.contains("http_prot"),
        "{said:?}"
    );

    let said = run(&["up", "--http-addr", "0.0.0.0:0"], None);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(
        said.err.contains("LOOM_TOKEN") && said.err.contains("--insecure-bind"),
        "{said:?}"
    );

    let said = run_in(
        Path::new("."),
        &["up"],
        variables([("LOOM_WORKER_THREADS", "many")]),
    );
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("LOOM_WORKER_THREADS"), "{said:?}");

    let said = run(&["up", "--log", "=nonsense=", "--ephemeral"], None);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("log.filter"), "{said:?}");
}

#[tokio::test]
async fn a_busy_port_is_named_with_what_to_do() {
    let busy = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = busy.local_addr().expect("an address").to_string();
    let any = "127.0.0.1:0";
    let arguments = [
        "up",
        "--ephemeral",
        "--bridge-addr",
        any,
        "--otlp-http-addr",
        any,
        "--http-addr",
        any,
        "--otlp-grpc-addr",
    ];
    let said = run(&[&arguments[..], &[&address]].concat(), None);
    assert_eq!(said.code, Some(1), "{said:?}");
    for expected in [
        "is in use",
        "--otlp-grpc-addr off",
        &format!("OTEL_EXPORTER_OTLP_ENDPOINT=http://{address}"),
    ] {
        assert!(said.err.contains(expected), "{said:?}");
    }
}

#[tokio::test]
async fn a_data_directory_belongs_to_one_server() {
    let server = TestServer::start();
    let any = "127.0.0.1:0";
    let data = server.data_dir().to_string_lossy().into_owned();
    let arguments = [
        "up",
        "--data-dir",
        &data,
        "--bridge-addr",
        any,
        "--otlp-http-addr",
        any,
        "--http-addr",
        any,
        "--otlp-grpc-addr",
        any,
    ];
    let said = run(&arguments, None);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.err.contains(&data) && said.err.contains("--data-dir"),
        "{said:?}"
    );
}

#[tokio::test]
async fn without_a_server_commands_say_what_to_do() {
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = nobody.local_addr().expect("an address").to_string();
    drop(nobody);
    let environment = variables([
        ("LOOM_ADDRESS", address.as_str()),
        ("LOOM_HTTP", address.as_str()),
    ]);
    for arguments in [
        &["agents"][..],
        &["traces"],
        &["trace", "last"],
        &["publish", "a", "b"],
        &["tail", ">"],
    ] {
        let said = run_in(Path::new("."), arguments, environment.clone());
        assert_eq!(said.code, Some(3), "{arguments:?}: {said:?}");
        assert!(
            said.err.contains(&address) && said.err.contains("loom up"),
            "{arguments:?}: {said:?}"
        );
        assert!(said.out.is_empty(), "{said:?}");
    }
    let said = run_in(Path::new("."), &["doctor", "--json"], environment);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert_eq!(said.json()["ok"], false);
}

#[tokio::test]
async fn an_agent_that_is_early_says_what_to_do_and_connects_when_the_server_comes() {
    // The port has to be known before the server has it. No other test listens on this loopback address.
    let held = TcpListener::bind("127.0.0.77:0").expect("a port");
    let address = held.local_addr().expect("an address").to_string();
    drop(held);
    let agent = PythonAgent::start(
        "demo/trace-test/agents/output.py",
        variables([("LOOM_ADDRESS", address.as_str())]),
    );
    eventually("the agent says what to do", async || {
        let log = agent.log();
        if log.contains("loom up") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    let arguments = vec!["--bridge-addr".to_owned(), address];
    let server = TestServer::with(Options {
        arguments,
        ..Options::default()
    });
    server.has_agent("output-agent").await;
    agent.stop();
}
