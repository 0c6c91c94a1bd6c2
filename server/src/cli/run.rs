//! `loom run`.

mod whole_traces;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::sleep;

use super::remote::SecretArgs;
use super::signals::Signals;
use super::up::{banner, farewell, prepare, run_to_the_end, start};
use super::{Exit, Failure, Terminal};
use crate::app::{Addresses, App};
use crate::client::{BridgeClient, HttpClient};
use crate::config::{FILE_NAME, Listen, LoomConfig, Overrides, Period, Token, load, reachable};
use crate::env::{self, Environment, ProcessEnvironment};
use crate::launcher::{Supervisor, Surroundings};
use crate::telemetry::ControlPlane;
use whole_traces::WholeTraces;

/// Arguments of `loom run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  loom run                                 the project of this directory
  loom run demo/trace-test --for 10s       for ten seconds
  loom run demo/trace-test --until-traces 3 --for 60s --ephemeral
                                           until three traces went through all agents and are whole
  loom run --address 192.0.2.7:50051       with a server elsewhere")]
pub struct Args {
    /// The directory with the project's loom.toml
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Stop after this time
    #[arg(long = "for", value_name = "DURATION")]
    duration: Option<Period>,
    /// Stop when so many traces went through every agent of the project and are whole; exit code 5 if they do not come
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    until_traces: Option<u32>,
    /// Use the server whose bridge is here, and start none [env: `LOOM_ADDRESS`]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Server")]
    address: Option<String>,
    /// That server's HTTP API [env: `LOOM_HTTP`]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Server")]
    http: Option<String>,
    #[command(flatten)]
    overrides: Overrides,
}

/// The server of a run: ours, or one that ran before.
struct Server {
    app: Option<App>,
    bridge: BridgeClient,
    surroundings: Surroundings,
    http: Option<HttpClient>,
}

/// How long traces may take to become whole when the agents have ended.
const LAST_SPANS: Duration = Duration::from_secs(10);

pub(super) fn execute(
    args: &Args,
    environment: &dyn Environment,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let file = args.dir.join(FILE_NAME);
    if !file.is_file() {
        let dir = args.dir.display();
        return Err(Failure::usage(format!(
            "{dir} has no {FILE_NAME}: write one, or name the directory of a project"
        )));
    }
    let (config, token) = load(Some(&file), environment, args.overrides.clone())?;
    if config.agents.is_empty() {
        return Err(Failure::usage(format!(
            "{} names no agents: add a table [agents.<id>]",
            file.display()
        )));
    }
    let control_plane = prepare(&config, environment, terminal)?;
    if environment.get(env::OTEL_SERVICE_NAME).is_some() {
        tracing::warn!(
            "OTEL_SERVICE_NAME is not handed on to the agents: each has a name of its own in its spans"
        );
    }
    run_to_the_end(&config, async {
        let mut signals = Signals::listen()?;
        let server =
            Server::find_or_start(args, &config, token, environment, &control_plane, terminal)
                .await?;
        supervise(args, &config, server, &mut signals, terminal).await
    })
}

async fn supervise(
    args: &Args,
    config: &LoomConfig,
    mut server: Server,
    signals: &mut Signals,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let mut whole = match (args.until_traces, &server.http) {
        (Some(wanted), Some(http)) => Some(WholeTraces::new(http.clone(), config, wanted)),
        (Some(_), None) => {
            return Err(Failure::usage(
                "--until-traces needs the HTTP API of the server: name it with --http",
            ));
        }
        (None, _) => None,
    };
    // The processes read the environment by themselves; only what is looked up for them needs it here.
    let environment: Arc<dyn Environment + Send + Sync> = Arc::new(ProcessEnvironment);
    let mut agents = Supervisor::start(
        &config.agents,
        &server.surroundings,
        &server.bridge,
        &environment,
        *terminal,
    );

    #[expect(
        clippy::disallowed_methods,
        reason = "the end of a bounded run is the point"
    )]
    let time_over = sleep(
        args.duration
            .map_or(Duration::from_secs(u64::from(u32::MAX)), |period| period.0),
    );
    tokio::pin!(time_over);
    let mut all_good = true;
    let mut left = config.agents.len();
    let result = loop {
        tokio::select! {
            () = signals.next() => break Ok(Exit::Ok),
            () = &mut time_over => break match &whole {
                None => Ok(Exit::Ok),
                Some(whole) => Err(whole.missing()),
            },
            () = reached(whole.as_mut(), terminal) => break Ok(Exit::Ok),
            () = failed(server.app.as_mut()) => break Err(Failure::new("the server has ended; the log says why")),
            ended = agents.next_ended(), if left > 0 => {
                left -= 1;
                all_good &= ended.is_none_or(|ended| ended.is_good);
                if left == 0 {
                    break last_traces(whole.as_mut(), all_good, terminal).await;
                }
            }
        }
    };
    let stopped = agents.stop();
    tokio::select! {
        ended = stopped => all_good &= ended.iter().all(|ended| ended.is_good),
        () = signals.next() => return Err(Failure::new("stopped at once: agents were killed")),
    }
    if let Some(app) = server.app {
        farewell(app, signals, terminal).await?;
    }
    match result {
        Ok(Exit::Ok) if !all_good => Err(Failure::new("an agent ended badly")),
        other => other,
    }
}

