//! Does verification find what it says it finds? Plants each kind of fault in a scratch store, through the door that
//! spans come in by, and compares what is found with what was planted.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{BufMut, Bytes};
use loom_proto::semconv::{attribute, span as name};
use loom_proto::wire::put_bytes_field;

use super::{Accepted, Books, Options, Report, VerifyError, verify};
use crate::check::FindingKind;
use crate::config::Config;
use crate::error::{FlushError, IngestError, StoreError};
use crate::model::{SpanId, TraceId};
use crate::trace_store::TraceStore;

/// 2026-01-01T00:00:00Z
const BASE_NS: u64 = 1_767_225_600_000_000_000;
const PATIENCE: Duration = Duration::from_secs(10);

/// What was planted, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfTest {
    /// How many faults of each kind were planted.
    pub planted: BTreeMap<FindingKind, u64>,
    /// What verification said.
    pub report: Report,
}

/// The self-test could not run.
#[derive(Debug, thiserror::Error)]
pub enum SelfTestError {
    /// No scratch store can be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It does not take spans.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// It does not store them.
    #[error(transparent)]
    Flush(#[from] FlushError),
    /// It cannot be read.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

impl SelfTest {
    /// Whether exactly the planted faults were found, and no trace that is whole was blamed.
    pub fn is_passed(&self) -> bool {
        self.planted == self.report.faults
    }
}

/// Plants, verifies and compares.
///
/// # Errors
/// There is no room for a scratch store.
pub async fn run() -> Result<SelfTest, SelfTestError> {
    let store = TraceStore::open(Config {
        ephemeral: true,
        ..Config::default()
    })?;
    let garden = Garden::planted();
    for request in garden.requests {
        store.ingest().append(request)?;
        // One by one, so that the second span with an id comes to a store that has the first.
        store.flush(PATIENCE).await?;
    }
    let options = Options {
        trace: None,
        since_ns: 0,
        until_ns: u64::MAX,
        clock_tolerance_ns: 0,
        samples: usize::MAX,
    };
    let books = Box::new(Planted(garden.accepted));
    let report = verify(&store, &options, Some(books)).await?;
    Ok(SelfTest {
        planted: garden.planted,
        report,
    })
}

/// A span to plant.
#[derive(Clone)]
struct Seed {
    id: u64,
    parent: u64,
    name: &'static str,
    /// In ms.
    start: u64,
    end: u64,
    agent: &'static str,
    event: u64,
}

/// The books of the scratch bus.
struct Planted(Vec<Accepted>);

impl Books for Planted {
    fn next(&mut self) -> Result<Vec<Accepted>, String> {
        Ok(std::mem::take(&mut self.0))
    }
}

#[derive(Default)]
struct Garden {
    requests: Vec<Bytes>,
    planted: BTreeMap<FindingKind, u64>,
    accepted: Vec<Accepted>,
}

impl Garden {
    /// Each fault in a trace of its own, between traces that are whole.
    fn planted() -> Self {
        use FindingKind as Kind;
        let mut garden = Self::default();
        garden.plant(None, |_| {});
        garden.plant(Some(Kind::Orphan), |spans| {
            spans.remove(0);
        });
        garden.plant(Some(Kind::ExtraRoot), |spans| {
            let other = Seed {
                id: 9,
                ..spans[0].clone()
            };
            spans.push(other);
        });
        garden.plant(Some(Kind::StartsBeforeParent), |spans| spans[4].start = 0);
        garden.plant(Some(Kind::EndsBeforeStart), |spans| spans[4].end = 0);
        garden.plant(Some(Kind::Cycle), |spans| spans[0].parent = spans[0].id);
        garden.plant(Some(Kind::NoPublish), |spans| spans.truncate(2));
        garden.plant(Some(Kind::NoHandler), |spans| spans.truncate(4));
        garden.plant(Some(Kind::OtherDelivery), |spans| spans[4].event += 1);
        garden.plant(Some(Kind::BadId), |spans| {
            let nobody = Seed {
                id: 0,
                ..spans[4].clone()
            };
            spans.push(nobody);
        });
        garden.plant(Some(Kind::DuplicateSpan), |spans| {
            let later = Seed {
                start: spans[4].start + 1,
                ..spans[4].clone()
            };
            spans.push(later);
        });
        // An agent that tells no spans at all is named, and no fault.
        garden.plant(None, |spans| {
            spans.truncate(4);
            spans[3].agent = "silent";
        });
        garden.plant(Some(Kind::NotStored), |_| {});
        garden.accept(99, 0);
        garden.plant(Some(Kind::NotDelivered), |_| {});
        garden.accept(3, 2);
        garden.plant(None, |_| {});
        garden.accept(3, 1);
        garden
    }

    /// A trace with the hops of one event, changed as the fault wants it.
    fn plant(&mut self, fault: Option<FindingKind>, change: impl FnOnce(&mut Vec<Seed>)) {
        let event = self.requests.len() as u64 + 1;
        let hops = [
            ("sensor.emit_data", "sensor", 0, 1),
            (name::BRIDGE_PUBLISH, "sensor", 1, 2),
            (name::BUS_PUBLISH, "", 1, 2),
            (name::BRIDGE_FORWARD, "processor", 2, 3),
            (name::ON_EVENT, "processor", 4, 8),
        ];
        let seeds = (1..).zip(hops).map(|(id, (name, agent, start, end))| Seed {
            id,
            parent: id - 1,
            name,
            start,
            end,
            agent,
            event,
        });
        let mut seeds: Vec<_> = seeds.collect();
        change(&mut seeds);
        self.requests.push(request(self.trace_id(1), &seeds));
        if let Some(fault) = fault {
            *self.planted.entry(fault).or_default() += 1;
        }
    }

    /// The bus's book has the event of the last trace under this span.
    fn accept(&mut self, span: u64, settled: u32) {
        let (trace_id, span_id) = (self.trace_id(0), SpanId::from_bytes(&span.to_be_bytes()));
        if let (Some(trace_id), Some(span_id)) = (TraceId::from_bytes(&trace_id), span_id) {
            self.accepted.push(Accepted {
                trace_id,
                span_id,
                settled,
                name: "a planted event".to_owned(),
            });
        }
    }

    /// The id of the last trace, or of the one after it.
    fn trace_id(&self, after: usize) -> [u8; 16] {
        ((self.requests.len() + after) as u128).to_be_bytes()
    }
}

/// An OTLP `ExportTraceServiceRequest` with these spans; the numbers are those of `opentelemetry.proto.trace.v1`.
fn request(trace_id: [u8; 16], seeds: &[Seed]) -> Bytes {
    let mut scope_spans = Vec::new();
    for seed in seeds {
        put_bytes_field(&mut scope_spans, 2, &span(trace_id, seed));
    }
    let mut resource_spans = Vec::new();
    put_bytes_field(&mut resource_spans, 2, &scope_spans);
    let mut request = Vec::new();
    put_bytes_field(&mut request, 1, &resource_spans);
    request.into()
}

fn span(trace_id: [u8; 16], seed: &Seed) -> Vec<u8> {
    let mut span = Vec::new();
    put_bytes_field(&mut span, 1, &trace_id);
    put_bytes_field(&mut span, 2, &seed.id.to_be_bytes());
    if seed.parent != 0 {
        put_bytes_field(&mut span, 4, &seed.parent.to_be_bytes());
    }
    put_bytes_field(&mut span, 5, seed.name.as_bytes());
    for (number, time_ms) in [(7, seed.start), (8, seed.end)] {
        span.put_u8(number << 3 | 1);
        span.put_u64_le(BASE_NS + time_ms * 1_000_000);
    }
    let event = seed.event.to_string();
    for (key, value) in [
        (attribute::AGENT_ID, seed.agent),
        (attribute::EVENT_ID, &event),
    ] {
        let mut any = Vec::new();
        put_bytes_field(&mut any, 1, value.as_bytes());
        let mut pair = Vec::new();
        put_bytes_field(&mut pair, 1, key.as_bytes());
        put_bytes_field(&mut pair, 2, &any);
        put_bytes_field(&mut span, 9, &pair);
    }
    span
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn exactly_what_was_planted_is_found() {
        let test = run().await.expect("there is room");
        assert_eq!(test.planted, test.report.faults, "{:#?}", test.report);
        assert!(test.is_passed());
        assert_eq!(test.report.silent_agents, ["silent"]);
    }

    #[tokio::test]
    async fn what_is_not_found_fails_it() {
        let mut test = run().await.expect("there is room");
        test.planted.insert(FindingKind::OtherTrace, 1);
        assert!(!test.is_passed());
    }
}
