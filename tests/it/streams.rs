//! What a stream has acknowledged is kept, whatever is killed.

use std::path::Path;

use loom_core::Journal;
use loom_journal::{EventLog, LogConfig};
use loom_proto::EventId;
use loom_tests::agent::{RawAgent, event, hello};
use loom_tests::cli::run;
use loom_tests::eventually::eventually;
use loom_tests::server::TestServer;

const ORDERS: &str = "[streams.orders]\ntopics = [\"orders.>\"]\n";

fn keeping(data_dir: &Path) -> TestServer {
    TestServer::keeping(ORDERS, data_dir)
}

/// The ids that the journal of a stopped server holds, in their order.
fn kept(data_dir: &Path) -> Vec<EventId> {
    let directory = data_dir.join("streams/orders");
    let (journal, found) = EventLog::open(&directory, LogConfig::default()).expect("it opens");
    assert!(found.damaged.is_empty(), "{found:?}");
    let (mut ids, mut next) = (Vec::new(), 0);
    while next < journal.end() {
        let read = journal.read(next, 1 << 20).expect("readable");
        ids.extend(read.events.iter().map(|(_, event)| event.id()));
        next = read.next;
    }
    ids
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    const BATCH: usize = 500;
    let directory = tempfile::tempdir().expect("a directory");
    let server = keeping(directory.path());
    let mut agent = RawAgent::connect(server.bridge_addr(), hello("shop", &[])).await;
    let mut sent = Vec::new();
    let mut acknowledged = 0;
    while acknowledged < 5 * BATCH as u64 {
        let events: Vec<_> = (0..BATCH).map(|_| event("orders.new", "")).collect();
        sent.extend(
            events
                .iter()
                .map(|event| EventId::from_slice(&event.id).expect("an id")),
        );
        agent.publish(events).await;
        let ack = agent.ack().await;
        assert!(ack.rejected.is_empty(), "{ack:?}");
        acknowledged = ack.through;
    }
    // More is on its way when it happens.
    agent
        .publish((0..BATCH).map(|_| event("orders.new", "")).collect())
        .await;
    server.kill();
    let kept = kept(directory.path());
    assert!(
        kept.len() as u64 >= acknowledged,
        "{} {acknowledged}",
        kept.len()
    );
    let both = kept.len().min(sent.len());
    assert_eq!(kept[..both], sent[..both]);
}

#[tokio::test]
async fn a_retry_is_told_that_its_event_is_stored_also_by_the_next_server() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = keeping(directory.path());
    let id = EventId::now().to_string();
    let order = [
        "publish",
        "orders.new",
        "{\"number\": 1}",
        "--id",
        &id,
        "--json",
    ];
    let publish = |server: &TestServer| {
        let said = run(&order, Some(server));
        assert_eq!(said.code, Some(0), "{said:?}");
        let line: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
        line["stored"].clone()
    };
    let new = serde_json::json!({ "stream": "orders", "offset": 0, "duplicate": false });
    let again = serde_json::json!({ "stream": "orders", "offset": 0, "duplicate": true });
    assert_eq!(publish(&server), new);
    assert_eq!(publish(&server), again);
    server.kill();

    let server = keeping(directory.path());
    assert_eq!(publish(&server), again);
    let said = run(&["publish", "elsewhere", "x", "--json"], Some(&server));
    assert!(said.out.contains("\"stored\":null"), "{said:?}");
    let (status, log) = server.stop();
    assert!(status.success(), "{log}");
    assert_eq!(kept(directory.path()).len(), 1);
}

#[tokio::test]
async fn what_a_stream_keeps_is_printed_from_a_place_on() {
    const BATCH: usize = 400;
    let directory = tempfile::tempdir().expect("a directory");
    let server = keeping(directory.path());
    let mut shop = RawAgent::connect(server.bridge_addr(), hello("shop", &[])).await;
    // More than a page has, and the batches apart in time.
    for batch in 1..=4 {
        shop.publish((0..BATCH).map(|_| event("orders.new", "")).collect())
            .await;
        while shop.ack().await.through < batch * BATCH as u64 {}
    }
    let printed = |args: &[&str]| -> Vec<serde_json::Value> {
        let args = [&["tail", "--stream", "orders", "--json"], args].concat();
        let said = run(&args, Some(&server));
        assert_eq!((said.code, &*said.err), (Some(0), ""), "{args:?}");
        let lines = said.out.lines();
        lines
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    };
    let offsets = |args: &[&str]| -> Vec<u64> {
        let lines = printed(args).into_iter();
        lines
            .map(|line| line["offset"].as_u64().expect("a number"))
            .collect()
    };
    assert_eq!(offsets(&[]), (0..1600).collect::<Vec<_>>());
    assert_eq!(offsets(&["--from", "oldest", "--limit", "2"]), [0, 1]);
    assert_eq!(offsets(&["--from", "1598"]), [1598, 1599]);
    assert_eq!(offsets(&["--from", "7", "--limit", "1"]), [7]);
    assert!(printed(&["--from", "1600"]).is_empty());

    let third = &printed(&["--from", "800", "--limit", "1"])[0];
    let time = third["published_at"].as_str().expect("a time");
    assert_eq!(offsets(&["--from", time, "--limit", "1"]), [800]);
    assert!(printed(&["--from", "2100-01-01T00:00:00Z"]).is_empty());
    assert_eq!(
        (&third["topic"], &third["stream"]),
        (&"orders.new".into(), &"orders".into())
    );

    let said = run(
        &["tail", "--stream", "orders", "--from", "1599"],
        Some(&server),
    );
    assert!(said.out.starts_with("1599  "), "{said:?}");
    let unknown = run(&["tail", "--stream", "nowhere"], Some(&server));
    assert_eq!(unknown.code, Some(4), "{unknown:?}");
    assert!(unknown.err.contains("\"nowhere\""), "{unknown:?}");
    for args in [
        &["tail"][..],
        &["tail", "a", "--from", "1"],
        &["tail", "a", "--stream", "orders"],
    ] {
        assert_eq!(run(args, Some(&server)).code, Some(2), "{args:?}");
    }
}

