//! `loom-bench`: what bus and journal do inside one process, and spans for a server. Prints one JSON object a line, which `run.py` makes a table of.
//!
//! The allocator is the server's, and so is the code: a bus as `loom up` has it, between two tasks.

mod bus;
mod figure;
#[path = "../../trace/benches/ingest/hop.rs"]
mod hop;
mod journal;
mod relay;
mod routing;
mod spans;

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use tokio::runtime::Runtime;

use crate::bus::{Load, Recording};
use crate::figure::Figure;
use crate::hop::Names;
use crate::journal::Durable;
use crate::relay::Relay;
use crate::routing::Routing;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(
    about = "Measures Loom's bus and journal inside one process, and loads a server with spans"
)]
enum Part {
    /// The bus alone.
    Bus {
        /// How often each figure is measured; the median is what counts.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
        runs: u32,
        /// Events of one run.
        #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..))]
        events: u64,
    },
    /// One publish at a time that the disk must have, and the disk alone.
    Durable {
        /// On which disk: a directory.
        directory: PathBuf,
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
        runs: u32,
        /// Publishes of one run.
        #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..))]
        publishes: u32,
    },
    /// Write a journal for somebody else to open.
    Fill {
        /// Where it will stand.
        directory: PathBuf,
        /// Its length.
        #[arg(value_parser = clap::value_parser!(u64).range(1..1024))]
        gib: u64,
    },
    /// Send spans to a server, as Loom and its agents make them.
    Spans {
        /// Its receiver of OTLP over HTTP.
        address: String,
        /// How many; whole traces of twelve.
        #[arg(value_parser = clap::value_parser!(u64).range(12..))]
        spans: u64,
        /// Number of the first trace: others have others.
        #[arg(long, default_value_t = 0)]
        first: u64,
        /// So many a second at most.
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
        rate: Option<u64>,
        /// They begin in the hours before now.
        #[arg(long, default_value_t = 24)]
        hours: u64,
        /// The spans of the bus do not say whom they are about: the store completes them.
        #[arg(long)]
        completed: bool,
    },
}

fn main() -> anyhow::Result<()> {
    let part = Part::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let figures = match part {
        Part::Bus { runs, events } => bus(&runtime, runs, events)?,
        Part::Durable {
            directory,
            runs,
            publishes,
        } => durable(
            &runtime,
            runs,
            &Durable {
                directory,
                publishes,
            },
        ),
        Part::Fill { directory, gib } => return journal::fill(&directory, gib << 30),
        Part::Spans {
            address,
            spans,
            first,
            rate,
            hours,
            completed,
        } => {
            let load = spans::Sending {
                address,
                traces: first..first + spans / hop::SPANS,
                rate,
                hours,
                names: if completed { Names::Agents } else { Names::All },
            };
            return runtime.block_on(load.run());
        }
    };
    let mut out = std::io::stdout().lock();
    for figure in figures {
        let figure = figure.context("a measurement failed")?;
        writeln!(out, "{}", serde_json::to_string(&figure)?)?;
    }
    Ok(())
}

fn durable(runtime: &Runtime, runs: u32, load: &Durable) -> Vec<anyhow::Result<Figure>> {
    vec![
        Figure::measure("write and fdatasync alone", "µs", "–", runs, || {
            load.sync_alone()
        }),
        Figure::measure(
            "publish inside one process, until it counts",
            "µs",
            "≤ 1.5 × fdatasync",
            runs,
            || load.publish(runtime),
        ),
    ]
}

fn bus(runtime: &Runtime, runs: u32, events: u64) -> anyhow::Result<Vec<anyhow::Result<Figure>>> {
    let load = |name, goal, subscribers, built, recording| {
        let load = Load {
            events: events / u64::from(subscribers),
            subscribers,
            built,
            recording,
        };
        let unit = if subscribers == 1 {
            "events/s"
        } else {
            "deliveries/s"
        };
        Figure::measure(name, unit, goal, runs, || runtime.block_on(load.run()))
    };
    let relay = |name, recording| {
        let relay = Relay {
            events: events / 4,
            recording,
        };
        Figure::measure(name, "events/s", "–", runs, || {
            runtime.block_on(relay.clone().run())
        })
    };
    let routing = Routing::new()?;
    Ok(vec![
        load("bus 1 → 1", "≥ 3 M events/s", 1, false, Recording::Off),
        load(
            "bus 1 → 1, every publish recorded and encoded",
            "≥ 1 M events/s",
            1,
            false,
            Recording::Every,
        ),
        load(
            "bus 1 → 1, each event built (id, 256 B)",
            "–",
            1,
            true,
            Recording::Off,
        ),
        load(
            "bus 1 → 1, each event built, every publish recorded",
            "–",
            1,
            true,
            Recording::Every,
        ),
        load("bus 1 → 8", "≥ 10 M deliveries/s", 8, false, Recording::Off),
        relay(
            "bridge: stream → bus → stream, bare clients",
            Recording::Off,
        ),
        relay(
            "bridge: stream → bus → stream, bare clients, every span recorded",
            Recording::Every,
        ),
        Figure::measure("route uncached", "ns", "≤ 200 ns", runs, || {
            Ok(routing.uncached())
        }),
        Figure::measure("route cached", "ns", "≤ 20 ns", runs, || routing.cached()),
    ])
}
