//! Sensors, a group of processors and a group of outputs on streams, and kill -9 of any process at any moment: nothing that was
//! acknowledged is lost, each order is handled at least once, and those of a thread in their order; and in the end every trace is
//! whole, and everything that the bus has accepted is in one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use loom_proto::EventId;
use loom_tests::eventually;
use loom_tests::python::PythonAgent;
use loom_tests::server::{Options, TestServer};
use loom_trace::verify::Report;
use tempfile::TempDir;

const SETTINGS: &str = r#"
[streams.orders]
topics = ["orders.>"]
[streams.results]
topics = ["results.>"]
[telemetry]
mend_after = "1s"
"#;
const SENSORS: usize = 2;
/// Processes that are killed; `make chaos` sets `LOOM_KILLS` to more.
const KILLS: u64 = 8;
/// Orders of each sensor for each kill: enough to be still at it.
const ORDERS_PER_KILL: u64 = 375;

/// The processes, by role and number.
const CAST: [(&str, usize); 3] = [("sensor", SENSORS), ("processor", 3), ("output", 2)];

struct Stage {
    home: TempDir,
    server: Option<TestServer>,
    agents: BTreeMap<String, PythonAgent>,
    /// Where the server listens, also after it was killed.
    addresses: Vec<String>,
    /// Orders of each sensor.
    count: u64,
}

impl Stage {
    fn open(count: u64) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let mut stage = Self {
            home,
            server: None,
            agents: BTreeMap::new(),
            addresses: Vec::new(),
            count,
        };
        stage.start_server();
        for (role, number) in CAST.into_iter().rev() {
            (0..number).for_each(|index| stage.start_agent(&format!("{role}-{index}")));
        }
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn server(&self) -> &TestServer {
        self.server.as_ref().expect("it runs")
    }

    fn start_server(&mut self) {
        let server = TestServer::with(Options {
            settings: SETTINGS.to_owned(),
            data_dir: Some(self.path("data")),
            arguments: self.addresses.clone(),
            ..Options::default()
        });
        let at = server.addresses();
        let flags = [
            ("--bridge-addr", at.bridge),
            ("--otlp-grpc-addr", at.otlp_grpc),
            ("--otlp-http-addr", at.otlp_http),
            ("--http-addr", at.http),
        ];
        self.addresses = flags
            .into_iter()
            .flat_map(|(flag, address)| [flag.to_owned(), address.expect("open").to_string()])
            .collect();
        self.server = Some(server);
    }

    fn start_agent(&mut self, id: &str) {
        let role = id.split('-').next().expect("a role");
        let mut environment = self.server().environment();
        let mut set = |name: &str, value: String| environment.push((name.to_owned(), value));
        let text = |path: PathBuf| path.to_str().expect("UTF-8").to_owned();
        set("KILL_ID", id.to_owned());
        set("KILL_COUNT", self.count.to_string());
        set("KILL_BOOK", text(self.path(&format!("{id}.book"))));
        set("KILL_RESULTS", text(self.path("results")));
        let agent = PythonAgent::start(&format!("tests/agents/kill_{role}.py"), environment);
        self.agents.insert(id.to_owned(), agent);
    }

    /// Waits until more orders are handled than now, or all. Returns how many are missing.
    async fn goes_on(&self, seed: u64) -> u64 {
        let before = self.missing();
        eventually("more orders are handled", async || {
            let missing = self.missing();
            if missing < before || missing == 0 {
                return Ok(missing);
            }
            Err(format!("{missing} are missing, seed {seed}"))
        })
        .await
    }

    fn kill_and_start(&mut self, victim: usize) -> String {
        let ids: Vec<_> = self.agents.keys().cloned().collect();
        let Some(id) = ids.get(victim % (ids.len() + 1)) else {
            self.server.take().expect("it runs").kill();
            self.start_server();
            return "server".to_owned();
        };
        self.agents.remove(id).expect("it runs").kill();
        self.start_agent(id);
        id.clone()
    }

    fn acknowledged(&self, sensor: usize) -> u64 {
        let book = fs::read_to_string(self.path(&format!("sensor-{sensor}.book")));
        book.map_or(0, |text| text.trim().parse().expect("a number"))
    }

