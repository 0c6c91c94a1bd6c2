//! The checks, each with what to do about it.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Uri;
use loom_proto::trace_context::TraceContext;
use loom_proto::{EventId, semconv, v1};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use super::report::Report;
use crate::app::Addresses;
use crate::client::{BridgeClient, HttpClient};
use crate::config::{Overrides, Token, find_file, load, reachable};
use crate::env::{self, Environment};
use crate::launcher::find_interpreter;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const CONNECT: Duration = Duration::from_secs(2);
const IMPORT: Duration = Duration::from_secs(20);
/// A span is stored about a tenth of a second after its end.
const TRACE: Duration = Duration::from_secs(5);
/// Beyond it, spans of two machines do not line up.
const SKEW: Duration = Duration::from_millis(500);

/// The set-up under examination.
pub(super) struct Patient<'a> {
    pub(super) environment: &'a dyn Environment,
    pub(super) bridge: String,
    pub(super) http: HttpClient,
    pub(super) token: Option<Token>,
}

/// The part of `/api/v1/info` that is looked at.
#[derive(Debug, Deserialize)]
struct Info {
    version: String,
    time_unix_nano: String,
    addresses: Addresses,
}

impl Patient<'_> {
    pub(super) async fn examine(&self) -> Report {
        let mut report = Report::default();
        self.settings(&mut report);
        self.variables(&mut report);
        let bridge = self.bridge(&mut report).await;
        let info = self.api(&mut report).await;
        if let Some(info) = &info {
            self.server(&mut report, info).await;
        }
        self.endpoint(&mut report, info.as_ref()).await;
        self.python(&mut report).await;
        if let (Some(bridge), Some(_)) = (&bridge, &info) {
            self.end_to_end(&mut report, bridge).await;
        }
        report
    }

    /// The settings of this directory, and whether the store can be written.
    fn settings(&self, report: &mut Report) {
        let directory = std::env::current_dir().unwrap_or_default();
        let file = find_file(None, &directory, self.environment);
        let shown = file
            .as_ref()
            .map_or("the defaults".to_owned(), |file| file.display().to_string());
        let (config, _) = match load(file.as_deref(), self.environment, Overrides::default()) {
            Ok(loaded) => loaded,
            Err(error) => {
                return report.bad(
                    "settings",
                    error.to_string(),
                    "mend the file or the variable",
                );
            }
        };
        report.good("settings", shown);
        let Some(data_dir) = crate::app::data_dir(&config, self.environment) else {
            return report.good("data directory", "a temporary one");
        };
        match writable(&data_dir) {
            Ok(()) => report.good("data directory", data_dir.display().to_string()),
            Err(error) => report.bad(
                "data directory",
                format!("{} cannot be written: {error}", data_dir.display()),
                "name another with --data-dir or LOOM_DATA_DIR, or use --ephemeral",
            ),
        }
    }

    fn variables(&self, report: &mut Report) {
        let unknown = self.environment.unknown();
        if !unknown.is_empty() {
            report.doubtful(
                "environment",
                format!("{} means nothing to Loom", unknown.join(", ")),
                "is it a typing error? docs/configuration.md lists every variable",
            );
        }
        if let Some(name) = self.environment.get(env::OTEL_SERVICE_NAME) {
            report.doubtful(
                "environment",
                format!("OTEL_SERVICE_NAME is {name}: every agent started from this shell has this one name"),
                "unset it; an agent is then called agent-<id>",
            );
        }
    }

    async fn bridge(&self, report: &mut Report) -> Option<BridgeClient> {
        let asked = async {
            let client = BridgeClient::connect(&self.bridge, self.token.clone()).await?;
            let agents = client.agents().await?;
            Ok::<_, crate::client::ClientError>((client, agents.len()))
        };
        match asked.await {
            Ok((client, agents)) => {
                report.is_reachable = true;
                report.good(
                    "bridge",
                    format!("{} answers, {agents} agents are connected", self.bridge),
                );
                Some(client)
            }
            Err(error) => {
                report.bad(
                    "bridge",
                    error.to_string(),
                    "start it with `loom up`, or name it with --address",
                );
                None
            }
        }
    }

    async fn api(&self, report: &mut Report) -> Option<Info> {
        match self.http.get_json::<Info>("/api/v1/info").await {
            Ok(info) => {
                report.good("HTTP API", format!("{} answers", self.http.base_url()));
                Some(info)
            }
            Err(error) => {
                report.bad(
                    "HTTP API",
                    error.to_string(),
                    "name it with --http; without it traces cannot be looked at",
                );
                None
            }
        }
    }

    async fn server(&self, report: &mut Report, info: &Info) {
        if info.version == VERSION {
            report.good("version", format!("server and command line are {VERSION}"));
        } else {
            let detail = format!(
                "the server is {}, the command line is {VERSION}",
                info.version
            );
            report.doubtful("version", detail, "use the same version on both sides");
        }
        let theirs: u64 = info.time_unix_nano.parse().unwrap_or(0);
        let ours = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let skew = ours.abs_diff(Duration::from_nanos(theirs));
        if skew < SKEW {
            report.good("clock", "this machine and the server agree");
        } else {
            let detail = format!(
                "differs from the server's by {}",
                humantime::format_duration(skew)
            );
            report.doubtful(
                "clock",
                detail,
                "run NTP on both machines, or spans will not line up",
            );
        }
        for (name, address) in [
            ("OTLP over gRPC", info.addresses.otlp_grpc),
            ("OTLP over HTTP", info.addresses.otlp_http),
        ] {
            match address {
                None => report.doubtful(
                    name,
                    "is switched off",
                    "agents then need another collector",
                ),
                Some(address) => match connect(&reachable(address).to_string()).await {
                    Ok(()) => report.good(name, format!("{address} takes connections")),
                    Err(error) => report.bad(
                        name,
                        format!("{address}: {error}"),
                        "is a firewall between?",
                    ),
                },
            }
        }
    }

    /// Where agents started from this shell send their spans.
    async fn endpoint(&self, report: &mut Report, info: Option<&Info>) {
        const NAME: &str = "agents' spans";
        let named = self
            .environment
            .get(env::OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)
            .or_else(|| self.environment.get(env::OTEL_EXPORTER_OTLP_ENDPOINT));
        let own = info.and_then(|info| info.addresses.otlp_endpoint());
        let Some(endpoint) = named else {
            let usual = own.as_ref().is_none_or(|own| own.ends_with(":4317"));
            return match own {
                Some(own) if !usual => report.doubtful(
                    NAME,
                    format!(
                        "go to the default http://localhost:4317, but this server receives at {own}"
                    ),
                    format!(
                        "export OTEL_EXPORTER_OTLP_ENDPOINT={own} (`loom run` does it by itself)"
                    ),
                ),
                _ => report.good(NAME, "go to the default http://localhost:4317"),
            };
        };
        match host_and_port(&endpoint) {
            None => report.bad(
                NAME,
                format!("{endpoint} is no URL"),
                "write http://host:4317",
            ),
            Some(address) => match connect(&address).await {
                Ok(()) => report.good(NAME, format!("go to {endpoint}, which takes connections")),
                Err(error) => report.bad(
                    NAME,
                    format!("{endpoint}: {error}"),
                    "start that collector, or unset the variable",
                ),
            },
        }
    }

    async fn python(&self, report: &mut Report) {
        const NAME: &str = "Python package";
        let interpreter = find_interpreter(
            &std::env::current_dir().unwrap_or_default(),
            self.environment,
        );
        let shown = interpreter.display().to_string();
        // PyPI has a package of this name that belongs to somebody else: it has no Agent.
        let script = "import loom; loom.Agent; print(loom.__version__)";
        let run = tokio::process::Command::new(&interpreter)
            .args(["-c", script])
            .env(env::LOOM_TELEMETRY_AUTO, "0")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        match timeout(IMPORT, run).await {
            Ok(Ok(output)) if output.status.success() => {
                let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                if version == VERSION {
                    report.good(NAME, format!("loom {version} in {shown}"));
                } else {
                    let detail =
                        format!("loom {version} in {shown}, the command line is {VERSION}");
                    report.doubtful(
                        NAME,
                        detail,
                        "install the version that belongs to this binary",
                    );
                }
            }
            Ok(Ok(output)) => {
                let error = String::from_utf8_lossy(&output.stderr);
                let last = error.lines().last().unwrap_or("no reason given").to_owned();
                let fix = "install loom-agents into that environment (in a checkout: make sdk), or set LOOM_PYTHON";
                report.doubtful(NAME, format!("{shown} cannot import it: {last}"), fix);
            }
            Ok(Err(error)) => {
                report.doubtful(
                    NAME,
                    format!("{shown}: {error}"),
                    "install Python 3.11 or newer, or set LOOM_PYTHON",
                );
            }
            Err(_) => report.doubtful(
                NAME,
                format!("{shown} did not answer in time"),
                "try `python -c 'import loom'`",
            ),
        }
    }

    /// One event through the bus, and its trace out of the store.
    async fn end_to_end(&self, report: &mut Report, bridge: &BridgeClient) {
        const NAME: &str = "event and trace";
        let event = v1::Event {
            id: EventId::now().0.to_vec().into(),
            topic: "loom.doctor".to_owned(),
            r#type: "examination".to_owned(),
            ..v1::Event::default()
        };
        let answer = match bridge.publish(event).await {
            Ok(answer) => answer,
            Err(error) => {
                return report.bad(
                    NAME,
                    format!("the event was refused: {error}"),
                    "see the server's log",
                );
            }
        };
        let trace = match TraceContext::parse(answer.traceparent.as_bytes()) {
            Ok(trace) if trace.is_sampled() => trace,
            _ => {
                let fix = "see OTEL_TRACES_SAMPLER and telemetry.record of the server";
                return report.doubtful(
                    NAME,
                    "the event went through; the server records no trace of it",
                    fix,
                );
            }
        };
        let path = format!("/api/traces/{}", trace.trace_id);
        let stored = async {
            let mut look = interval(Duration::from_millis(50));
            loop {
                look.tick().await;
                let found = self.http.get_text(&path).await;
                if found.is_ok_and(|trace| trace.contains(semconv::span::BUS_PUBLISH)) {
                    return;
                }
            }
        };
        match timeout(TRACE, stored).await {
            Ok(()) => report.good(
                NAME,
                format!(
                    "an event went through the bus, and its trace {} is stored",
                    trace.trace_id
                ),
            ),
            Err(_) => report.bad(
                NAME,
                format!(
                    "trace {} was not stored within {} s",
                    trace.trace_id,
                    TRACE.as_secs()
                ),
                "see loom_store_lag and loom_spans_dropped_total in /metrics, and the server's log",
            ),
        }
    }
}

/// Tries it in the nearest directory that exists; nothing is left behind.
fn writable(directory: &std::path::Path) -> std::io::Result<()> {
    let absolute = std::path::absolute(directory)?;
    let existing: Option<PathBuf> = absolute
        .ancestors()
        .find(|path| path.exists())
        .map(PathBuf::from);
    let probe = existing
        .unwrap_or(absolute)
        .join(format!(".loom-doctor-{}", std::process::id()));
    std::fs::write(&probe, b"")?;
    std::fs::remove_file(&probe)
}

async fn connect(address: &str) -> Result<(), String> {
    match timeout(CONNECT, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer in 2 s".to_owned()),
    }
}

fn host_and_port(endpoint: &str) -> Option<String> {
    let with_scheme = if endpoint.contains("://") {
        endpoint.to_owned()
    } else {
        format!("http://{endpoint}")
    };
    let uri: Uri = with_scheme.parse().ok()?;
    let default = if uri.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    Some(format!(
        "{}:{}",
        uri.host()?,
        uri.port_u16().unwrap_or(default)
    ))
}
