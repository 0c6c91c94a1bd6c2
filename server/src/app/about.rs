//! What `/api/v1/info` tells beside addresses and streams: links to other tools, what the server can do, what the store holds.

use axum::http::{HeaderMap, header};
use loom_trace::TraceStore;
use loom_trace::api::Problem;
use loom_trace::time_text::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::{LinksSection, LoomConfig, jaeger_trace};

/// What the settings say.
#[derive(Debug, Clone)]
pub(super) struct About {
    links: LinksSection,
    /// Jaeger's UI is served here.
    has_jaeger_ui: bool,
    retention: Retention,
}

/// Addresses of a trace in other tools, with places to fill in: `{trace_id}`, `{span_id}`, `{service}`, `{start_ms}`, `{end_ms}`.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Links {
    /// In a Jaeger UI; null where nobody has named one.
    jaeger_trace: Option<String>,
    /// In a Grafana; null where nobody has named one.
    grafana_trace: Option<String>,
}

/// What the server can do.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Capabilities {
    /// Dead letters can be redriven.
    pub(super) redrive: bool,
}

/// What the trace store holds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Store)]
pub(super) struct StoreOf {
    /// When the oldest span came that is kept, RFC 3339 in UTC; null of an empty store.
    oldest_at: Option<String>,
    /// On the disk.
    bytes: u64,
    /// How much it may become.
    retention: Retention,
}

/// Limits of the store; null: none.
#[expect(
    clippy::struct_field_names,
    reason = "the names are those of the settings"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
struct Retention {
    /// Seconds that a span is kept.
    max_age_s: Option<u64>,
    /// Spans.
    max_spans: Option<u64>,
    /// Of the database.
    max_bytes: Option<u64>,
}

impl About {
    pub(super) fn of(config: &LoomConfig) -> Self {
        // 0 keeps all.
        let limit = |number: u64| (number > 0).then_some(number);
        Self {
            links: config.links.clone(),
            has_jaeger_ui: config.api.jaeger_ui_dir.is_some(),
            retention: Retention {
                max_age_s: limit(config.store.max_age.0.as_secs()),
                max_spans: limit(config.store.max_spans),
                max_bytes: limit(config.store.max_bytes.0),
            },
        }
    }

    /// Jaeger's UI of this server is at the name by which the request calls it.
    pub(super) fn links(&self, headers: &HeaderMap) -> Links {
        let own = || {
            let host = headers.get(header::HOST)?.to_str().ok()?;
            Some(jaeger_trace(&format!("http://{host}/jaeger")))
        };
        let jaeger = self.links.jaeger_trace();
        Links {
            jaeger_trace: jaeger.or_else(|| self.has_jaeger_ui.then(own).flatten()),
            grafana_trace: self.links.grafana_trace(),
        }
    }

    pub(super) async fn store(&self, store: &TraceStore) -> Result<StoreOf, Problem> {
        let oldest_ms = store.query().oldest_ms().await?;
        Ok(StoreOf {
            oldest_at: oldest_ms.map(|ms| rfc3339(ms.saturating_mul(1_000_000))),
            bytes: store.disk_bytes(),
            retention: self.retention,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_as_they_are_set_or_to_the_ui_that_is_served_here() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "loom.example:8080".parse().expect("a value"));
        let mut config = LoomConfig::default();
        let links = |config: &LoomConfig| About::of(config).links(&headers);
        let none = links(&config);
        assert_eq!((none.jaeger_trace, none.grafana_trace), (None, None));
        config.api.jaeger_ui_dir = Some("ui".into());
        assert_eq!(
            links(&config).jaeger_trace.as_deref(),
            Some("http://loom.example:8080/jaeger/trace/{trace_id}?uiFind={span_id}")
        );
        config.links.jaeger_ui_url = Some("http://j.example".parse().expect("a link"));
        assert_eq!(
            links(&config).jaeger_trace.as_deref(),
            Some("http://j.example/trace/{trace_id}?uiFind={span_id}")
        );
    }

    #[test]
    fn what_is_not_limited_is_null() {
        let mut config = LoomConfig::default();
        config.store.max_bytes.0 = 0;
        config.store.max_spans = 7;
        let retention = About::of(&config).retention;
        assert_eq!(retention.max_bytes, None);
        assert_eq!(retention.max_spans, Some(7));
    }
}
