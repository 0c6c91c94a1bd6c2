//! `loom up`.

use std::path::PathBuf;
use std::time::Duration;

use loom_telemetry::Sampler;
use owo_colors::Style;
use tokio::runtime::Runtime;

use super::{Exit, Failure, Terminal};
use crate::app::{App, Farewell};
use crate::cli::signals::Signals;
use crate::config::{LoomConfig, Overrides, Token, find_file, load, reachable};
use crate::env::Environment;
use crate::telemetry::{self, ControlPlane};

/// Arguments of `loom up`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  loom up                                  everything on its usual port of this machine
  loom up --ephemeral --json               for tests: with --*-addr 127.0.0.1:0, one line of JSON says where
  loom up --otlp-grpc-addr off             beside a Jaeger or a collector that has port 4317
  OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:14317 loom up
                                           send the server's spans to a Jaeger too")]
pub struct Args {
    /// The settings file [default: loom.toml in this directory, if there is one] [env: `LOOM_CONFIG`]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one line of JSON with the addresses when ready
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    overrides: Overrides,
}

pub(super) fn execute(
    args: Args,
    environment: &dyn Environment,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let file = find_file(args.config, &std::env::current_dir()?, environment);
    let (config, token) = load(file.as_deref(), environment, args.overrides)?;
    let control_plane = prepare(&config, environment, terminal)?;
    run_to_the_end(&config, async {
        let mut signals = Signals::listen()?;
        let app = start(&config, token, environment, &control_plane).await?;
        if args.json {
            let line = serde_json::to_string(app.addresses())
                .map_err(|error| Failure::new(error.to_string()))?;
            terminal.print(&line)?;
        } else {
            terminal.note(&banner(&app, terminal));
        }
        serve(app, &mut signals, terminal).await
    })
}

/// Logs and control-plane spans, before anything that could say something.
pub(super) fn prepare(
    config: &LoomConfig,
    environment: &dyn Environment,
    terminal: &Terminal,
) -> Result<ControlPlane, Failure> {
    let sampler = Sampler::from_env(|name| environment.get(name)).unwrap_or_default();
    let control_plane = ControlPlane::new(sampler);
    telemetry::init(&config.log, &control_plane, terminal.color_stderr)?;
    for name in environment.unknown() {
        tracing::warn!("environment variable {name} means nothing to Loom: is it a typing error?");
    }
    Ok(control_plane)
}

/// Runs `main` on a runtime that leaves the other half of the machine to the agents.
pub(super) fn run_to_the_end(
    config: &LoomConfig,
    main: impl Future<Output = Result<Exit, Failure>>,
) -> Result<Exit, Failure> {
    let runtime = runtime(config.server.worker_threads)?;
    let result = runtime.block_on(main);
    // Whatever still runs has had its time; a second signal means now.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

fn runtime(worker_threads: usize) -> std::io::Result<Runtime> {
    let workers = match worker_threads {
        0 => std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1)),
        number => number,
    };
    // A lone worker is quicker as the thread that also waits for the sockets: no hand-over between the two.
    let mut builder = if workers == 1 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    builder
        .worker_threads(workers)
        .thread_name("loom-worker")
        .enable_all()
        .build()
}

/// Starts the server; the spans of the start are its first ones.
pub(super) async fn start(
    config: &LoomConfig,
    token: Option<Token>,
    environment: &dyn Environment,
    control_plane: &ControlPlane,
) -> Result<App, Failure> {
    use tracing::Instrument;
    let span = tracing::info_span!(target: "loom_server", "loom.start");
    Ok(App::start(config, token, environment, control_plane)
        .instrument(span)
        .await?)
}

/// Waits for a signal, then stops; a second signal does not wait.
pub(super) async fn serve(
    mut app: App,
    signals: &mut Signals,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let is_asked = tokio::select! {
        () = signals.next() => true,
        () = app.failed() => false,
    };
    farewell(app, signals, terminal).await?;
    if is_asked {
        Ok(Exit::Ok)
    } else {
        Err(Failure::new(
            "a listener has ended by itself; the log says why",
        ))
    }
}

/// Stops the server and says what it did.
pub(super) async fn farewell(
    app: App,
    signals: &mut Signals,
    terminal: &Terminal,
) -> Result<Farewell, Failure> {
    terminal.note("stopping: agents leave, spans are flushed; a second signal does not wait");
    tokio::select! {
        farewell = app.stop() => {
            terminal.note(&farewell.summary());
            if farewell.unindexed > 0 {
                terminal.note(&format!("{} spans are not indexed yet; the next start does it", farewell.unindexed));
            }
            Ok(farewell)
        }
        () = signals.next() => Err(Failure::new("stopped at once: what was on its way is lost")),
    }
}

/// What a person wants to know first.
pub(super) fn banner(app: &App, terminal: &Terminal) -> String {
    let bold = |text: &str| terminal.paint_stderr(text, Style::new().bold());
    let addresses = app.addresses();
    let off = || "off".to_owned();
    let at = |address: Option<std::net::SocketAddr>| {
        address.map_or_else(off, |address| address.to_string())
    };
    let http = addresses
        .http
        .map_or_else(off, |address| format!("http://{}", reachable(address)));
    let data = app.data_dir().map_or_else(
        || "in a temporary directory".to_owned(),
        |dir| dir.display().to_string(),
    );
    let in_memory = app.streams_in_memory();
    let kept_until_the_end = (!in_memory.is_empty()).then(|| {
        let names = in_memory.join(", ");
        format!("  streams   {names}: in memory, empty, and gone when this server ends")
    });
    let lines = [
        bold(concat!("loom ", env!("CARGO_PKG_VERSION"), " is ready")),
        format!("  agents    {}", bold(&at(addresses.bridge))),
        format!(
            "  spans     {} (OTLP/gRPC), {} (OTLP/HTTP)",
            at(addresses.otlp_grpc),
            at(addresses.otlp_http)
        ),
        format!("  traces    {http}/api/traces, {http}/trace/<id>, or `loom traces`"),
        format!("  kept      {data}"),
    ];
    let last = "  Ctrl-C stops it".to_owned();
    let lines = lines.into_iter().chain(kept_until_the_end).chain([last]);
    lines.collect::<Vec<_>>().join("\n")
}
