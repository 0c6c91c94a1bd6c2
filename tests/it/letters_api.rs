//! Dead letters over HTTP: the same letters as on the command line, and the same rules.

use loom_proto::v1;
use loom_tests::agent::RawAgent;
use loom_tests::server::TestServer;
use loom_tests::{eventually, http};
use serde_json::Value;

use crate::groups::{keeping, outcome, publish, say, worker};

/// The status and the body of one request's answer.
fn ask(server: &TestServer, request: &str, headers: &str, body: &str) -> (u16, Value) {
    let answer = http::ask(server, request, headers, body);
    (answer.status, answer.json())
}

#[tokio::test]
async fn letters_are_listed_shown_redriven_and_dropped() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = keeping(directory.path());
    let list = "GET /api/v1/dead-letters";
    let (status, empty) = ask(&server, list, "", "");
    assert_eq!(
        (status, &empty["items"], &empty["open"]),
        (200, &Value::Array(Vec::new()), &0.into())
    );

    publish(&server, 0..3).await;
    let mut agent = RawAgent::connect(server.bridge_addr(), worker("one", 10)).await;
    for _ in 0..3 {
        let delivery = agent.delivery().await;
        let because = v1::Error::new(loom_proto::Code::HandlerFailed, "ValueError: no stock");
        let verdict = v1::Outcome {
            error: Some(because),
            ..outcome(&delivery, v1::Verdict::Reject)
        };
        say(&agent, verdict).await;
    }
    let letters = eventually("the letters are there", async || {
        let (_, letters) = ask(&server, list, "", "");
        if letters["items"]
            .as_array()
            .is_some_and(|items| items.len() == 3)
        {
            Ok(letters)
        } else {
            Err(letters)
        }
    })
    .await;
    let newest = &letters["items"][0];
    assert_eq!(newest["error"], "ValueError: no stock");
    assert_eq!(newest["attempts"][0]["number"], 1);
    assert_eq!(newest["group"], "workers");

    // Two pages, each letter once.
    let (_, first) = ask(
        &server,
        &format!("{list}?limit=2&group=workers&topic=orders.*"),
        "",
        "",
    );
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let (_, rest) = ask(&server, &format!("{list}?limit=2&cursor={cursor}"), "", "");
    assert_eq!(
        (&first["truncated"], &rest["truncated"]),
        (&true.into(), &false.into())
    );
    let ids =
        [&first["items"][0], &first["items"][1], &rest["items"][0]].map(|one| &one["letter_id"]);
    let all = [0, 1, 2].map(|at| &letters["items"][at]["letter_id"]);
    assert_eq!(ids, all);

    let id = newest["letter_id"].as_str().expect("text");
    let (_, shown) = ask(&server, &format!("{list}/{id}"), "", "");
    assert_eq!(shown["payload"], 2);

    // A page of another server changes nothing.
    let one = format!("{{\"letter_ids\":[\"{id}\"]}}");
    let foreign = "Origin: http://evil.example\r\n";
    let redrive = "POST /api/v1/dead-letters/workers/redrive";
    assert_eq!(ask(&server, redrive, foreign, &one).0, 403);
    let (status, done) = ask(&server, redrive, "", &one);
    assert_eq!((status, &done["redriven"]), (200, &1.into()), "{done}");
    let again = agent.delivery().await;
    assert_eq!(again.event.expect("an event").payload, "2");

    let drop_all = "DELETE /api/v1/dead-letters/-";
    let (status, done) = ask(&server, drop_all, "", "{\"letter_ids\":null}");
    assert_eq!((status, &done["dropped"]), (200, &2.into()), "{done}");
    assert_eq!(ask(&server, list, "", "").1["open"], 0);
    assert_eq!(ask(&server, &format!("{list}/{id}"), "", "").0, 404);
}

#[tokio::test]
async fn bad_requests_are_refused_and_name_what_is_wrong() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = keeping(directory.path());
    for (request, body, why) in [
        ("GET /api/v1/dead-letters?limit=many", "", "limit"),
        ("GET /api/v1/dead-letters?cursor=x", "", "cursor"),
        ("GET /api/v1/dead-letters?trace_id=%3Cb%3E", "", "trace_id"),
        ("GET /api/v1/dead-letters?topic=a..b", "", "a..b"),
        ("GET /api/v1/dead-letters/nonsense", "", "letter id"),
        (
            "POST /api/v1/dead-letters/g/redrive",
            "{\"letter_ids\":[]}",
            "letter_ids",
        ),
        (
            "POST /api/v1/dead-letters/g/redrive",
            "{\"letter_ids\":[\"x\"]}",
            "letter id",
        ),
        (
            "POST /api/v1/dead-letters/g/redrive",
            "{\"letters\":null}",
            "letters",
        ),
        ("POST /api/v1/dead-letters/g/redrive", "{", "JSON"),
    ] {
        let (status, problem) = ask(&server, request, "", body);
        assert_eq!(status, 400, "{request} {body}: {problem}");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains(why), "{request} {body}: {detail}");
    }
}
