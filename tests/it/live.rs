//! The live stream: what happens is told while it happens, and told once, over both doors.

use std::collections::BTreeSet;

use loom_tests::agent::{RawAgent, event, hello};
use loom_tests::live::{LiveReader, LiveSocket};
use loom_tests::server::TestServer;
use serde_json::Value;

fn http(server: &TestServer) -> std::net::SocketAddr {
    server.addresses().http.expect("it is on")
}

/// Ids of the events of a frame.
fn ids(data: &Value) -> Vec<String> {
    let items = data["items"].as_array().expect("a list").iter();
    items
        .map(|item| item["event_id"].as_str().expect("an id").to_owned())
        .collect()
}

#[tokio::test]
async fn what_happens_is_told_while_it_happens() {
    let server = TestServer::start();
    let mut live = LiveReader::open(http(&server), "", None).await;
    assert!(live.head[0].contains("200"), "{:?}", live.head);
    for header in [
        "content-type: text/event-stream",
        "x-accel-buffering: no",
        "cache-control: no-cache",
    ] {
        assert!(live.head.contains(&header.to_owned()), "{:?}", live.head);
    }
    let begun = live.next().await.expect("a frame");
    assert_eq!(begun.event, "hello");
    assert!(
        begun
            .id
            .starts_with(begun.data["boot"].as_str().expect("text"))
    );

    let agent = RawAgent::connect(server.bridge_addr(), hello("sensor", &[])).await;
    let connected = live.next_of("agents").await;
    assert_eq!(connected.data["connected"][0]["agent_id"], "sensor");
    agent.publish(vec![event("a.b", "")]).await;
    let told = live.next_of("events").await;
    let item = &told.data["items"][0];
    assert_eq!(
        (&item["topic"], &item["sender"]),
        (&"a.b".into(), &"sensor".into())
    );
    let trace = item["trace_id"].as_str().expect("a trace").to_owned();
    let grown = live.next_of("traces").await;
    assert!(grown.data[&trace]["spans"].as_u64() > Some(0), "{grown:?}");
    while live.next_of("stats").await.data["bus"]["total"]["events"] != 1 {}
    drop(agent);
    assert_eq!(
        live.next_of("agents").await.data["connected"],
        Value::Array(Vec::new())
    );
}

#[tokio::test]
async fn who_breaks_off_and_comes_again_gets_each_event_once() {
    let server = TestServer::start();
    let agent = RawAgent::connect(server.bridge_addr(), hello("sensor", &[])).await;
    let mut told = Vec::new();
    let mut last_id: Option<String> = None;
    // Published while nobody listens, too; only what came before the first reader is not told.
    let mut live = LiveReader::open(http(&server), "topics=events", None).await;
    live.next_of("hello").await;
    for round in 0..4 {
        let events = (0..5).map(|_| event("a.b", "")).collect();
        agent.publish(events).await;
        if round > 0 {
            live = LiveReader::open(http(&server), "topics=events", last_id.as_deref()).await;
            assert_eq!(live.next().await.expect("a frame").event, "hello");
        }
        // Half of what came, then the connection breaks.
        let frame = live.next_of("events").await;
        told.extend(ids(&frame.data));
        last_id = Some(frame.id);
        drop(live);
        agent.publish(vec![event("a.b", "")]).await;
        live = LiveReader::open(http(&server), "topics=events", last_id.as_deref()).await;
        assert_eq!(live.next().await.expect("a frame").event, "hello");
        while told.len() < (round + 1) * 6 {
            let frame = live.next_of("events").await;
            told.extend(ids(&frame.data));
            last_id = Some(frame.id);
        }
    }
    let distinct: BTreeSet<_> = told.iter().collect();
    assert_eq!((told.len(), distinct.len()), (24, 24));
}

