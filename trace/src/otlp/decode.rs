//! OTLP bytes to [`Span`]s: a pure function, one span at a time.
//!
//! Everything is read from the wire straight into the model, so a request of 16 MiB costs little more than the memory of its largest
//! span beside its bytes. What is accepted and what comes out is what prost's messages give, which a property test holds against it.

mod identity;
mod message;
mod owner;
mod span;
mod spare;
mod value;

use std::sync::Arc;

use self::identity::Said;
use self::message::Message;
use self::span::Draft;
use self::spare::Spare;
use super::alias;
use super::number::{request, resource_spans, scope_spans};
use super::scan::Rejected;
use super::wire::WireError;
use crate::error::DecodeError;
use crate::model::{Identity, Resource, Scope, Span, TraceId};

/// What a request held.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decoded {
    /// The good spans in their order.
    pub spans: Vec<Span>,
    /// The others, by reason.
    pub rejected: Rejected,
}

/// Decodes a whole `ExportTraceServiceRequest`.
pub fn decode(request: &[u8]) -> Result<Decoded, DecodeError> {
    let mut spans = Vec::new();
    let mut walk = Walk::of(request);
    while let Some(message) = walk.next()? {
        spans.extend(walk.span(message)?);
    }
    let rejected = walk.rejected;
    Ok(Decoded { spans, rejected })
}

/// Decodes an `ExportTraceServiceRequest` and shows its good spans to `sink` one by one. Stops at the sink's first error.
pub fn decode_each<E: From<DecodeError>>(
    request: &[u8],
    mut sink: impl FnMut(&Span) -> Result<(), E>,
) -> Result<Rejected, E> {
    let mut walk = Walk::of(request);
    while let Some(message) = walk.next().map_err(DecodeError::from)? {
        if let Some(span) = walk.span(message).map_err(DecodeError::from)? {
            sink(&span)?;
            walk.spare.take_span(span);
        }
    }
    Ok(walk.rejected)
}

/// Hands the trace of each good span to `sink`, and whom the span is about, and decodes nothing else.
/// Stops at the sink's first error, and where it cannot read on: [`decode_each`] stops there or before, and has the reason.
pub fn identify_each<E>(
    request: &[u8],
    mut sink: impl FnMut(TraceId, &Identity) -> Result<(), E>,
) -> Result<(), E> {
    let mut walk = Walk::of(request);
    walk.skips_scopes = true;
    while let Ok(Some(message)) = walk.next() {
        match walk.identity(message) {
            Ok(Some((trace, identity))) => {
                sink(trace, &identity)?;
                walk.spare.take_identity(identity);
            }
            Ok(None) => {}
            Err(_) => break,
        }
    }
    Ok(())
}

/// Where the walk over a request is: in each of the three outer levels, and whose spans are there.
struct Walk<'a> {
    request: Message<'a>,
    resource_spans: Message<'a>,
    resource: Arc<Resource>,
    /// What the resource says for those of its spans that do not say it themselves.
    process: Identity,
    scope_spans: Message<'a>,
    scope: Arc<Scope>,
    /// To read a scope is to walk over its spans once more, since parts of it may stand behind them.
    skips_scopes: bool,
    rejected: Rejected,
    spare: Spare,
}

impl<'a> Walk<'a> {
    fn of(request: &'a [u8]) -> Self {
        Self {
            request: Message::request(request),
            resource_spans: Message::request(&[]),
            resource: Arc::default(),
            process: Identity::default(),
            scope_spans: Message::request(&[]),
            scope: Arc::default(),
            skips_scopes: false,
            rejected: Rejected::default(),
            spare: Spare::default(),
        }
    }

    /// The next span, which stands there undecoded.
    fn next(&mut self) -> Result<Option<Message<'a>>, WireError> {
        loop {
            if let Some(message) = self.scope_spans.next_inner(scope_spans::SPANS)? {
                return Ok(Some(message));
            }
            if let Some(message) = self
                .resource_spans
                .next_inner(resource_spans::SCOPE_SPANS)?
            {
                if !self.skips_scopes {
                    self.scope = Arc::new(owner::scope(message.clone(), &mut self.spare)?);
                }
                self.scope_spans = message;
            } else if let Some(message) = self.request.next_inner(request::RESOURCE_SPANS)? {
                self.resource = Arc::new(owner::resource(message.clone(), &mut self.spare)?);
                self.process = identity::identity(&self.resource.attributes, &mut self.spare);
                self.resource_spans = message;
            } else {
                return Ok(None);
            }
        }
    }

    /// Decodes a span; `None` for a bad one.
    fn span(&mut self, message: Message<'a>) -> Result<Option<Span>, WireError> {
        let mut span = Draft::read(message, &mut self.spare)?;
        if !(self.rejected).judge(span.trace_id, span.span_id, span.parent_span_id) {
            return Ok(None);
        }
        alias::rename(&mut span.attributes);
        let identity = identity::identity(&span.attributes, &mut self.spare);
        let identity = identity::or(identity, &self.process, &mut self.spare);
        Ok(span.finish(identity, &self.resource, &self.scope, &mut self.spare))
    }

    /// The trace of a span, and whom it is about; `None` for a bad one.
    fn identity(&mut self, message: Message<'a>) -> Result<Option<(TraceId, Identity)>, WireError> {
        let said = Said::read(message, &mut self.spare)?;
        if !(self.rejected).judge(said.trace_id, said.span_id, said.parent_span_id) {
            return Ok(None);
        }
        let identity = identity::or(said.identity, &self.process, &mut self.spare);
        Ok(TraceId::from_bytes(said.trace_id).map(|trace| (trace, identity)))
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
