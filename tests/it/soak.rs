//! A slow agent among fast ones holds back only its own publisher, or loses realtime events that are counted; and nobody's memory grows
//! by what it cannot get rid of.
//!
//! Nothing here is slow by the clock: the slow agents may handle one event for each so many that the fast one has handled. Were the fast
//! lane held back with them, all would stand still.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use loom_core::ledger::INBOXES;
use loom_tests::agent::{RawAgent, event, hello};
use loom_tests::cli::run;
use loom_tests::eventually;
use loom_tests::python::{PythonAgent, variables};
use loom_tests::server::{Options, TestServer};
use rustix::process::Signal;
use serde_json::Value;

/// More spans are recorded than the store takes: what waits on the disk, and what is kept there, soon is as much as may be.
const SETTINGS: &str = r#"
[bus]
publish_wait = "10m"
[store]
max_spans = 20000
spool = "8MiB"
"#;
/// How long it runs; `make chaos` sets `LOOM_SOAK_SECONDS` to more.
const SECONDS: u64 = 15;
/// Events of the fast lane for each event of a slow one.
const TURN: &str = "100";
/// Events of the fast lane from one look at the books to the next.
const STEP: u64 = 2000;
/// Events in the mailbox of a slow agent.
const MAILBOX: u64 = 64;
/// KiB that a process may grow by after a third of the time. A few bytes left behind by each event are more in ten minutes, which are
/// millions of events; in the seconds of a normal test, this is against what is kept whole.
const GROWTH: u64 = 32 * 1024;
/// KiB of spans that an agent may keep while the store is full, which a short run fills late: `backlog_bytes` of the exporter.
const BACKLOG: u64 = 64 * 1024;

/// The lanes: name, class of the subscription, and script of who listens.
const LANES: [(&str, &str, &str); 3] = [
    ("fast", "batched", "soak_fast"),
    ("slow", "batched", "soak_slow"),
    ("live", "realtime", "soak_slow"),
];

struct Stage {
    server: TestServer,
    agents: BTreeMap<String, PythonAgent>,
}

impl Stage {
    async fn open() -> Self {
        let server = TestServer::with(Options {
            settings: SETTINGS.to_owned(),
            ..Options::default()
        });
        let mut stage = Self {
            server,
            agents: BTreeMap::new(),
        };
        // Consumers before producers: what nobody listens to is not delivered.
        for (lane, qos, script) in LANES {
            stage.start(script, &format!("{lane}-agent"), &format!("{lane}.>"), qos);
            stage.server.has_agent(&format!("{lane}-agent")).await;
        }
        for (lane, ..) in LANES {
            let topic = format!("{lane}.reading");
            stage.start("soak_sensor", &format!("{lane}-sensor"), &topic, "");
        }
        stage
    }

    fn start(&mut self, script: &str, id: &str, topic: &str, qos: &str) {
        let own = variables([
            ("SOAK_ID", id),
            ("SOAK_TOPIC", topic),
            ("SOAK_QOS", qos),
            ("SOAK_TURN", TURN),
            ("SOAK_MAILBOX", &MAILBOX.to_string()),
        ]);
        let environment = self.server.environment().into_iter().chain(own);
        let agent = PythonAgent::start(&format!("tests/agents/{script}.py"), environment);
        self.agents.insert(id.to_owned(), agent);
    }

    async fn books(&self) -> Books {
        let answer = self.server.http().get_json("/api/v1/stats").await;
        Books(answer.expect("the books"))
    }

    /// The memory of each process, in KiB.
    fn memory(&self) -> BTreeMap<String, u64> {
        let agents = self.agents.iter();
        let agents = agents.map(|(id, agent)| (id.clone(), agent.process_id()));
        let server = ("server".to_owned(), self.server.process_id());
        agents
            .chain([server])
            .map(|(name, process)| (name, resident(process)))
            .collect()
    }

    /// Waits until a process has ended by itself, or after a SIGTERM; returns the number behind `word` in what it said.
    fn ended(&mut self, id: &str, word: &str, signal: Option<Signal>) -> u64 {
        let mut agent = self.agents.remove(id).expect("it runs");
        if let Some(signal) = signal {
            agent.signal(signal);
        }
        let status = agent.wait();
        let log = agent.log();
        assert!(status.success(), "{id}: {status}: {log}");
        let mut said = log.lines().filter_map(|line| line.strip_prefix(word));
        let count = said.next().unwrap_or_else(|| panic!("{id}: {log}"));
        count.trim().parse().expect("a number")
    }
}

