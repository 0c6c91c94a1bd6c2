//! One publisher and its subscribers on one bus.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use loom_core::{BusConfig, Event, EventBus, Subscription, Tracer};
use loom_telemetry::sampler::RootSampler;
use loom_telemetry::{Pipeline, PipelineConfig, Sampler, SpanBatch, SpanSink};
use tokio::task::JoinSet;

use crate::figure::Finding;

const TOPIC: &str = "bench.sensor.data";
const PAYLOAD: [u8; 256] = [b'x'; 256];
/// Deliveries that a subscriber takes at once, as the bridge does.
const BATCH: usize = 256;
/// Time for the last spans to be encoded.
const DRAIN: Duration = Duration::from_secs(60);

/// Whether publishes are recorded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recording {
    /// The bus has no recorder.
    Off,
    /// Each publish is a root span that is recorded, encoded as OTLP, and then thrown away.
    Every,
}

/// One run.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    /// Events published.
    pub events: u64,
    /// Each has a mailbox and a task of its own.
    pub subscribers: u32,
    /// Build each event anew, with an id, a time and the copy of a payload; else one event is published again and again,
    /// which shows the bus alone.
    pub built: bool,
    pub recording: Recording,
}

impl Load {
    /// Deliveries per second, from the first publish to the last receipt.
    ///
    /// # Errors
    /// An event was lost, so that the figure would be of less work than it says.
    pub(crate) async fn run(self) -> anyhow::Result<Finding> {
        let (tracer, pipeline) = self.recording.begin()?;
        let bus = EventBus::new(BusConfig::default(), tracer);

        let mut subscribers = JoinSet::new();
        for _ in 0..self.subscribers {
            let mut subscriber = bus.subscribe(&[Subscription::to("bench.*.data")])?;
            subscribers.spawn(async move {
                let mut batch = Vec::with_capacity(BATCH);
                let mut received = 0;
                while received < self.events {
                    received += subscriber.recv_many(&mut batch, BATCH).await as u64;
                    batch.clear();
                }
                Instant::now()
            });
        }

        let begin = Instant::now();
        let published = tokio::spawn(self.publish(bus.clone()));
        published.await.context("the publisher panicked")??;
        let ends = subscribers.join_all().await;
        let elapsed = ends.into_iter().max().context("no subscriber")? - begin;

        let books = bus.stats();
        let expected = self.events * u64::from(self.subscribers);
        ensure!(
            books.delivered == expected,
            "{} of {expected} deliveries arrived",
            books.delivered
        );
        let note = unrecorded(pipeline, self.events).await?;
        Ok(Finding {
            value: expected as f64 / elapsed.as_secs_f64(),
            note,
        })
    }

    async fn publish(self, bus: EventBus) -> anyhow::Result<()> {
        let mut publisher = bus.publisher();
        let template = Event::on(TOPIC, &PAYLOAD[..])?;
        for _ in 0..self.events {
            let event = if self.built {
                Event::on(TOPIC, &PAYLOAD[..])?
            } else {
                template.clone()
            };
            let answer = publisher.publish(event).await?;
            ensure!(
                answer.lost == 0,
                "{} deliveries lost to backpressure",
                answer.lost
            );
        }
        Ok(())
    }
}

impl Recording {
    /// What records as this says, and what must be asked in the end whether it kept up.
    ///
    /// # Errors
    /// The pipeline's thread does not start.
    pub(crate) fn begin(self) -> anyhow::Result<(Tracer, Option<Pipeline>)> {
        if self == Self::Off {
            return Ok((Tracer::off(), None));
        }
        let pipeline = Pipeline::start(vec![Box::new(Discard)], PipelineConfig::default())?;
        let sampler = Sampler {
            parent_based: true,
            root: RootSampler::AlwaysOn,
        };
        Ok((
            Tracer::new(pipeline.recorder(Vec::new()), sampler),
            Some(pipeline),
        ))
    }
}

/// The share of spans that were not recorded, if any: the recorder refuses what comes faster than it is encoded.
///
/// # Errors
/// There are more spans than there should be.
pub(crate) async fn unrecorded(
    pipeline: Option<Pipeline>,
    spans: u64,
) -> anyhow::Result<Option<String>> {
    let Some(pipeline) = pipeline else {
        return Ok(None);
    };
    let report =
        tokio::task::spawn_blocking(move || pipeline.shutdown(Instant::now() + DRAIN)).await?;
    let exported: u64 = report.stats.sinks.iter().map(|sink| sink.exported).sum();
    let missing = spans
        .checked_sub(exported)
        .context("more spans than there should be")?;
    let share = 100.0 * missing as f64 / spans as f64;
    Ok((missing > 0).then(|| format!("{share:.2} % of the spans refused")))
}

/// Counts what was encoded and keeps nothing.
struct Discard;

impl SpanSink for Discard {
    fn name(&self) -> &'static str {
        "discard"
    }

    fn export(&mut self, batch: SpanBatch) {
        batch.exported();
    }
}
