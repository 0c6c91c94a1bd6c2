//! `kill -9` in the middle of the work: each acknowledged span is stored exactly once.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use loom_trace::{Config, TraceStore};

use crate::support::{PATIENCE, encode, request, span};

/// Set for the child only: the directory of its store.
const DIR: &str = "LOOM_TRACE_CRASH_DIR";
const SPANS_PER_REQUEST: u64 = 25;

fn config(dir: &Path) -> Config {
    Config {
        data_dir: dir.to_owned(),
        // The indexer shall be in the middle of something as often as possible.
        linger_ms: 0,
        ..Config::default()
    }
}

/// Not a test but the process that the test below kills: appends for ever and says what was acknowledged.
#[test]
#[ignore = "run by kill_9_loses_nothing as a process of its own"]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let store = TraceStore::open(config(Path::new(&dir))).expect("opens");
    let ingest = store.ingest();
    let mut out = std::io::stdout();
    for first in (1_u64..).step_by(SPANS_PER_REQUEST as usize) {
        let spans = (first..first + SPANS_PER_REQUEST).map(|id| span(1 + (id % 200) as u8, id, 0));
        ingest
            .append(encode(&request("a", spans.collect())))
            .expect("taken");
        // A whole line in one write, so that the parent never reads half of one.
        let line = format!("acknowledged {}\n", first + SPANS_PER_REQUEST - 1);
        out.write_all(line.as_bytes()).expect("the parent reads");
    }
}

#[tokio::test]
async fn kill_9_loses_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    for lines in [1, 40, 400] {
        let acknowledged = run_and_kill(dir.path(), lines);
        let store = TraceStore::open(config(dir.path())).expect("opens after the crash");
        store.flush(PATIENCE).await.expect("the rest is indexed");
        let counters = store.counters();
        assert_eq!((counters.lag, counters.lost_spans), (0, 0), "{counters:?}");
        let mut ids = Vec::new();
        for trace in 1..=200_u8 {
            let id = format!("{trace:02x}").repeat(16).parse().expect("an id");
            if let Some(trace) = store.query().trace(id, 1_000_000).await.expect("answered") {
                ids.extend(
                    trace
                        .spans
                        .iter()
                        .map(|s| u64::from_be_bytes(*s.span_id.as_bytes())),
                );
            }
        }
        ids.sort_unstable();
        // Every span up to the last acknowledged one, each once, and at most what was on its way beyond.
        let last = *ids.last().expect("something was stored");
        let all: Vec<u64> = (1..=last).collect();
        assert_eq!(ids, all, "holes or duplicates");
        assert!(
            last >= acknowledged,
            "stored up to {last}, acknowledged {acknowledged}"
        );
        store.close(PATIENCE).await.expect("closes");
    }
}

/// Starts the child, kills it after so many acknowledgements, and returns the last one that it gave.
fn run_and_kill(dir: &Path, lines: usize) -> u64 {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "crash::child", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let out = BufReader::new(child.stdout.take().expect("piped"));
    let mut acknowledged = 0;
    let mut seen = 0;
    for line in out.lines().map_while(Result::ok) {
        // The test harness may have put words of its own before ours.
        let Some((_, number)) = line.rsplit_once("acknowledged ") else {
            continue;
        };
        acknowledged = number.parse().expect("a number");
        seen += 1;
        if seen == lines {
            // SIGKILL; what it still acknowledges until then comes through the pipe.
            child.kill().expect("is our child");
        }
    }
    assert!(
        seen >= lines,
        "the child has ended by itself after {seen} lines"
    );
    child.wait().expect("is our child");
    acknowledged
}