impl Drop for Stage {
    #[expect(
        clippy::print_stderr,
        reason = "what everybody said is told with the failure"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (id, agent) in &self.agents {
                eprintln!("== {id}\n{}", agent.log());
            }
            eprintln!("== server\n{}", self.server.log());
        }
    }
}

struct Books(Value);

impl Books {
    fn row(&self, topic: &str) -> Option<&Value> {
        let mut rows = self.0["bus"]["topics"].as_array().expect("a list").iter();
        rows.find(|row| row["topic"] == topic)
    }

    /// A count of a topic; 0 where nothing was booked yet.
    fn count(&self, topic: &str, column: &str) -> u64 {
        let row = self.row(topic);
        row.map_or(0, |row| row[column].as_u64().expect("a count"))
    }

    /// Nothing is on its way, and each event that a slow agent has got has had its turn, which is a reply.
    fn is_all_handled(&self) -> bool {
        let slow = ["slow.reading", "live.reading"].map(|topic| self.count(topic, "delivered"));
        let turns = self.count(INBOXES, "delivered");
        self.0["bus"]["total"]["in_flight"] == 0 && turns == slow.iter().sum::<u64>()
    }
}

fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let line = line.unwrap_or_else(|| panic!("{status}"));
    let kib = line.trim().strip_suffix(" kB").expect("in kB");
    kib.parse().expect("a number")
}

fn raise(highest: &mut BTreeMap<String, u64>, memory: BTreeMap<String, u64>) {
    for (name, kib) in memory {
        let highest = highest.entry(name).or_default();
        *highest = kib.max(*highest);
    }
}

#[tokio::test]
async fn a_slow_agent_holds_back_its_own_publisher_and_memory_stays_bounded() {
    let seconds = std::env::var("LOOM_SOAK_SECONDS");
    let seconds = seconds.map_or(SECONDS, |text| text.parse().expect("a number"));
    let mut stage = Stage::open().await;
    let (begun, length) = (Instant::now(), Duration::from_secs(seconds));
    let (mut warm, mut after) = (BTreeMap::new(), BTreeMap::new());
    while begun.elapsed() < length || after.is_empty() {
        let before = stage.books().await.count("fast.reading", "delivered");
        eventually("the fast lane goes on beside a full slow one", async || {
            let books = stage.books().await;
            let goes_on = books.count("fast.reading", "delivered") >= before + STEP;
            // A full mailbox, and one event more whose publisher waits for room.
            if goes_on && books.count("slow.reading", "in_flight") > MAILBOX {
                Ok(())
            } else {
                Err(books.0)
            }
        })
        .await;
        let is_warm = begun.elapsed() >= length / 3 && !warm.is_empty();
        raise(if is_warm { &mut after } else { &mut warm }, stage.memory());
    }

    let mut director = RawAgent::connect(stage.server.bridge_addr(), hello("director", &[])).await;
    director.publish(vec![event("soak.end", "")]).await;
    director.ack().await;
    let published = LANES.map(|(lane, ..)| {
        let sensor = format!("{lane}-sensor");
        (lane, stage.ended(&sensor, "published ", None))
    });
    eventually("all is handled", async || {
        let books = stage.books().await;
        if books.is_all_handled() {
            Ok(())
        } else {
            Err(books.0)
        }
    })
    .await;

    let http = stage.server.http().base_url();
    let books = Books(run(&["stats", "--http", &http, "--json"], None).json());
    let told = &books.0;
    assert_eq!(told["bus"]["balanced"], true, "{told:#}");
    let handled = LANES.map(|(lane, ..)| {
        let agent = format!("{lane}-agent");
        (lane, stage.ended(&agent, "handled ", Some(Signal::TERM)))
    });
    for ((lane, published), (_, handled)) in published.into_iter().zip(handled) {
        println!("{lane}: {handled} handled of {published}");
        let topic = format!("{lane}.reading");
        let booked = ["events", "delivered"].map(|column| books.count(&topic, column));
        assert_eq!(booked, [published, handled], "{lane}: {told:#}");
        if lane != "live" {
            assert_eq!(handled, published, "{lane}: {told:#}");
        }
    }
    let live = books.row("live.reading").expect("it has an account");
    let lost = &live["dropped"];
    let missing = published[2].1 - handled[2].1;
    assert!(missing > 0, "the realtime lane was never full: {told:#}");
    assert_eq!(lost["mailbox_full"], missing, "{told:#}");

    for (name, after) in after {
        let warm = warm[&name];
        println!("{name}: {warm} KiB when it was warm, {after} KiB at most after that");
        let kept = if name == "server" { 0 } else { BACKLOG };
        let bound = warm + GROWTH + kept;
        assert!(after <= bound, "{name} grew from {warm} to {after} KiB");
    }
}
