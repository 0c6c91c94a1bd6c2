//! Counts the traces that went through every agent of a project and are whole.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::cli::trace::Report;
use crate::cli::traces::newest;
use crate::cli::{Exit, Failure, Terminal};
use crate::client::HttpClient;
use crate::config::LoomConfig;
use crate::env;

const LOOK: Duration = Duration::from_millis(200);

/// Watches the store from the moment of its making.
#[derive(Debug)]
pub(super) struct WholeTraces {
    http: HttpClient,
    services: BTreeSet<String>,
    since_us: u64,
    wanted: usize,
    found: BTreeSet<String>,
    look: Interval,
}

impl WholeTraces {
    pub(super) fn new(http: HttpClient, config: &LoomConfig, wanted: u32) -> Self {
        let service = |(id, agent): (&String, &crate::config::AgentProcess)| {
            agent
                .env
                .get(env::OTEL_SERVICE_NAME)
                .cloned()
                .unwrap_or_else(|| format!("agent-{id}"))
        };
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            http,
            services: config.agents.iter().map(service).collect(),
            since_us: loom_telemetry::ids::now_unix_nano() / 1000,
            wanted: wanted as usize,
            found: BTreeSet::new(),
            look,
        }
    }

    /// Completes when there are enough.
    ///
    /// # Cancel safety
    /// Can be dropped and called again.
    pub(super) async fn reached(&mut self, terminal: &Terminal) {
        while self.found.len() < self.wanted {
            self.look.tick().await;
            // The store may be busy, or not have the trace yet: it is asked again.
            if let Err(failure) = self.find(terminal).await {
                tracing::debug!("no answer about traces: {}", failure.message);
            }
        }
    }

    /// What to say when they did not come.
    pub(super) fn missing(&self) -> Failure {
        let services: Vec<_> = self.services.iter().map(String::as_str).collect();
        Failure {
            exit: Exit::CheckFailed,
            message: format!(
                "only {} of {} traces went through {} and were whole",
                self.found.len(),
                self.wanted,
                services.join(", ")
            ),
        }
    }

    async fn find(&mut self, terminal: &Terminal) -> Result<(), Failure> {
        let list = newest(&self.http, self.since_us, 200).await?;
        // In the order in which they began.
        for item in list.items.into_iter().rev() {
            let is_new = self.found.len() < self.wanted && !self.found.contains(&item.trace_id);
            let went_through_all = self
                .services
                .iter()
                .all(|service| item.services.contains(service));
            if !is_new || !went_through_all || item.orphans > 0 {
                continue;
            }
            let path = format!("/api/v1/traces/{}/check", item.trace_id);
            let report: Report = self.http.get_json(&path).await?;
            if report.ok {
                let url = format!("{}/trace/{}", self.http.base_url(), item.trace_id);
                terminal.note(&format!("whole trace of {} spans: {url}", report.spans));
                self.found.insert(item.trace_id);
            }
        }
        Ok(())
    }
}
