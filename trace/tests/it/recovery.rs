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
            max_bytes: 0,
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

/// Both bounds at once, while a sender never waits: a trace is there as a whole or not at all, and the file stops growing.
#[tokio::test]
async fn retention_keeps_up_with_a_sender_that_never_waits() {
    const TRACES: u64 = 6_000;
    let dir = tempfile::tempdir().expect("a folder");
    let retention = Retention {
        max_age_s: 3600,
        max_spans: 20_000,
        max_bytes: 3 << 20,
    };
    let store = TraceStore::open(Config {
        retention: retention.clone(),
        linger_ms: 1,
        ..config(dir.path())
    })
    .expect("opens");
    let id = |trace: u64| [0x5a5a_u64.to_be_bytes(), trace.to_be_bytes()].concat();
    for first in (1..=TRACES).step_by(50) {
        let spans = (first..first + 50).flat_map(|trace| {
            (1..=10).map(move |number| opentelemetry_proto::tonic::trace::v1::Span {
                trace_id: id(trace),
                name: format!("step {number} {}", "x".repeat(100)),
                ..span(1, number, 0)
            })
        });
        let spans = spans.collect();
        store
            .ingest()
            .append(encode(&request("a", spans)))
            .expect("taken");
    }
    store.flush(PATIENCE).await.expect("indexed");
    store.close(PATIENCE).await.expect("indexed");
    let counters = store.counters();
    assert_eq!(counters.stored, 10 * TRACES);
    let mut left = 0;
    for trace in 1..=TRACES {
        let id = loom_trace::model::TraceId::from_bytes(&id(trace)).expect("not zero");
        let found = store.query().trace(id, 100).await.expect("answered");
        let spans = found.map_or(0, |trace| trace.spans.len());
        assert!(spans == 0 || spans == 10, "{spans} spans of trace {trace}");
        left += spans as u64;
    }
    assert_eq!(left, counters.stored - counters.expired);
    drop(store);
    let stats = loom_trace::store::upkeep::stats(dir.path(), &retention, 0).expect("read");
    assert_eq!(stats.spans, left);
    assert!(left <= retention.max_spans && left > 0, "{left}");
    assert!(stats.used_bytes <= retention.max_bytes, "{stats:?}");
    assert_eq!(stats.due.spans, 0);
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
