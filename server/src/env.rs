//! Every environment variable, once: its name, who reads it, what it does.
//!
//! `docs/configuration.md` shows the table [`ALL`]; a test compares page and file. The environment is read through
//! [`Environment`], so that no test touches that of its process.

use std::collections::BTreeMap;

/// One variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Who reads it: `server`, `cli`, `agent` (the Python SDK), `build` (make and the tests).
    pub read_by: &'static str,
    /// What it does, in one sentence.
    pub meaning: &'static str,
}

macro_rules! variables {
    ($($(#[doc = $meaning:literal])+ $name:ident, $read_by:literal;)*) => {
        $($(#[doc = $meaning])+ pub const $name: &str = stringify!($name);)*
        /// All of them, in the order of the page.
        pub const ALL: &[Variable] = &[
            $(Variable { name: stringify!($name), read_by: $read_by, meaning: concat!($($meaning),+).trim_ascii() },)*
        ];
    };
}

variables! {
    /// The settings file, instead of `loom.toml` in the working directory.
    LOOM_CONFIG, "server";
    /// Where the bridge listens: `host:port`, or `off`.
    LOOM_BRIDGE_ADDR, "server";
    /// Where OTLP over gRPC is received: `host:port`, or `off`.
    LOOM_OTLP_GRPC_ADDR, "server";
    /// Where OTLP over HTTP is received: `host:port`, or `off`.
    LOOM_OTLP_HTTP_ADDR, "server";
    /// Where the HTTP API listens: `host:port`, or `off`.
    LOOM_HTTP_ADDR, "server";
    /// The directory of the trace store.
    LOOM_DATA_DIR, "server";
    /// `true`: the trace store lives in a temporary directory and goes with the server.
    LOOM_EPHEMERAL, "server";
    /// `true`: addresses that are not loopback need no token.
    LOOM_INSECURE_BIND, "server";
    /// Shared secret that every client must show; the server asks for one when this is set.
    LOOM_TOKEN, "server, cli, agent";
    /// A file that holds the token.
    LOOM_TOKEN_FILE, "server, cli";
    /// Which log lines are written, as a filter: `info`, `loom_bridge=debug,info`.
    LOOM_LOG, "server";
    /// How log lines are written: `human` or `json`.
    LOOM_LOG_FORMAT, "server";
    /// Threads of the server's runtime; `0` means half of the cores, at least one.
    LOOM_WORKER_THREADS, "server";
    /// A directory with a Jaeger UI, which is served under `/jaeger/`.
    LOOM_JAEGER_UI_DIR, "server";
    /// A Jaeger UI to link to: its address, or that of a trace with `{trace_id}` in it.
    LOOM_JAEGER_UI_URL, "server";
    /// A Grafana to link to: the address of a trace with `{trace_id}` in it.
    LOOM_GRAFANA_URL, "server";
    /// The bridge that agents and commands connect to: `host:port`.
    LOOM_ADDRESS, "cli, agent";
    /// The HTTP API that commands ask: `host:port`.
    LOOM_HTTP, "cli";
    /// The Python interpreter for agents whose command is `python`.
    LOOM_PYTHON, "cli";
    /// `0`: an agent sets up no telemetry by itself.
    LOOM_TELEMETRY_AUTO, "agent";
    /// The loom binary that the SDK's tests, the demos and the benches run.
    LOOM_BIN, "build";
    /// Not empty: no colours.
    NO_COLOR, "cli";
    /// Logical name of the process in its spans; it wins over the default of the server (`loom`) and of an agent (`agent-<id>`).
    OTEL_SERVICE_NAME, "server, agent";
    /// Attributes of the process in its spans: `key=value,…`, percent-encoded. `host.name`, which is the machine's, can be set here too.
    OTEL_RESOURCE_ATTRIBUTES, "server, agent";
    /// Which traces are recorded: `always_on`, `always_off`, `traceidratio`, each also with the prefix `parentbased_`.
    OTEL_TRACES_SAMPLER, "server, agent";
    /// Argument of the sampler: the ratio, from 0 to 1.
    OTEL_TRACES_SAMPLER_ARG, "server, agent";
    /// Alias of `OTEL_TRACES_SAMPLER`, read where that is not set.
    OTEL_TRACE_SAMPLER, "server, agent";
    /// A collector: the server sends its spans there too, an agent sends them there instead of to `http://localhost:4317`.
    OTEL_EXPORTER_OTLP_ENDPOINT, "server, agent";
    /// The same, for traces only; it wins.
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, "server, agent";
    /// `grpc` or `http/protobuf`.
    OTEL_EXPORTER_OTLP_PROTOCOL, "server, agent";
    /// The same, for traces only; it wins.
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, "server, agent";
    /// Headers of each export request: `key=value,…`.
    OTEL_EXPORTER_OTLP_HEADERS, "server, agent";
    /// The same, for traces only; it wins.
    OTEL_EXPORTER_OTLP_TRACES_HEADERS, "server, agent";
    /// Longest time of one export request, in milliseconds.
    OTEL_EXPORTER_OTLP_TIMEOUT, "server, agent";
    /// The same, for traces only; it wins.
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT, "server, agent";
    /// `gzip` or `none`.
    OTEL_EXPORTER_OTLP_COMPRESSION, "server, agent";
    /// The same, for traces only; it wins.
    OTEL_EXPORTER_OTLP_TRACES_COMPRESSION, "server, agent";
    /// `true`: an endpoint without scheme is spoken to without TLS.
    OTEL_EXPORTER_OTLP_INSECURE, "server, agent";
    /// The same, for traces only; it wins.
    OTEL_EXPORTER_OTLP_TRACES_INSECURE, "server, agent";
    /// PEM file of the authorities that the collector's certificate is checked against.
    OTEL_EXPORTER_OTLP_CERTIFICATE, "server, agent";
    /// The same, for traces only; it wins.
    OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE, "server, agent";
    /// PEM file of the client's key, for mutual TLS.
    OTEL_EXPORTER_OTLP_CLIENT_KEY, "server, agent";
    /// The same, for traces only; it wins.
    OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY, "server, agent";
    /// PEM file of the client's certificate, for mutual TLS.
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE, "server, agent";
    /// The same, for traces only; it wins.
    OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE, "server, agent";
    /// `otlp` or `none`: whether spans leave the process at all.
    OTEL_TRACES_EXPORTER, "server, agent";
    /// `true`: no spans are recorded.
    OTEL_SDK_DISABLED, "server, agent";
    /// `true`, `span_only` or `span_and_event`: spans carry contents of prompts, answers and tools, and what handlers think.
    OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT, "agent";
}

/// Where variables are read from.
pub trait Environment: Sync {
    /// The value of a variable; one that is empty counts as not set, as OTel demands.
    fn get(&self, name: &str) -> Option<String>;

    /// The names of all variables that are set.
    fn names(&self) -> Vec<String>;

    /// Variables of ours that nobody reads: usually a typing error.
    fn unknown(&self) -> Vec<String> {
        let mut unknown: Vec<_> = self
            .names()
            .into_iter()
            .filter(|name| name.starts_with("LOOM_") && ALL.iter().all(|known| known.name != name))
            .collect();
        unknown.sort();
        unknown
    }
}

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    fn names(&self) -> Vec<String> {
        std::env::vars_os()
            .filter_map(|(name, _)| name.into_string().ok())
            .collect()
    }
}

/// A made-up environment, for tests and for servers inside other programs.
impl Environment for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        BTreeMap::get(self, name)
            .filter(|value| !value.is_empty())
            .cloned()
    }

    fn names(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_counts_as_not_set() {
        let variables = BTreeMap::from([(LOOM_TOKEN.to_owned(), String::new())]);
        assert_eq!(Environment::get(&variables, LOOM_TOKEN), None);
    }

    #[test]
    fn a_typing_error_is_noticed_and_other_peoples_variables_are_not() {
        let variables =
            ["LOOM_BRIGDE_ADDR", "LOOM_HTTP", "PATH"].map(|name| (name.to_owned(), "x".to_owned()));
        assert_eq!(BTreeMap::from(variables).unknown(), ["LOOM_BRIGDE_ADDR"]);
    }
}
