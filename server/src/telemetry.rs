//! The server's own logs and spans.
//!
//! Logs are `tracing` events, written to stderr. Spans of events are recorded by the bus and the bridge themselves;
//! spans of everything else (start, stop) are `tracing` spans. Both end in the same recorder and so in the same
//! pipeline, whose sinks are the store in process and, where one is configured, a collector.

mod export;
mod logs;
mod spans;
mod store_sink;

pub use export::{ExportChoice, choose as choose_export};
pub use spans::ControlPlane;
pub use store_sink::StoreSink;

use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::{ConfigError, LogSection};
use crate::telemetry::logs::LineFormat;

/// Installs logs and control-plane spans for the whole process; a second call changes nothing, as in tests that start
/// several servers.
///
/// # Errors
/// The filter of the logs cannot be read.
pub fn init(
    log: &LogSection,
    control_plane: &ControlPlane,
    color: bool,
) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&log.filter).map_err(|error| {
        let detail = format!(
            "`{}` is no filter ({error}): write info, or loom_bridge=debug,info",
            log.filter
        );
        ConfigError::Setting {
            key: "log.filter".to_owned(),
            detail,
        }
    })?;
    let lines = fmt::layer()
        .event_format(LineFormat {
            format: log.format,
            color,
        })
        .with_writer(std::io::stderr)
        .with_filter(filter);
    // Ours alone: the libraries' spans are one for each connection, stream and request.
    let ours = filter_fn(|metadata| metadata.is_span() && metadata.target().starts_with("loom"));
    let spans = control_plane.layer().with_filter(ours);
    // An error says that there is a subscriber already.
    if tracing_subscriber::registry()
        .with(spans)
        .with(lines)
        .try_init()
        .is_err()
    {
        tracing::debug!("logs were set up before");
    }
    Ok(())
}
