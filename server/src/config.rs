//! The settings of the server and of `loom run`: one typed value, made before anything starts.
//!
//! Defaults < `loom.toml` < environment < flags. A key that nobody knows is refused with its name and line; a value that
//! cannot be meant is refused with what to write instead. `loom.default.toml` holds every setting with its default and a
//! sentence; a test compares it with [`LoomConfig::default`].

mod address;
mod agents;
mod links;
mod load;
mod overrides;
mod sections;
mod streams;
mod token;
mod units;

pub use address::{AddressError, Listen, reachable};
pub use agents::{AgentProcess, Restart};
pub(crate) use links::jaeger_trace;
pub use links::{LinkTemplate, LinksSection};
pub use load::{DEFAULT_FILE, FILE_NAME, find_file, load, parse};
pub use overrides::Overrides;
pub use sections::{
    ApiSection, BridgeSection, BrokerSection, BusSection, CollectorSection, GenAiSection,
    LogFormat, LogSection, ServerSection, StoreSection, TelemetrySection,
};
pub use streams::{StreamSection, SyncChoice};
pub use token::Token;
pub(crate) use token::is_same;
pub use units::{ByteSize, Period, UnitError};

use std::collections::BTreeMap;
use std::path::PathBuf;

use loom_trace::PricesError;
use serde::Deserialize;

/// Everything that can be set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoomConfig {
    /// Addresses, the data directory, threads.
    pub server: ServerSection,
    /// Log lines of the server.
    pub log: LogSection,
    /// Mailboxes and waiting times of the bus.
    pub bus: BusSection,
    /// Deadlines of capability calls.
    pub broker: BrokerSection,
    /// Limits of an agent's connection.
    pub bridge: BridgeSection,
    /// Limits of the OTLP receiver.
    pub collector: CollectorSection,
    /// The trace store: how much, how long.
    pub store: StoreSection,
    /// The HTTP API.
    pub api: ApiSection,
    /// Where a trace can be seen in other tools.
    pub links: LinksSection,
    /// Calls of models.
    pub genai: GenAiSection,
    /// The server's own spans.
    pub telemetry: TelemetrySection,
    /// The topics whose events are kept, by the name of their stream.
    pub streams: BTreeMap<String, StreamSection>,
    /// The processes that `loom run` starts, by the id of their agent.
    pub agents: BTreeMap<String, AgentProcess>,
}

/// The settings cannot be used. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The named file is not readable.
    #[error("cannot read the settings file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no TOML, or names a key or a value that does not exist; `detail` shows the line.
    #[error("{}: {detail}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Line, key and what was expected.
        detail: String,
    },
    /// A variable holds a value that cannot be read.
    #[error("environment variable {name}: {detail}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// What was expected.
        detail: String,
    },
    /// A setting is out of its range, or contradicts another.
    #[error("setting {key}: {detail}")]
    Setting {
        /// The setting, as `section.key`.
        key: String,
        /// What is wrong and what to write.
        detail: String,
    },
    /// An address that other machines can reach, and no token.
    #[error(
        "{key} = {address} can be reached by other machines, and anybody there could act as any agent: set a token \
         (LOOM_TOKEN, or server.token_file), or say --insecure-bind if the network is yours alone"
    )]
    InsecureBind {
        /// The setting.
        key: &'static str,
        /// Its value.
        address: Listen,
    },
    /// The prices of models cannot be used.
    #[error(transparent)]
    Prices(#[from] PricesError),
    /// The token file cannot be used.
    #[error("token file {}: {detail}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
}

impl LoomConfig {
    /// Checks what no single value can know.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.server.validate()?;
        self.bus.validate()?;
        self.bridge.validate()?;
        self.store.validate()?;
        self.links.validate()?;
        self.telemetry.validate()?;
        streams::validate(&self.streams)?;
        agents::validate(&self.agents)
    }
}

/// The setting `key` is wrong for the reason `detail`.
pub(crate) fn wrong(key: impl Into<String>, detail: impl Into<String>) -> ConfigError {
    ConfigError::Setting {
        key: key.into(),
        detail: detail.into(),
    }
}