#[tokio::test]
async fn the_api_shows_what_a_stream_keeps_of_an_event() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = keeping(directory.path());
    let publish = |topic: &str, payload: &str| -> String {
        let said = run(&["publish", topic, payload, "--json"], Some(&server));
        assert_eq!(said.code, Some(0), "{said:?}");
        let id = &said.json()["event_id"];
        id.as_str().expect("an id").to_owned()
    };
    let (kept, passed) = (
        publish("orders.new", "{\"number\": 1}"),
        publish("other", "1"),
    );
    let http = server.http();
    let of = async |id: &str| {
        let path = format!("/api/v1/events/{id}");
        let what = format!("{path} is stored");
        eventually(&what, async || http.get_json(&path).await).await
    };
    let event: serde_json::Value = of(&kept).await;
    let expected = serde_json::json!({
        "stream": "orders", "offset": 0, "payload_text": "{\"number\": 1}", "payload_base64": null,
        "truncated": false, "metadata": {},
    });
    assert_eq!(
        (&event["kept"], &event["topic"]),
        (&expected, &"orders.new".into())
    );
    let event: serde_json::Value = of(&passed).await;
    assert!(
        event["kept"].is_null() && event["topic"] == "other",
        "{event}"
    );
}

#[tokio::test]
async fn what_is_damaged_is_told_and_not_printed() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = keeping(directory.path());
    for payload in ["first", "to be damaged", "last"] {
        let said = run(&["publish", "orders.new", payload], Some(&server));
        assert_eq!(said.code, Some(0), "{said:?}");
    }
    let (status, log) = server.stop();
    assert!(status.success(), "{log}");
    let files = std::fs::read_dir(directory.path().join("streams/orders")).expect("it is there");
    let mut damaged = 0;
    for file in files.map(|file| file.expect("listed").path()) {
        let mut bytes = std::fs::read(&file).expect("readable");
        let at = bytes.windows(13).position(|part| part == b"to be damaged");
        if let Some(at) = at {
            bytes[at] ^= 1;
            std::fs::write(&file, bytes).expect("written");
            damaged += 1;
        }
    }
    assert_eq!(damaged, 1);

    let server = keeping(directory.path());
    let said = run(&["tail", "--stream", "orders"], Some(&server));
    let shown: Vec<_> = said.out.lines().map(|line| &line[..1]).collect();
    assert_eq!(shown, ["0", "2"], "{said:?}");
    assert!(said.err.contains("orders: 1 not shown"), "{said:?}");
}

#[tokio::test]
async fn a_server_says_what_is_wrong_with_its_streams() {
    let directory = tempfile::tempdir().expect("a directory");
    let said_of = |settings: &str| {
        let file = directory.path().join("loom.toml");
        std::fs::write(&file, settings).expect("written");
        let file = file.to_str().expect("UTF-8");
        let said = run(&["up", "--ephemeral", "--config", file], None);
        assert_eq!(said.code, Some(2), "{said:?}");
        said.err
    };
    let twice = format!("{ORDERS}[streams.new]\ntopics = [\"orders.new\"]\n");
    let said = said_of(&twice);
    assert!(
        said.contains("orders.>") && said.contains("orders.new"),
        "{said}"
    );
    let said = said_of("[streams.orders]\ntopics = []\n");
    assert!(said.contains("streams.orders.topics"), "{said}");
    let said = said_of("[streams.\"a/b\"]\ntopics = [\"a\"]\n");
    assert!(said.contains("streams.\"a/b\""), "{said}");
    let said = said_of("[streams.a]\ntopics = [\"a..b\"]\n");
    assert!(said.contains("segment 2"), "{said}");
    let said = said_of("[streams.a]\ntopics = [\"a\"]\nmax_aeg = \"1d\"\n");
    assert!(
        said.contains("max_aeg") && said.contains("line 3"),
        "{said}"
    );
    let memory = "[streams.a]\ntopics = [\"a\"]\nstorage = \"memory\"\n";
    for (line, key) in [
        ("segment = \"4MiB\"", "streams.a.segment"),
        ("sync = \"never\"", "streams.a.sync"),
        ("max_size = 0", "streams.a.max_size"),
        ("max_size = \"1023KiB\"", "streams.a.max_size"),
    ] {
        let said = said_of(&format!("{memory}{line}\n"));
        assert!(said.contains(key) && said.contains("memory"), "{said}");
    }
    let said = said_of("[streams.a]\ntopics = [\"a\"]\nstorage = \"ram\"\n");
    let names = ["ram", "disk", "memory", "line 3"];
    assert!(names.iter().all(|name| said.contains(name)), "{said}");
}
