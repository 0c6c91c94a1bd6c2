//! The real server as a process.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use loom_proto::v1;
use loom_server::app::Addresses;
use loom_server::client::{BridgeClient, HttpClient};
use loom_server::config::Token;
use serde_json::Value;
use tempfile::TempDir;

use crate::eventually;
use crate::process::{Guarded, command, loom};
use crate::spans::TraceView;

/// `loom up` on free ports with a data directory of its own.
#[derive(Debug)]
pub struct TestServer {
    process: Guarded,
    addresses: Addresses,
    log: PathBuf,
    token: Option<Token>,
    _home: TempDir,
    data: PathBuf,
}

/// How a server is started.
#[derive(Debug, Default)]
pub struct Options {
    /// Further arguments.
    pub arguments: Vec<String>,
    /// Variables.
    pub environment: Vec<(String, String)>,
    /// The text of a settings file.
    pub settings: String,
    /// A data directory that outlives the server.
    pub data_dir: Option<PathBuf>,
}

impl TestServer {
    /// A server with the defaults.
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    /// A server with these settings, on a data directory that outlives it.
    pub fn keeping(settings: &str, data_dir: &Path) -> Self {
        Self::with(Options {
            settings: settings.to_owned(),
            data_dir: Some(data_dir.to_owned()),
            ..Options::default()
        })
    }

