//! `loom db`.

mod view;

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use loom_trace::StoreError;
use loom_trace::store::Retention;
use loom_trace::store::upkeep;
use serde_json::{Value, json};

use super::{Exit, Failure, Terminal};
use crate::app::data_dir;
use crate::config::{ByteSize, LoomConfig, Overrides, Period, find_file, load};
use crate::env::Environment;

/// Arguments of `loom db`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  loom db stats                                    how large the trace store is, and what retention will delete next
  loom db prune --older-than 7d --max-bytes 2GiB --dry-run
  loom db verify --json                            for a script; exit code 5 if anything is wrong
  loom db migrate --data-dir /var/lib/loom         after an upgrade, before the server starts
stats and verify can be used while the server runs; prune and migrate need its directory for themselves.")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show what is stored, what takes the room, and what retention will delete next
    #[command(after_help = "Examples:
  loom db stats
  loom db stats --json | jq .parts")]
    Stats {
        #[command(flatten)]
        shared: Shared,
    },
    /// Delete the oldest traces, as wholes, until the store is within bounds
    #[command(after_help = "Examples:
  loom db prune --older-than 24h                   what came before yesterday
  loom db prune --max-bytes 2GiB --give-back       also shortens the file; needs as much room once more meanwhile
  loom db prune --max-spans 1000000 --dry-run      only says what would go

A running server deletes by itself: store.max_age, store.max_spans and store.max_bytes of its settings.")]
    Prune {
        /// Spans that came longer ago than this, like 24h or 7d
        #[arg(long, value_name = "DURATION")]
        older_than: Option<Period>,
        /// Beyond so many spans, the oldest
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        max_spans: Option<u64>,
        /// Beyond so many bytes, the oldest
        #[arg(long, value_name = "SIZE")]
        max_bytes: Option<ByteSize>,
        /// Shorten the file too; without it, new spans fill the room
        #[arg(long, conflicts_with = "dry_run")]
        give_back: bool,
        /// Only say what would go
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        shared: Shared,
    },
    /// Check the database, and that everything its rows name is there; exit code 5 if not
    #[command(after_help = "Examples:
  loom db verify
  loom db verify --json | jq .faults

It looks at the database. Whether traces are whole is what `loom verify` tells.")]
    Verify {
        #[command(flatten)]
        shared: Shared,
    },
    /// Bring the database to the newest schema, as the server does at its start
    #[command(after_help = "Examples:
  loom db migrate --data-dir /var/lib/loom
  loom db migrate --json

Needs as much room once more meanwhile. A newer schema is never brought back to an older one: keep a copy.")]
    Migrate {
        #[command(flatten)]
        shared: Shared,
    },
}