/// No agent is left: what they have sent may still be on its way into the store.
async fn last_traces(
    whole: Option<&mut WholeTraces>,
    all_good: bool,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    if let Some(whole) = whole
        && tokio::time::timeout(LAST_SPANS, whole.reached(terminal))
            .await
            .is_err()
    {
        return Err(whole.missing());
    }
    terminal.note("all agents have ended");
    if all_good {
        Ok(Exit::Ok)
    } else {
        Err(Failure::new("an agent ended badly"))
    }
}

async fn reached(whole: Option<&mut WholeTraces>, terminal: &Terminal) {
    match whole {
        Some(whole) => whole.reached(terminal).await,
        None => std::future::pending().await,
    }
}

async fn failed(app: Option<&mut App>) {
    match app {
        Some(app) => app.failed().await,
        None => std::future::pending().await,
    }
}

// ---- Server ----

impl Server {
    async fn find_or_start(
        args: &Args,
        config: &LoomConfig,
        token: Option<Token>,
        environment: &dyn Environment,
        control_plane: &ControlPlane,
        terminal: &Terminal,
    ) -> Result<Self, Failure> {
        let named = args
            .address
            .clone()
            .or_else(|| environment.get(env::LOOM_ADDRESS));
        let usual = match config.server.bridge_addr {
            Listen::At(address) if address.port() != 0 => Some(reachable(address).to_string()),
            _ => None,
        };
        if let Some(address) = named.or(usual) {
            let secret = SecretArgs {
                token_file: args.overrides.token_file.clone(),
            }
            .token(environment)?;
            match Self::find(&address, secret, args, config, environment).await {
                Ok(server) => {
                    terminal.note(&format!("a server runs at {address}: the agents use it"));
                    return Ok(server);
                }
                Err(failure) if args.address.is_some() => return Err(failure),
                Err(failure) => tracing::debug!("no server to use: {}", failure.message),
            }
        }
        Self::start(config, token, environment, control_plane, terminal).await
    }

    async fn find(
        address: &str,
        token: Option<Token>,
        args: &Args,
        config: &LoomConfig,
        environment: &dyn Environment,
    ) -> Result<Self, Failure> {
        /// The part of `/api/v1/info` that is needed here.
        #[derive(Deserialize)]
        struct Info {
            addresses: Addresses,
        }
        let bridge = BridgeClient::connect(address, token.clone()).await?;
        bridge.agents().await?;
        let usual = match config.server.http_addr {
            Listen::At(address) if address.port() != 0 => Some(reachable(address).to_string()),
            _ => None,
        };
        let http = args
            .http
            .clone()
            .or_else(|| environment.get(env::LOOM_HTTP))
            .or(usual);
        let http = http
            .map(|http| HttpClient::new(&http, token.clone()))
            .transpose()?;
        let addresses = match &http {
            Some(http) => http
                .get_json::<Info>("/api/v1/info")
                .await
                .ok()
                .map(|info| info.addresses),
            None => None,
        };
        Ok(Self {
            app: None,
            surroundings: Surroundings {
                bridge: bridge.address().to_owned(),
                otlp: addresses.as_ref().and_then(otlp),
                token,
                grace: config.server.drain_grace.0,
            },
            bridge,
            http,
        })
    }

    async fn start(
        config: &LoomConfig,
        token: Option<Token>,
        environment: &dyn Environment,
        control_plane: &ControlPlane,
        terminal: &Terminal,
    ) -> Result<Self, Failure> {
        let app = start(config, token.clone(), environment, control_plane).await?;
        terminal.note(&banner(&app, terminal));
        let addresses = *app.addresses();
        let Some(address) = addresses.bridge else {
            return Err(Failure::usage(
                "agents need the bridge: server.bridge_addr is off",
            ));
        };
        let bridge = BridgeClient::connect(&reachable(address).to_string(), token.clone()).await?;
        let http = addresses
            .http
            .map(|address| HttpClient::new(&reachable(address).to_string(), token.clone()));
        Ok(Self {
            app: Some(app),
            surroundings: Surroundings {
                bridge: bridge.address().to_owned(),
                otlp: otlp(&addresses),
                token,
                grace: config.server.drain_grace.0,
            },
            bridge,
            http: http.transpose()?,
        })
    }
}

/// Where agents of this machine send their spans; gRPC where both doors are open.
fn otlp(addresses: &Addresses) -> Option<(String, &'static str)> {
    let over_http = || {
        addresses
            .otlp_http
            .map(|address| (format!("http://{}", reachable(address)), "http/protobuf"))
    };
    addresses
        .otlp_endpoint()
        .map(|endpoint| (endpoint, "grpc"))
        .or_else(over_http)
}
