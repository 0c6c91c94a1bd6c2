//! The end, in the order in which data flows.

use std::time::{Duration, Instant};

use loom_core::LedgerSnapshot;
use loom_proto::v1;
use loom_telemetry::sink::SinkStats;

use super::{App, books, metrics};

/// How long the last spans of agents may take after the agents have left.
const SPANS_PATIENCE: Duration = Duration::from_secs(5);
/// How long the store may take to index what it has accepted. What is left stays in the spool for the next start.
const STORE_PATIENCE: Duration = Duration::from_secs(10);
/// How long open requests at the doors may take to end.
const DOORS_PATIENCE: Duration = Duration::from_secs(2);

/// What there is to say at the end.
#[derive(Clone, Debug, PartialEq)]
pub struct Farewell {
    /// The counters of the bus.
    pub bus: v1::BusStats,
    /// The books of the bus.
    pub ledger: LedgerSnapshot,
    /// The counters of the spans, as the store has them.
    pub spans: v1::SpanStats,
    /// What became of the spans at the other sinks.
    pub exports: Vec<SinkStats>,
    /// Agents that had not left when the grace was over.
    pub cut_off: usize,
    /// Spans that were accepted and are not indexed yet: the next start does it, unless the store was ephemeral.
    pub unindexed: u64,
}

impl Farewell {
    /// The counters' line.
    pub fn summary(&self) -> String {
        let rejected = self.bus.rejected.values().sum();
        books::summary(&self.ledger, rejected, &self.spans, &self.exports)
    }
}

impl App {
    /// Drains, flushes and ends. Takes at most the grace and some seconds.
    pub async fn stop(mut self) -> Farewell {
        let span = tracing::info_span!(target: "loom_server", "loom.stop");
        let parts = self.parts.clone();

        // Agents first: they say goodbye, and what they send until then is still delivered.
        self.doors.bridge.cancel();
        let cut_off = {
            use tracing::Instrument;
            parts
                .bridge
                .drain(self.drain_grace)
                .instrument(span.clone())
                .await
        };
        drop(span);
        if cut_off > 0 {
            tracing::warn!(
                agents = cut_off,
                "agents did not leave in time and were cut off"
            );
        }

        // Nobody handles anything any more: the next start goes on right here.
        let bus = parts.bus.clone();
        super::blocking(move || bus.save_groups()).await;
        super::streams::say_what_ends(&parts.bus);

        // Then the server's own spans; the receivers stay open meanwhile, for those of the agents.
        let pipeline = parts.pipeline.clone();
        let deadline = Instant::now() + SPANS_PATIENCE;
        let report = tokio::task::spawn_blocking(move || pipeline.shutdown(deadline)).await;
        if let Ok(report) = report
            && !report.is_complete
        {
            tracing::warn!("not all spans were settled in time; see the counters");
        }

        let (bus, untold) = (parts.bus.clone(), parts.untold.clone());
        super::blocking(move || super::retelling::finish(&bus, &untold)).await;

        // Then the doors, and at last the store, which knows all there is now.
        self.doors.others.cancel();
        let all_closed = async { while self.doors.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DOORS_PATIENCE, all_closed)
            .await
            .is_err()
        {
            self.doors.tasks.abort_all();
        }
        let unindexed = match parts.store.close(STORE_PATIENCE).await {
            Ok(()) => 0,
            Err(error) => {
                tracing::warn!("{error}");
                error.lag
            }
        };
        let spans = parts.pipeline.stats();
        Farewell {
            bus: parts.bridge.bus_stats(),
            ledger: parts.bus.stats(),
            spans: metrics::span_stats(&spans),
            exports: spans.sinks.into_iter().skip(1).collect(),
            cut_off,
            unindexed,
        }
    }
}
