//! Traces as a stream of messages, each of a bounded size and of one trace.

use std::vec;

use futures_util::stream::{self, BoxStream};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use tonic::Status;

use super::super::find;
use super::Reader;
use super::status::status;
use crate::model::{Span, Trace, TraceId};
use crate::otlp::encode::chunk;

/// Bytes of one message: far below the 4 MiB that clients take, and made in no time.
const MAX_BYTES: usize = 256 << 10;

/// What gRPC streams.
pub(super) type Messages<T> = BoxStream<'static, Result<T, Status>>;

/// What is left of the answer.
struct Rest {
    reader: Reader,
    ids: vec::IntoIter<TraceId>,
    /// Spans of the trace whose turn it is, and how many of them are sent.
    spans: Vec<Span>,
    sent: usize,
    raw: bool,
}

/// A trace that was loaded.
pub(super) fn of_trace(reader: Reader, trace: Trace, raw: bool) -> Messages<TracesData> {
    let mut rest = Rest::of(reader, Vec::new(), raw);
    rest.take(trace);
    rest.stream()
}

/// Traces one after the other, each loaded when the one before it is sent; those that are not there are left out. `raw` is
/// without anything that was not stored.
pub(super) fn of_traces(reader: Reader, ids: Vec<TraceId>, raw: bool) -> Messages<TracesData> {
    Rest::of(reader, ids, raw).stream()
}

impl Rest {
    fn of(reader: Reader, ids: Vec<TraceId>, raw: bool) -> Self {
        Self {
            reader,
            ids: ids.into_iter(),
            spans: Vec::new(),
            sent: 0,
            raw,
        }
    }

    fn stream(self) -> Messages<TracesData> {
        Box::pin(stream::try_unfold(self, |mut rest| async move {
            Ok(rest.next().await?.map(|message| (message, rest)))
        }))
    }

    async fn next(&mut self) -> Result<Option<TracesData>, Status> {
        loop {
            let (message, taken) = chunk(&self.spans[self.sent..], MAX_BYTES);
            if taken > 0 {
                self.sent += taken;
                return Ok(Some(message));
            }
            let Some(id) = self.ids.next() else {
                return Ok(None);
            };
            let reader = &self.reader;
            let trace = reader.query.trace(id, reader.max_spans).await;
            if let Some(trace) = trace.map_err(status)? {
                self.take(trace);
            }
        }
    }

    fn take(&mut self, mut trace: Trace) {
        if !self.raw {
            find::warn(&mut trace);
        }
        self.spans = trace.spans;
        self.sent = 0;
    }
}