    /// A server that was told something.
    ///
    /// # Panics
    /// When it does not start; with what it said.
    pub fn with(options: Options) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let log = home.path().join("log");
        let settings = home.path().join("settings.toml");
        fs::write(&settings, &options.settings).expect("written");
        let data = options.data_dir.unwrap_or_else(|| home.path().join("data"));
        let any = "127.0.0.1:0";
        let mut command = command(loom());
        command
            .args(["up", "--json", "--config"])
            .arg(&settings)
            .arg("--data-dir")
            .arg(&data)
            .args([
                "--bridge-addr",
                any,
                "--otlp-grpc-addr",
                any,
                "--otlp-http-addr",
                any,
                "--http-addr",
                any,
            ])
            .args(&options.arguments)
            .envs(
                options
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).expect("a log"));
        let mut process = Guarded(command.spawn().expect("the binary starts"));
        let mut ready = String::new();
        let stdout = process.0.stdout.take().expect("it is a pipe");
        BufReader::new(stdout)
            .read_line(&mut ready)
            .expect("readable");
        let addresses = serde_json::from_str(&ready)
            .unwrap_or_else(|error| panic!("no line of JSON ({error}); the log: {}", read(&log)));
        let token = options
            .environment
            .iter()
            .find(|(name, _)| name == "LOOM_TOKEN");
        let token = token.map(|(_, token)| Token::new(token).expect("a good token"));
        Self {
            process,
            addresses,
            log,
            token,
            _home: home,
            data,
        }
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The bridge's address.
    pub fn bridge_addr(&self) -> SocketAddr {
        self.addresses.bridge.expect("the bridge is open")
    }

    /// The variables with which an agent or a command finds it.
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut variables = vec![
            ("LOOM_ADDRESS".to_owned(), self.bridge_addr().to_string()),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(),
                self.addresses.otlp_endpoint().unwrap_or_default(),
            ),
        ];
        if let Some(http) = self.addresses.http {
            variables.push(("LOOM_HTTP".to_owned(), http.to_string()));
        }
        if let Some(token) = &self.token {
            variables.push(("LOOM_TOKEN".to_owned(), token.expose().to_owned()));
        }
        variables
    }

    /// A connection for unary calls.
    pub async fn bridge(&self) -> BridgeClient {
        BridgeClient::connect(&self.bridge_addr().to_string(), self.token.clone())
            .await
            .expect("the bridge answers")
    }

    /// The API.
    pub fn http(&self) -> HttpClient {
        let address = self.addresses.http.expect("the API is open");
        HttpClient::new(&address.to_string(), self.token.clone()).expect("an address")
    }

    /// The counters of the bus and the spans.
    pub async fn stats(&self) -> v1::GetStatsResponse {
        self.bridge().await.stats().await.expect("counters")
    }

    /// A counter of `/metrics`; 0 where it has no sample.
    pub async fn metric(&self, name_and_labels: &str) -> u64 {
        let text = self.http().get_text("/metrics").await.expect("metrics");
        let sample = text
            .lines()
            .find_map(|line| line.strip_prefix(name_and_labels)?.strip_prefix(' '));
        sample.map_or(0, |value| value.parse().expect("a number"))
    }

    /// Waits until an agent is connected.
    pub async fn has_agent(&self, id: &str) {
        let bridge = self.bridge().await;
        eventually(&format!("agent {id} is connected"), async || {
            let agents = bridge.agents().await.map_err(|error| error.to_string())?;
            let ids: Vec<_> = agents.into_iter().map(|agent| agent.agent_id).collect();
            if ids.iter().any(|present| present == id) {
                Ok(())
            } else {
                Err(format!("connected are {ids:?}"))
            }
        })
        .await;
    }

    /// Waits until no agent of this id is connected.
    pub async fn has_not_agent(&self, id: &str) {
        let bridge = self.bridge().await;
        eventually(&format!("agent {id} is gone"), async || {
            let agents = bridge.agents().await.map_err(|error| error.to_string())?;
            if agents.iter().all(|agent| agent.agent_id != id) {
                Ok(())
            } else {
                Err("it is there".to_owned())
            }
        })
        .await;
    }

    /// Waits until the trace has so many spans in the store.
    pub async fn trace(&self, trace_id: &str, spans: usize) -> TraceView {
        let http = self.http();
        eventually(&format!("trace {trace_id} has {spans} spans"), async || {
            let answer: Value = http
                .get_json(&format!("/api/traces/{trace_id}"))
                .await
                .map_err(|error| error.to_string())?;
            let trace = TraceView::from_jaeger(&answer["data"][0]);
            if trace.spans.len() == spans {
                Ok(trace)
            } else {
                Err(format!("{:#?}", trace.outline()))
            }
        })
        .await
    }

    /// Waits until so many traces match the query, newest first.
    pub async fn trace_ids(&self, query: &str, at_least: usize) -> Vec<String> {
        let http = self.http();
        eventually(&format!("{at_least} traces match {query}"), async || {
            let path = format!("/api/v1/traces?limit=1000&{query}");
            let answer: Value = http
                .get_json(&path)
                .await
                .map_err(|error| error.to_string())?;
            let items = answer["items"].as_array().cloned().unwrap_or_default();
            let ids: Vec<_> = items
                .iter()
                .map(|item| item["trace_id"].as_str().unwrap_or_default().to_owned())
                .collect();
            if ids.len() >= at_least {
                Ok(ids)
            } else {
                Err(format!("{} traces", ids.len()))
            }
        })
        .await
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// Its process id.
    pub fn process_id(&self) -> u32 {
        self.process.0.id()
    }

    /// The directory of its store.
    pub fn data_dir(&self) -> &PathBuf {
        &self.data
    }

    /// SIGTERM; returns how it ended and all that it has logged.
    pub fn stop(mut self) -> (ExitStatus, String) {
        let status = self.process.terminate();
        (status, self.log())
    }

    /// SIGKILL: no drain, no flush.
    pub fn kill(mut self) {
        self.process.signal(rustix::process::Signal::KILL);
        self.process.wait();
    }
}

fn read(log: &PathBuf) -> String {
    let mut text = String::new();
    // What is no text is a finding of its own.
    let file = fs::File::open(log).and_then(|mut file| file.read_to_string(&mut text));
    match file {
        Ok(_) => text,
        Err(error) => format!("the log cannot be read: {error}"),
    }
}
