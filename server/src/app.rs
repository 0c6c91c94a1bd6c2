//! The composition root: the only place that knows all parts.
//!
//! Bind first, build then, serve last: a busy port is found before anything runs. Stopping goes the other way round, in
//! the order in which data flows, so that nothing is lost on the way: agents leave, their last spans arrive, the
//! server's own spans are settled, the store is flushed, the doors close.

mod about;
mod addresses;
mod agents;
mod auth;
mod books;
mod dashboard;
mod deliveries;
mod execution;
mod executions;
mod http;
mod http1;
mod jaeger_ui;
mod kept;
mod letters;
mod listeners;
mod live;
mod mending;
mod metrics;
mod origin;
mod retelling;
mod serve;
mod session;
mod shutdown;
mod streams;
mod verification;

pub use addresses::Addresses;
pub use jaeger_ui::BundleError;
pub use listeners::{BindError, Listeners};
pub use shutdown::Farewell;
pub use streams::StreamsError;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use loom_bridge::Bridge;
use loom_core::{ActionBroker, Barrier, Directory, EventBus, Registration, Storage, Tracer};
use loom_proto::v1;
use loom_telemetry::export::{Exporter, ExporterConfig, ExporterConfigError};
use loom_telemetry::pipeline::{Pipeline, PipelineConfig};
use loom_telemetry::sink::SpanSink;
use loom_telemetry::{Sampler, resource};
use loom_trace::{StoreError, TraceStore};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::deliveries::{LostDeliveries, Untold};
use self::jaeger_ui::Bundle;
use self::streams::Journals;
use crate::config::{LoomConfig, Token};
use crate::env::{self, Environment};
use crate::telemetry::{ControlPlane, ExportChoice, StoreSink, choose_export};

/// A server that runs.
#[derive(Debug)]
pub struct App {
    addresses: Addresses,
    data_dir: Option<PathBuf>,
    parts: Parts,
    doors: Doors,
    drain_grace: Duration,
    /// Keeps the barrier callable.
    _barrier: Registration,
}

/// What the doors lead to.
#[derive(Clone)]
struct Parts {
    bridge: Bridge,
    streams: loom_bridge::Streams,
    bus: EventBus,
    broker: ActionBroker,
    directory: Directory,
    journals: Journals,
    store: TraceStore,
    pipeline: Pipeline,
    tracer: Tracer,
    untold: Untold,
    started: SystemTime,
}

/// The tasks that serve, and how to end them.
#[derive(Debug)]
struct Doors {
    /// Ends the bridge's listener: no new connections.
    bridge: CancellationToken,
    /// Ends the receivers and the API.
    others: CancellationToken,
    tasks: JoinSet<()>,
}

