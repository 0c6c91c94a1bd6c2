//! Opening what an earlier process has left.

use std::path::Path;
use std::time::Duration;

use loom_trace::store::Retention;
use loom_trace::{Config, IngestError, StoreError, TraceStore};

use crate::support::{PATIENCE, encode, request, span};

fn config(dir: &Path) -> Config {
    Config {
        data_dir: dir.to_owned(),
        ..Config::default()
    }
}

#[tokio::test]
async fn a_closed_store_opens_with_all_its_spans() {
    let dir = tempfile::tempdir().expect("a folder");
    for round in 1..=2 {
        let store = TraceStore::open(config(dir.path())).expect("opens");
        // The same spans twice: the second time they are duplicates.
        let spans = (1..=50).map(|id| span(1, id, 0)).collect();
        store
            .ingest()
            .append(encode(&request("a", spans)))
            .expect("taken");
        store.close(PATIENCE).await.expect("indexed");
        let counters = store.counters();
        let expected = if round == 1 { (50, 0) } else { (0, 50) };
        assert_eq!((counters.stored, counters.duplicates), expected);
        assert_eq!(counters.lag, 0);
        let trace = store
            .query()
            .trace("01".repeat(16).parse().expect("an id"), 100)
            .await;
        assert_eq!(trace.expect("answered").map(|t| t.spans.len()), Some(50));
        let refused = store
            .ingest()
            .append(encode(&request("a", vec![span(1, 60, 0)])));
        assert!(matches!(refused, Err(IngestError::Closed)));
        store
            .close(PATIENCE)
            .await
            .expect("a second close does nothing");
    }
}

#[tokio::test]
async fn one_directory_has_one_owner() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = TraceStore::open(config(dir.path())).expect("opens");
    let second = TraceStore::open(config(dir.path()));
    assert!(matches!(second, Err(StoreError::Locked(_))));
    drop(store);
    TraceStore::open(config(dir.path())).expect("free again");
}

#[tokio::test]
async fn an_ephemeral_store_leaves_nothing() {
    let store = TraceStore::open(Config {
        ephemeral: true,
        ..Config::default()
    })
    .expect("opens");
    store
        .ingest()
        .append(encode(&request("a", vec![span(1, 1, 0)])))
        .expect("taken");
    store.close(PATIENCE).await.expect("indexed");
    assert!(store.disk_bytes() > 0);
    let copy = store.clone();
    drop(store);
    assert!(copy.disk_bytes() > 0, "still there for the last clone");
}

#[tokio::test]
async fn retention_keeps_the_newest() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = TraceStore::open(Config {
        retention: Retention {
            max_spans: 100,
            max_age_s: 0,
        },
        ..config(dir.path())
    })
    .expect("opens");
    for trace in 1..=50_u8 {
        let spans = (1..=10).map(|id| span(trace, id, 0)).collect();
        store
            .ingest()
            .append(encode(&request("a", spans)))
            .expect("taken");
        store.flush(PATIENCE).await.expect("indexed");
    }
    store.close(PATIENCE).await.expect("indexed");
    let counters = store.counters();
    assert_eq!(counters.stored, 500);
    assert_eq!(counters.expired, 400);
    let spans_of = async |trace: u8| {
        let id = format!("{trace:02x}").repeat(16).parse().expect("an id");
        store
            .query()
            .trace(id, 100)
            .await
            .expect("answered")
            .map_or(0, |t| t.spans.len())
    };
    assert_eq!(spans_of(40).await, 0);
    assert_eq!(spans_of(41).await, 10);
    assert_eq!(spans_of(50).await, 10);
}

#[tokio::test]
async fn a_flush_that_takes_too_long_says_what_is_left() {
    let store = TraceStore::open(Config {
        ephemeral: true,
        ..Config::default()
    })
    .expect("opens");
    store
        .ingest()
        .append(encode(&request("a", vec![span(1, 1, 0)])))
        .expect("taken");
    match store.flush(Duration::ZERO).await {
        Ok(()) => {}
        Err(error) => assert!(error.lag <= 1),
    }
    store.flush(PATIENCE).await.expect("in the end it is there");
    assert_eq!(store.counters().lag, 0);
}