#[tokio::test]
async fn an_id_of_another_server_is_told_to_begin_anew() {
    let server = TestServer::start();
    for (id, why) in [("0123-7", "server_restarted"), ("nonsense", "unknown_id")] {
        let mut live = LiveReader::open(http(&server), "", Some(id)).await;
        let begun = live.next().await.expect("a frame");
        assert_eq!(
            (begun.event.as_str(), &begun.data["reason"]),
            ("reset", &why.into())
        );
        // From there on it can be resumed.
        drop(live);
        let mut again = LiveReader::open(http(&server), "", Some(&begun.id)).await;
        assert_eq!(again.next().await.expect("a frame").event, "hello");
    }
}

#[tokio::test]
async fn an_unknown_channel_is_refused_by_its_name() {
    let server = TestServer::start();
    let live = LiveReader::open(http(&server), "topics=events,nothing", None).await;
    assert!(live.head[0].contains("400"), "{:?}", live.head);
    assert!(
        live.head
            .contains(&"content-type: application/problem+json".to_owned())
    );
}

#[tokio::test]
async fn streams_end_with_the_server() {
    let server = TestServer::start();
    let mut live = LiveReader::open(http(&server), "", None).await;
    live.next_of("hello").await;
    let mut socket = LiveSocket::open(http(&server), "topics=events", None)
        .await
        .expect("open");
    socket.next_of("hello").await;
    let (status, _) = server.stop();
    assert!(status.success());
    while live.next().await.is_some() {}
    while socket.next().await.is_some() {}
}

#[tokio::test]
async fn the_socket_tells_the_same_and_can_be_asked_for_more() {
    let server = TestServer::start();
    let mut socket = LiveSocket::open(http(&server), "topics=agents", None)
        .await
        .expect("open");
    let begun = socket.next_of("hello").await;
    let agent = RawAgent::connect(server.bridge_addr(), hello("sensor", &[])).await;
    let connected = loop {
        let frame = socket.next().await.expect("it goes on");
        assert_eq!(frame["event"], "agents", "nobody asked for another one");
        if frame["data"]["connected"][0]["agent_id"] == "sensor" {
            break frame;
        }
    };
    let boot = begun["data"]["boot"].as_str().expect("text");
    assert!(connected["id"].as_str().expect("an id").starts_with(boot));

    for (said, answer) in [
        ("{", "error"),
        (r#"{"subscribe":["nothing"]}"#, "error"),
        (
            r#"{"subscribe":["events"],"unsubscribe":["agents"]}"#,
            "subscribed",
        ),
    ] {
        socket.say(said).await;
        let frame = socket.next().await.expect("it goes on");
        assert_eq!(frame["event"], answer, "{said}: {frame}");
    }
    agent.publish(vec![event("a.b", "")]).await;
    let told = socket.next().await.expect("it goes on");
    assert_eq!(told["event"], "events");
    assert_eq!(told["data"]["items"][0]["topic"], "a.b");
}

#[tokio::test]
async fn pages_of_other_servers_get_no_socket() {
    let server = TestServer::start();
    let open = async |origin: &str| LiveSocket::open(http(&server), "", Some(origin)).await;
    let refused = open("http://evil.example").await.expect_err("refused");
    assert!(refused.to_string().contains("403"), "{refused}");
    open(&format!("http://{}", http(&server)))
        .await
        .expect("its own page");
}

/// A look may find more events than a frame shows.
#[tokio::test]
async fn what_a_burst_leaves_out_is_counted() {
    const BURST: usize = 900;
    let server = TestServer::start();
    let mut live = LiveReader::open(http(&server), "topics=events", None).await;
    live.next_of("hello").await;
    let mut sensor = RawAgent::connect(server.bridge_addr(), hello("sensor", &[])).await;
    let events = (0..BURST).map(|_| event("sensor.data", ""));
    sensor.publish(events.collect()).await;
    assert!(sensor.ack().await.rejected.is_empty());
    let mut told = 0;
    while told < BURST {
        let frame = live.next_of("events").await.data;
        assert_eq!(frame["skipped_spans"], 0, "{frame}");
        let items = frame["items"].as_array().expect("a list");
        assert!(items.len() <= 200);
        let skipped = frame["skipped_events"].as_u64().expect("a count");
        told += items.len() + skipped as usize;
    }
    assert_eq!(told, BURST);
}