/// The server did not start. Nothing is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The trace store cannot be opened.
    #[error("{0}; another directory can be named with --data-dir, or use --ephemeral")]
    Store(#[from] StoreError),
    /// A stream cannot be opened.
    #[error(transparent)]
    Streams(#[from] StreamsError),
    /// The thread for spans could not be started.
    #[error(transparent)]
    Spans(#[from] loom_telemetry::pipeline::StartError),
    /// The directory named with `--jaeger-ui-dir` holds no Jaeger UI.
    #[error("Jaeger's UI cannot be served: {0}")]
    JaegerUi(#[from] BundleError),
    /// The collector's settings cannot be used.
    #[error(transparent)]
    Export(#[from] ExporterConfigError),
}

impl App {
    /// Binds, builds and serves.
    ///
    /// # Errors
    /// An address or the data directory cannot be had.
    pub async fn start(
        config: &LoomConfig,
        token: Option<Token>,
        environment: &dyn Environment,
        control_plane: &ControlPlane,
    ) -> Result<Self, StartError> {
        let listeners = Listeners::bind(&config.server).await?;
        Self::start_on(listeners, config, token, environment, control_plane).await
    }

    /// The same on addresses that are bound already.
    ///
    /// # Errors
    /// The data directory cannot be had.
    pub async fn start_on(
        listeners: Listeners,
        config: &LoomConfig,
        token: Option<Token>,
        environment: &dyn Environment,
        control_plane: &ControlPlane,
    ) -> Result<Self, StartError> {
        let addresses = listeners.addresses();
        let data_dir = data_dir(config, environment);
        let jaeger_ui = match config.api.jaeger_ui_dir.clone() {
            Some(dir) => Some(blocking(move || Bundle::open(&dir)).await?),
            None => None,
        };

        // The store first: the server's spans end in it. Opening a database blocks.
        let mut store_config = config.store.to_config(data_dir.clone());
        store_config.prices.clone_from(&config.genai.prices);
        let store = blocking(move || TraceStore::open(store_config)).await?;

        // Spans: one pipeline from every recorder to every sink.
        let mut sinks: Vec<Box<dyn SpanSink>> = vec![Box::new(StoreSink::new(store.ingest()))];
        let receivers: Vec<_> = addresses
            .otlp_grpc
            .into_iter()
            .chain(addresses.otlp_http)
            .collect();
        let export = choose_export(&config.telemetry, environment, &receivers).await;
        sinks.extend(exporter(&export, config, environment)?);
        let pipeline_config = PipelineConfig {
            interval: config.telemetry.interval.0,
            ..PipelineConfig::default()
        };
        let pipeline = Pipeline::start(sinks, pipeline_config)?;
        let tracer = tracer(&pipeline, config, environment, control_plane);

        // The bus and what leads to it.
        let (journals, streams) = {
            let (sections, data_dir) = (config.streams.clone(), data_dir.clone());
            let max_event = config.bridge.max_event;
            let open = move || Journals::open(&sections, data_dir.as_deref(), max_event);
            blocking(open).await?
        };
        let bus = EventBus::with_streams((&config.bus).into(), tracer.clone(), streams)
            .map_err(StreamsError::from)?;
        let broker = ActionBroker::new((&config.broker).into(), tracer.clone());
        let barrier = Barrier::serve(&broker);
        let directory = Directory::default();
        let counters = pipeline.clone();
        let bridge = Bridge::new(
            config.bridge.to_config(token.as_ref()),
            bus.clone(),
            broker.clone(),
            directory.clone(),
            tracer.clone(),
            Arc::new(move || metrics::span_stats(&counters.stats())),
        );

        // What the groups had settled is read before any of them goes on.
        let lost = {
            let bus = bus.clone();
            blocking(move || LostDeliveries::read(&bus)).await
        };
        let parts = Parts {
            streams: bridge.streams(),
            bridge,
            bus,
            broker,
            directory,
            journals,
            store,
            pipeline,
            tracer,
            untold: lost.untold(),
            started: SystemTime::now(),
        };
        let doors = serve::open(
            listeners,
            &parts,
            config,
            token.map(Arc::new).as_ref(),
            &addresses,
            lost,
            jaeger_ui,
        );
        Ok(Self {
            addresses,
            data_dir,
            parts,
            doors,
            drain_grace: config.server.drain_grace.0,
            _barrier: barrier,
        })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Where the traces are kept; `None` means in a temporary directory.
    pub fn data_dir(&self) -> Option<&PathBuf> {
        self.data_dir.as_ref()
    }

    /// Names of the streams whose events end with the server.
    pub fn streams_in_memory(&self) -> Vec<&str> {
        let streams = self.parts.bus.streams().iter();
        streams
            .filter(|stream| stream.journal().storage() == Storage::Memory)
            .map(|stream| stream.name())
            .collect()
    }

    /// The counters of the bus.
    pub fn bus_stats(&self) -> v1::BusStats {
        self.parts.bridge.bus_stats()
    }

    /// Completes when a door has closed by itself, which only a fault can do.
    ///
    /// # Cancel safety
    /// Can be dropped and called again.
    pub async fn failed(&mut self) {
        match self.doors.tasks.join_next().await {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::error!(%error, "a listener has ended"),
            // Every door is off: there is nothing that could fail.
            None => std::future::pending().await,
        }
    }
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// Does what blocks on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// The directory of the store; `None` for a temporary one. Traces are the user's data, found again from whatever
/// directory the server is started in, so the XDG directory is the default.
pub(crate) fn data_dir(config: &LoomConfig, environment: &dyn Environment) -> Option<PathBuf> {
    if config.server.ephemeral {
        return None;
    }
    let named = config.server.data_dir.clone();
    Some(named.unwrap_or_else(|| {
        let shared = environment
            .get("XDG_DATA_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute());
        let of_home = || {
            environment
                .get("HOME")
                .map(|home| PathBuf::from(home).join(".local/share"))
        };
        shared
            .or_else(of_home)
            .map_or_else(|| PathBuf::from("loom-data"), |base| base.join("loom"))
    }))
}

/// Makes the spans of the bus and the bridge, and those of the control plane.
fn tracer(
    pipeline: &Pipeline,
    config: &LoomConfig,
    environment: &dyn Environment,
    control_plane: &ControlPlane,
) -> Tracer {
    let get = |name: &str| environment.get(name);
    let disabled =
        get(env::OTEL_SDK_DISABLED).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
    if disabled || !config.telemetry.record {
        return Tracer::off();
    }
    let sampler = Sampler::from_env(get).unwrap_or_else(|error| {
        tracing::warn!("{error}; every trace is recorded");
        Sampler::default()
    });
    let instance = loom_proto::EventId::now().to_string();
    let resource = resource::resource(&config.telemetry.service_name, &instance, [], get);
    let recorder = pipeline.recorder(resource);
    control_plane.attach(recorder.clone());
    Tracer::new(recorder, sampler)
}

/// The sink of a collector, where one is configured.
fn exporter(
    choice: &ExportChoice,
    config: &LoomConfig,
    environment: &dyn Environment,
) -> Result<Option<Box<dyn SpanSink>>, StartError> {
    match choice {
        ExportChoice::Off => Ok(None),
        ExportChoice::OwnReceiver { source, endpoint } => {
            tracing::warn!(
                "{source} is {endpoint}, this server's own receiver: the server does not export to itself, because its \
                 spans are in its store already; name another collector, or leave it unset"
            );
            Ok(None)
        }
        ExportChoice::To(endpoint) => {
            tracing::info!(endpoint, "the server's spans are exported too");
            let get = |name: &str| {
                let of_file = || {
                    config
                        .telemetry
                        .export
                        .clone()
                        .filter(|_| name == env::OTEL_EXPORTER_OTLP_ENDPOINT)
                };
                environment.get(name).or_else(of_file)
            };
            let Some(config) = ExporterConfig::from_env(get)? else {
                return Ok(None);
            };
            Ok(Some(Box::new(Exporter::start(config, &Handle::current())?)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn directory(
        variables: &[(&str, &str)],
        change: impl FnOnce(&mut LoomConfig),
    ) -> Option<PathBuf> {
        let mut config = LoomConfig::default();
        change(&mut config);
        let environment: BTreeMap<_, _> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        data_dir(&config, &environment)
    }

    #[test]
    fn traces_are_kept_where_the_user_keeps_data() {
        let both = [("XDG_DATA_HOME", "/x/data"), ("HOME", "/x/user")];
        assert_eq!(directory(&both, |_| {}), Some("/x/data/loom".into()));
        assert_eq!(
            directory(&both[1..], |_| {}),
            Some("/x/user/.local/share/loom".into())
        );
        assert_eq!(
            directory(&[("XDG_DATA_HOME", "relative")], |_| {}),
            Some("loom-data".into())
        );
        assert_eq!(
            directory(&both, |config| config.server.data_dir = Some("here".into())),
            Some("here".into())
        );
        assert_eq!(
            directory(&both, |config| config.server.ephemeral = true),
            None
        );
    }
}