/// Which store, and how to answer.
#[derive(Clone, Debug, clap::Args)]
struct Shared {
    /// Directory of the trace store [env: `LOOM_DATA_DIR`] [default: the server's]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The settings file [default: loom.toml in this directory, if there is one] [env: `LOOM_CONFIG`]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A store, and the settings that its server would have.
struct Chosen {
    dir: PathBuf,
    config: LoomConfig,
}

pub(super) fn execute(
    args: &Args,
    environment: &dyn Environment,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    match &args.action {
        Action::Stats { shared } => stats(&shared.choose(environment)?, shared.json, terminal),
        Action::Prune {
            older_than,
            max_spans,
            max_bytes,
            give_back,
            dry_run,
            shared,
        } => {
            let retention = Retention {
                max_age_s: older_than.map_or(0, |age| age.0.as_secs()),
                max_spans: max_spans.unwrap_or(0),
                max_bytes: max_bytes.map_or(0, |bytes| bytes.0),
            };
            let is_nothing = older_than.is_none() && max_spans.is_none() && max_bytes.is_none();
            if is_nothing && !give_back {
                return Err(Failure::usage(
                    "say what may go: --older-than, --max-spans, --max-bytes, or --give-back alone",
                ));
            }
            if older_than.is_some_and(|age| age.0.as_secs() == 0) {
                return Err(Failure::usage("--older-than must be at least 1s"));
            }
            if max_bytes.is_some_and(|bytes| bytes.0 == 0) {
                return Err(Failure::usage("--max-bytes must be at least 1B"));
            }
            let chosen = shared.choose(environment)?;
            if *dry_run {
                would_prune(&chosen, &retention, shared.json, terminal)
            } else {
                prune(&chosen, &retention, *give_back, shared.json, terminal)
            }
        }
        Action::Verify { shared } => verify(&shared.choose(environment)?, shared.json, terminal),
        Action::Migrate { shared } => migrate(&shared.choose(environment)?, shared.json, terminal),
    }
}

fn stats(chosen: &Chosen, json: bool, terminal: &Terminal) -> Result<Exit, Failure> {
    let retention = chosen.config.store.to_config(None).retention;
    let stats = upkeep::stats(&chosen.dir, &retention, now_ms()).map_err(failure)?;
    if json {
        let mut value = value(&stats)?;
        value["data_dir"] = json!(chosen.dir);
        value["retention"] = value_or_null(&retention);
        terminal.print(&value.to_string())?;
    } else {
        terminal.print(&view::stats(&chosen.dir, &stats, &retention, terminal))?;
    }
    Ok(Exit::Ok)
}

fn would_prune(
    chosen: &Chosen,
    retention: &Retention,
    json: bool,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let due = upkeep::would_prune(&chosen.dir, retention, now_ms()).map_err(failure)?;
    if json {
        let mut value = value(&due)?;
        value["dry_run"] = json!(true);
        terminal.print(&value.to_string())?;
    } else {
        let about = if retention.max_bytes > 0 {
            "about "
        } else {
            ""
        };
        let said = format!(
            "{about}{} spans of {} traces would go",
            due.spans, due.traces
        );
        terminal.print(&said)?;
    }
    Ok(Exit::Ok)
}

fn prune(
    chosen: &Chosen,
    retention: &Retention,
    give_back: bool,
    json: bool,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let pruned = upkeep::prune(&chosen.dir, retention, now_ms(), give_back).map_err(failure)?;
    if json {
        let mut value = value(&pruned)?;
        value["dry_run"] = json!(false);
        terminal.print(&value.to_string())?;
    } else {
        terminal.print(&view::pruned(&pruned))?;
    }
    Ok(Exit::Ok)
}

fn verify(chosen: &Chosen, json: bool, terminal: &Terminal) -> Result<Exit, Failure> {
    let faults = upkeep::verify(&chosen.dir).map_err(failure)?;
    if json {
        let told = json!({ "clean": faults.is_empty(), "faults": value(&faults)? });
        terminal.print(&told.to_string())?;
    } else if faults.is_empty() {
        terminal
            .print("clean: the database is whole, and everything that its rows name is there")?;
    } else {
        for fault in &faults {
            let what = super::terminal::clean(&fault.what);
            terminal.print(&format!("{}  {what}", fault.count))?;
        }
    }
    Ok(if faults.is_empty() {
        Exit::Ok
    } else {
        Exit::CheckFailed
    })
}

fn migrate(chosen: &Chosen, json: bool, terminal: &Terminal) -> Result<Exit, Failure> {
    let migrated = upkeep::migrate(&chosen.dir).map_err(failure)?;
    if json {
        terminal.print(&value(&migrated)?.to_string())?;
    } else if migrated.from == migrated.to {
        terminal.print(&format!(
            "schema {} is the newest: nothing to do",
            migrated.to
        ))?;
    } else {
        let said = format!("brought from schema {} to {}", migrated.from, migrated.to);
        terminal.print(&said)?;
    }
    Ok(Exit::Ok)
}

impl Shared {
    fn choose(&self, environment: &dyn Environment) -> Result<Chosen, Failure> {
        let overrides = Overrides {
            data_dir: self.data_dir.clone(),
            ..Overrides::default()
        };
        let file = find_file(self.config.clone(), &std::env::current_dir()?, environment);
        let (config, _) = load(file.as_deref(), environment, overrides)?;
        let dir = data_dir(&config, environment).ok_or_else(|| {
            Failure::usage(
                "the settings say that the store is ephemeral, so nothing is kept: name a directory by --data-dir",
            )
        })?;
        Ok(Chosen { dir, config })
    }
}

fn failure(error: StoreError) -> Failure {
    match error {
        StoreError::Missing(_) => Failure::not_found(error.to_string()),
        StoreError::Locked(dir) => Failure::new(format!(
            "a server uses {}: stop it first; it deletes old traces by itself, and migrates at its start",
            dir.display()
        )),
        error => Failure::new(error.to_string()),
    }
}

fn value(of: &impl serde::Serialize) -> Result<Value, Failure> {
    serde_json::to_value(of).map_err(|error| Failure::new(error.to_string()))
}

/// The bounds of a retention; what keeps all is null.
fn value_or_null(retention: &Retention) -> Value {
    let bound = |bound: u64| (bound > 0).then_some(bound);
    json!({
        "max_age_s": bound(retention.max_age_s),
        "max_spans": bound(retention.max_spans),
        "max_bytes": bound(retention.max_bytes),
    })
}

fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_millis() as u64)
}