    /// What the outputs have written: sensor, thread and number.
    fn results(&self) -> Vec<(String, u64, u64)> {
        let text = fs::read_to_string(self.path("results")).unwrap_or_default();
        // A line that is just being written has no end yet.
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        whole.lines().map(result).collect()
    }

    /// How many orders are not handled, or not acknowledged.
    fn missing(&self) -> u64 {
        let results = self.results();
        let missing_of = |sensor: usize| {
            let id = format!("sensor-{sensor}");
            let handled: BTreeSet<u64> = results
                .iter()
                .filter(|(of, ..)| *of == id)
                .map(|(_, _, number)| *number)
                .collect();
            let lost = self.count - handled.len() as u64;
            lost.max(self.count - self.acknowledged(sensor))
        };
        (0..SENSORS).map(missing_of).sum()
    }

    fn logs(&self) -> String {
        let agents = self.agents.iter();
        let logs = agents.map(|(id, agent)| format!("== {id}\n{}\n", agent.log()));
        format!(
            "{}== server\n{}",
            logs.collect::<String>(),
            self.server().log()
        )
    }
}

impl Drop for Stage {
    #[expect(
        clippy::print_stderr,
        reason = "what everybody said is told with the failure"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
            self.home.disable_cleanup(true);
            eprintln!("what was stored is in {}", self.home.path().display());
        }
    }
}

fn result(line: &str) -> (String, u64, u64) {
    let mut words = line.split(' ');
    let mut word = || words.next().expect("three words");
    let sensor = word().to_owned();
    let mut number = || word().parse().expect("a number");
    (sensor, number(), number())
}

/// Of each thread, the numbers in the order in which they were first written must ascend without a gap.
fn assert_order(results: &[(String, u64, u64)]) {
    let mut last: BTreeMap<(&str, u64), u64> = BTreeMap::new();
    for (sensor, thread, number) in results {
        let last = last.entry((sensor, *thread)).or_default();
        let first = if *thread == 0 { 4 } else { *thread };
        let next = if *last == 0 { first } else { *last + 4 };
        assert!(*number <= next, "{sensor}: {number} came before {next}");
        *last = (*last).max(*number);
    }
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_and_threads_keep_their_order() {
    let kills = std::env::var("LOOM_KILLS").map_or(KILLS, |text| text.parse().expect("a number"));
    let mut stage = Stage::open(kills * ORDERS_PER_KILL);
    // Other victims in each run; the seed is told when it fails.
    let seed = u64::from_le_bytes(EventId::now().0[8..].try_into().expect("8 bytes"));
    let mut random = seed | 1;
    for _ in 0..kills {
        stage.goes_on(seed).await;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let killed = stage.kill_and_start(random as usize);
        println!("killed {killed}");
    }
    while stage.goes_on(seed).await > 0 {}
    assert_order(&stage.results());
    eventually("both groups have settled everything", async || {
        let mut open = Vec::new();
        for (stream, group) in [("orders", "processors"), ("results", "outputs")] {
            let labels = format!("{{stream=\"{stream}\",group=\"{group}\"}}");
            for metric in ["loom_group_open", "loom_group_lag", "loom_group_dead_total"] {
                open.push(stage.server().metric(&format!("{metric}{labels}")).await);
            }
        }
        if open.iter().all(|count| *count == 0) {
            Ok(())
        } else {
            Err(open)
        }
    })
    .await;
    let report = eventually("every trace is whole", async || {
        let report: Report = verified(stage.server()).await;
        if report.is_clean() && report.unsettled == 0 {
            Ok(report)
        } else {
            Err(format!("{report:#?}"))
        }
    })
    .await;
    // Each order and each result, at least once.
    let orders = SENSORS as u64 * stage.count;
    assert!(report.accepted >= 2 * orders, "{report:#?}");
    println!("{} spans stand in for lost ones", report.stand_ins);
}

async fn verified(server: &TestServer) -> Report {
    let report = server.http().get_json("/api/v1/verify?samples=5").await;
    report.expect("the server verifies")
}
