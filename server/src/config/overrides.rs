//! What the environment and the command line say over the file.

use std::path::PathBuf;
use std::str::FromStr;

use super::{ConfigError, LinkTemplate, Listen, LogFormat, LoomConfig};
use crate::env::{self, Environment};

/// The settings that have a flag and a variable; `None` leaves what was there.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Server settings (over the environment, over loom.toml)")]
pub struct Overrides {
    /// Where agents connect: ip:port, port 0 for any free one, or `off` [env: `LOOM_BRIDGE_ADDR`]
    #[arg(long, value_name = "ADDR")]
    pub bridge_addr: Option<Listen>,
    /// Where OTLP over gRPC is received [env: `LOOM_OTLP_GRPC_ADDR`]
    #[arg(long, value_name = "ADDR")]
    pub otlp_grpc_addr: Option<Listen>,
    /// Where OTLP over HTTP is received [env: `LOOM_OTLP_HTTP_ADDR`]
    #[arg(long, value_name = "ADDR")]
    pub otlp_http_addr: Option<Listen>,
    /// Where the HTTP API answers [env: `LOOM_HTTP_ADDR`]
    #[arg(long, value_name = "ADDR")]
    pub http_addr: Option<Listen>,
    /// Directory of the trace store [env: `LOOM_DATA_DIR`]
    #[arg(long, value_name = "DIR", conflicts_with = "ephemeral")]
    pub data_dir: Option<PathBuf>,
    /// Keep the traces in a temporary directory that goes with the server [env: `LOOM_EPHEMERAL`]
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub ephemeral: Option<bool>,
    /// A file with the token that every client must show [env: `LOOM_TOKEN_FILE`]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Allow addresses that other machines reach, without a token [env: `LOOM_INSECURE_BIND`]
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub insecure_bind: Option<bool>,
    /// Threads of the runtime, 0 for half of the cores [env: `LOOM_WORKER_THREADS`]
    #[arg(long, value_name = "N")]
    pub worker_threads: Option<usize>,
    /// A directory with a Jaeger UI to serve under /jaeger/ [env: `LOOM_JAEGER_UI_DIR`]
    #[arg(long, value_name = "DIR")]
    pub jaeger_ui_dir: Option<PathBuf>,
    /// A Jaeger UI to link to, like `http://127.0.0.1:16686` [env: `LOOM_JAEGER_UI_URL`]
    #[arg(long, value_name = "URL")]
    pub jaeger_ui_url: Option<LinkTemplate>,
    /// A Grafana to link to: the address of a trace with `{trace_id}` in it [env: `LOOM_GRAFANA_URL`]
    #[arg(long, value_name = "URL")]
    pub grafana_url: Option<LinkTemplate>,
    /// Which log lines are written, like `info` or `loom_bridge=debug,info` [env: `LOOM_LOG`]
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// How log lines look [env: `LOOM_LOG_FORMAT`]
    #[arg(long, value_name = "human|json")]
    pub log_format: Option<LogFormat>,
}

impl Overrides {
    /// What the environment says.
    ///
    /// # Errors
    /// The variable whose value cannot be read.
    pub fn from_environment(environment: &dyn Environment) -> Result<Self, ConfigError> {
        Ok(Self {
            bridge_addr: read(environment, env::LOOM_BRIDGE_ADDR)?,
            otlp_grpc_addr: read(environment, env::LOOM_OTLP_GRPC_ADDR)?,
            otlp_http_addr: read(environment, env::LOOM_OTLP_HTTP_ADDR)?,
            http_addr: read(environment, env::LOOM_HTTP_ADDR)?,
            data_dir: environment.get(env::LOOM_DATA_DIR).map(PathBuf::from),
            ephemeral: truth(environment, env::LOOM_EPHEMERAL)?,
            token_file: environment.get(env::LOOM_TOKEN_FILE).map(PathBuf::from),
            insecure_bind: truth(environment, env::LOOM_INSECURE_BIND)?,
            worker_threads: read(environment, env::LOOM_WORKER_THREADS)?,
            jaeger_ui_dir: environment.get(env::LOOM_JAEGER_UI_DIR).map(PathBuf::from),
            jaeger_ui_url: read(environment, env::LOOM_JAEGER_UI_URL)?,
            grafana_url: read(environment, env::LOOM_GRAFANA_URL)?,
            log: environment.get(env::LOOM_LOG),
            log_format: read(environment, env::LOOM_LOG_FORMAT)?,
        })
    }

    /// Writes what is said here over `config`.
    pub fn apply(self, config: &mut LoomConfig) {
        let server = &mut config.server;
        set(&mut server.bridge_addr, self.bridge_addr);
        set(&mut server.otlp_grpc_addr, self.otlp_grpc_addr);
        set(&mut server.otlp_http_addr, self.otlp_http_addr);
        set(&mut server.http_addr, self.http_addr);
        if self.data_dir.is_some() {
            // Who names a directory wants to keep what a lower layer would have thrown away.
            server.ephemeral = false;
            server.data_dir = self.data_dir;
        }
        set(&mut server.ephemeral, self.ephemeral);
        if self.token_file.is_some() {
            server.token_file = self.token_file;
        }
        set(&mut server.insecure_bind, self.insecure_bind);
        set(&mut server.worker_threads, self.worker_threads);
        if self.jaeger_ui_dir.is_some() {
            config.api.jaeger_ui_dir = self.jaeger_ui_dir;
        }
        if self.jaeger_ui_url.is_some() {
            config.links.jaeger_ui_url = self.jaeger_ui_url;
        }
        if self.grafana_url.is_some() {
            config.links.grafana_url = self.grafana_url;
        }
        set(&mut config.log.filter, self.log);
        set(&mut config.log.format, self.log_format);
    }
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(format!("`{text}` is not a format: write human or json")),
        }
    }
}

fn set<T>(setting: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *setting = value;
    }
}

fn read<T: FromStr<Err: ToString>>(
    environment: &dyn Environment,
    name: &'static str,
) -> Result<Option<T>, ConfigError> {
    let parse = |text: String| {
        text.trim()
            .parse()
            .map_err(|error: T::Err| ConfigError::Variable {
                name,
                detail: error.to_string(),
            })
    };
    environment.get(name).map(parse).transpose()
}

fn truth(environment: &dyn Environment, name: &'static str) -> Result<Option<bool>, ConfigError> {
    let parse = |text: String| match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(ConfigError::Variable {
            name,
            detail: format!("`{text}` is neither true nor false"),
        }),
    };
    environment.get(name).map(parse).transpose()
}
