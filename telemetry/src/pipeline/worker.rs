//! The thread: drain, encode, hand over.

use std::sync::Arc;

use super::registry::{Errand, Registry, Stage};
use crate::otlp::Encoder;
use crate::record::{SpanRecord, Value};
use crate::sink::{Account, SpanSink};

pub(super) struct Worker {
    registry: Arc<Registry>,
    sinks: Vec<(Box<dyn SpanSink>, Arc<Account>)>,
    encoder: Encoder,
    /// Room that is swapped with the recorders' buffers.
    spans: Vec<SpanRecord>,
}

impl Worker {
    pub(super) fn new(
        registry: Arc<Registry>,
        sinks: Vec<(Box<dyn SpanSink>, Arc<Account>)>,
    ) -> Self {
        Self {
            registry,
            sinks,
            encoder: Encoder::new(),
            spans: Vec::new(),
        }
    }

    pub(super) fn run(mut self) {
        let registry = Arc::clone(&self.registry);
        let _ended = Ended(&registry);
        loop {
            let errand = registry.errand();
            let stage = errand.stage;
            self.round(errand);
            if stage >= Stage::Closing {
                break;
            }
            registry.rest();
        }
        // Before the end is announced: whoever waits for it wants to know what the sinks dropped.
        self.sinks.clear();
    }

    fn round(&mut self, errand: Errand) {
        for (recorder, is_last) in errand.recorders {
            self.registry.take(&recorder, &mut self.spans);
            let mut spans = std::mem::take(&mut self.spans);
            for batch in spans.chunks(self.registry.config.batch_spans.max(1)) {
                self.hand_over(recorder.resource(), batch);
                self.registry.handed_over(batch.len());
            }
            spans.clear();
            self.spans = spans;
            if is_last {
                self.registry.forget(&recorder);
            }
        }
        if errand.is_awaited {
            for (sink, _) in &mut self.sinks {
                sink.hurry();
            }
            self.registry.drained(errand.asked);
        }
    }

    fn hand_over(&mut self, resource: &[(Value, Value)], spans: &[SpanRecord]) {
        if self.sinks.is_empty() {
            // The export is switched off: nobody would read what is written.
            return;
        }
        let request = self.encoder.encode(resource, spans);
        if request.len() > self.registry.config.batch_bytes && spans.len() > 1 {
            let (first, second) = spans.split_at(spans.len() / 2);
            self.hand_over(resource, first);
            self.hand_over(resource, second);
            return;
        }
        for (sink, account) in &mut self.sinks {
            sink.export(account.open(request.clone(), spans.len()));
        }
    }
}

/// Announces the end of the thread, however it comes.
struct Ended<'a>(&'a Registry);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.ended();
    }
}
