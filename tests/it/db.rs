//! `loom db` beside a server, and after it has stopped.

use std::path::Path;

use loom_tests::cli::{Said, run};
use loom_tests::eventually;

use crate::groups::{keeping, publish};

fn db(directory: &Path, arguments: &[&str]) -> Said {
    let directory = directory.to_str().expect("text");
    let place = ["--data-dir", directory];
    run(&[&["db"], arguments, &place].concat(), None)
}

#[tokio::test]
async fn a_store_is_seen_beside_its_server_and_changed_after_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let said = db(path, &["stats"]);
    assert_eq!(said.code, Some(4), "{said:?}");
    assert!(said.err.contains("--data-dir"), "{said:?}");

    let server = keeping(path);
    publish(&server, 0..3).await;
    // bridge.publish and EventBus.publish of each, at least.
    eventually("the spans are stored", async || {
        let stats = db(path, &["stats", "--json"]).json();
        let spans = stats["spans"].as_u64().expect("a number");
        (spans >= 6).then_some(()).ok_or(stats)
    })
    .await;
    assert_eq!(db(path, &["verify", "--json"]).json()["clean"], true);
    for action in [&["migrate"][..], &["prune", "--older-than", "1d"]] {
        let said = db(path, action);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.err.contains("stop it first"), "{said:?}");
    }
    server.stop();

    let said = db(path, &["stats"]);
    let is_told = |what: &str| said.out.contains(what);
    assert!(
        is_told("BYTES/SPAN") && is_told("nothing is due"),
        "{said:?}"
    );
    assert_eq!(db(path, &["migrate", "--json"]).code, Some(0));
    assert_eq!(
        db(path, &["prune"]).code,
        Some(2),
        "nothing says what may go"
    );
    let due = db(path, &["prune", "--max-spans", "1", "--dry-run", "--json"]).json();
    let spans = due["spans"].as_u64().expect("a number");
    assert!(spans >= 5, "{due}");
    let pruned = db(
        path,
        &["prune", "--max-spans", "1", "--give-back", "--json"],
    )
    .json();
    assert_eq!(pruned["spans"], spans, "{pruned}");
    assert_eq!(db(path, &["verify"]).code, Some(0));
}
