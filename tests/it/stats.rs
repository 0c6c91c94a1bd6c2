//! `loom stats` and `/api/v1/stats`: the books of a server, topic by topic.

use loom_tests::agent::{RawAgent, event, hello};
use loom_tests::cli::run;
use loom_tests::eventually::eventually;
use loom_tests::server::TestServer;
use serde_json::{Value, json};

async fn stats(server: &TestServer) -> Value {
    let answer = server.http().get_json("/api/v1/stats").await;
    answer.expect("the books")
}

fn row<'a>(stats: &'a Value, topic: &str) -> &'a Value {
    let rows = stats["bus"]["topics"].as_array().expect("a list");
    let mut rows = rows.iter();
    rows.find(|row| row["topic"] == topic)
        .unwrap_or_else(|| panic!("no {topic}: {stats:#}"))
}

#[tokio::test]
async fn the_books_are_shown_topic_by_topic() {
    let server = TestServer::start();
    let mut reader = RawAgent::connect(server.bridge_addr(), hello("reader", &["a.*"])).await;
    let publisher = RawAgent::connect(server.bridge_addr(), hello("publisher", &[])).await;
    publisher
        .publish(
            ["a.one", "a.one", "a.two", "b"]
                .map(|topic| event(topic, ""))
                .into(),
        )
        .await;
    for _ in 0..3 {
        reader.delivery().await;
    }
    eventually("all is booked", async || {
        let stats = stats(&server).await;
        let total = &stats["bus"]["total"];
        if total["events"] == 4 && total["in_flight"] == 0 {
            Ok(())
        } else {
            Err(stats)
        }
    })
    .await;

    let stats = stats(&server).await;
    assert_eq!(stats["bus"]["balanced"], true, "{stats:#}");
    let one = row(&stats, "a.one");
    assert_eq!(
        (&one["events"], &one["published"], &one["delivered"]),
        (&json!(2), &json!(2), &json!(2))
    );
    assert_eq!(row(&stats, "b")["filtered"], 1);
    assert_eq!(stats["bus"]["total"]["published"], 4);
    let spans = &stats["spans"];
    let count = |name: &str| spans[name].as_u64().expect("a number");
    assert_eq!(
        count("recorded"),
        count("stored") + count("sampled_out") + count("queued"),
        "{spans}"
    );

    let http = server.http().base_url();
    let said = run(&["stats", "--http", &http], None);
    assert_eq!(said.code, Some(0), "{said:?}");
    let head = said.out.lines().next().expect("a head");
    assert!(
        head.starts_with("TOPIC") && head.ends_with("IN FLIGHT"),
        "{head}"
    );
    assert!(
        said.out.lines().any(|line| line.starts_with("TOTAL")),
        "{}",
        said.out
    );
    assert!(said.out.contains("spans: "), "{}", said.out);

    let said = run(
        &["stats", "--http", &http, "--topic", "a.>", "--json"],
        None,
    );
    let some: Value = serde_json::from_str(&said.out).expect("JSON");
    let topics = some["bus"]["topics"].as_array().expect("a list");
    let topics: Vec<_> = topics.iter().map(|row| &row["topic"]).collect();
    assert_eq!(topics, ["a.one", "a.two"], "the busiest first");

    let said = run(&["stats", "--http", &http, "--topic", "a..b"], None);
    assert_eq!(said.code, Some(2), "{said:?}");
}

#[tokio::test]
async fn topics_beyond_the_limit_share_an_account_and_are_counted() {
    let settings = "[bus]\nledger_topics = 1".to_owned();
    let server = TestServer::with(loom_tests::server::Options {
        settings,
        ..Default::default()
    });
    let publisher = RawAgent::connect(server.bridge_addr(), hello("publisher", &[])).await;
    publisher
        .publish(["a", "b", "c"].map(|topic| event(topic, "")).into())
        .await;
    let stats = eventually("all is booked", async || {
        let stats = stats(&server).await;
        if stats["bus"]["total"]["events"] == 3 {
            Ok(stats)
        } else {
            Err(stats)
        }
    })
    .await;
    assert_eq!(row(&stats, "a")["filtered"], 1);
    assert_eq!(row(&stats, "(other)")["filtered"], 2);
    let metrics = server.http().get_text("/metrics").await.expect("metrics");
    assert!(
        metrics.contains("loom_topic_events_total{topic=\"(other)\"} 2\n"),
        "{metrics}"
    );
}
