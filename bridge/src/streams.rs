//! The RPCs of `loom.v1.Streams`: dead letters are listed, redriven and dropped; groups are listed and moved; streams are read.

mod page;

use std::sync::Arc;

use loom_core::bus::GroupView;
use loom_core::group::letters::{DeadLetters, Letter, LetterFilter, LetterPage};
use loom_core::{Event, HopSpan, JournalError, Published};
use loom_proto::topic::validate_pattern;
use loom_proto::v1::streams_server::{Streams as StreamsRpc, StreamsServer};
use loom_proto::{Code, EventId, TraceId, v1};
use loom_telemetry::{MessageDetail, MessageOperation, SpanDetail, SpanKind, SpanStatus};
use tokio::sync::Mutex;
use tonic::{Request, Response, Status};

use crate::service::Bridge;
use crate::start;
use crate::status::{event_error, publish_error, status};

/// Letters or events of one page, where the caller does not say, and at most.
const USUAL_PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;
/// Letters that are redriven or dropped with one call, and closed with one write.
const AT_ONCE: usize = 256;

/// See the module; clones are the same.
#[derive(Clone)]
pub struct Streams {
    bridge: Bridge,
    letters: Option<Arc<DeadLetters>>,
    /// Two callers that redrive the same letter would publish its event twice.
    changing: Arc<Mutex<()>>,
}

/// An event of a letter that was published, until the disk has it.
struct Redriving {
    event: Event,
    span: HopSpan,
    published: Published,
}

impl Streams {
    pub(crate) fn new(bridge: Bridge) -> Self {
        let letters = DeadLetters::among(bridge.bus().streams());
        Self {
            bridge,
            letters: letters.map(Arc::new),
            changing: Arc::default(),
        }
    }

    /// The service to put on a listener.
    pub fn service(&self) -> StreamsServer<Self> {
        StreamsServer::new(self.clone())
    }

    /// One page of open letters, the newest first. Whoever calls this and the next two has asked who wants it.
    ///
    /// # Errors
    /// The filter is not valid, or the stream of dead letters cannot be read.
    pub async fn list_letters(
        &self,
        request: v1::ListDeadLettersRequest,
    ) -> Result<v1::ListDeadLettersResponse, Status> {
        let filter = read_filter(request.filter)?;
        let before = (request.before > 0).then_some(request.before);
        let limit = page_size(request.limit);
        let page = self
            .asked(move |letters| letters.newest(&filter, before, limit, request.with_payload))
            .await?;
        Ok(v1::ListDeadLettersResponse {
            letters: page.letters.into_iter().map(dead_letter).collect(),
            before: page.next.unwrap_or_default(),
            open: page.open,
        })
    }

    /// Publishes the events of one page of letters once more, and closes those that are kept.
    ///
    /// # Errors
    /// The server is about to end, the filter is not valid, or the stream of dead letters failed.
    pub async fn redrive_letters(
        &self,
        request: v1::RedriveDeadLettersRequest,
    ) -> Result<v1::RedriveDeadLettersResponse, Status> {
        self.bridge.refuse_when_draining()?;
        let streams = self.clone();
        // Goes on to its end if the caller goes away: a span that has begun is ended, and what was published is closed.
        let redriven = tokio::spawn(async move { streams.redrive(request).await }).await;
        redriven.map_err(|error| status(&v1::Error::new(Code::Internal, error.to_string())))?
    }

    /// Closes one page of letters.
    ///
    /// # Errors
    /// As of [`Streams::redrive_letters`].
    pub async fn drop_letters(
        &self,
        request: v1::DropDeadLettersRequest,
    ) -> Result<v1::DropDeadLettersResponse, Status> {
        self.bridge.refuse_when_draining()?;
        let _one_at_a_time = self.changing.lock().await;
        let page = self.page(request.filter, request.from, request.until);
        let (page, until) = page.await?;
        let offsets = page.letters.iter().map(|letter| letter.offset);
        self.close(offsets.collect()).await?;
        let ids = page.letters.iter().map(|letter| bytes(letter.id()));
        Ok(v1::DropDeadLettersResponse {
            letter_ids: ids.collect(),
            from: page.next.unwrap_or(until),
            until,
        })
    }

    /// The disk is asked on a thread that may wait for it. Nothing and nowhere where no stream keeps dead letters.
    async fn asked<T: Default + Send + 'static>(
        &self,
        ask: impl FnOnce(&DeadLetters) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, Status> {
        let Some(letters) = self.letters.clone() else {
            return Ok(T::default());
        };
        let asked = tokio::task::spawn_blocking(move || ask(&letters)).await;
        let refused = |code, message| Err(status(&v1::Error::new(code, message)));
        match asked {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                let message = format!("the stream of dead letters: {error}");
                refused(Code::Internal, message)
            }
            Err(error) => refused(Code::Internal, error.to_string()),
        }
    }

    /// One page of those that are to be closed, and the offset before which all of them are.
    async fn page(
        &self,
        filter: Option<v1::DeadLetterFilter>,
        from: u64,
        until: u64,
    ) -> Result<(LetterPage, u64), Status> {
        let filter = read_filter(filter)?;
        self.asked(move |letters| {
            let until = if until == 0 { letters.end() } else { until };
            let page = letters.oldest(&filter, from..until, AT_ONCE)?;
            Ok((page, until))
        })
        .await
    }

    async fn close(&self, offsets: Vec<u64>) -> Result<(), Status> {
        self.asked(move |letters| letters.close(&offsets)).await
    }

    /// One page of redriving.
    async fn redrive(
        &self,
        request: v1::RedriveDeadLettersRequest,
    ) -> Result<v1::RedriveDeadLettersResponse, Status> {
        let _one_at_a_time = self.changing.lock().await;
        let page = self.page(request.filter, request.from, request.until);
        let (page, until) = page.await?;

        // All are on their way to the disk before the first is waited for.
        let mut publishing = Vec::with_capacity(page.letters.len());
        for letter in &page.letters {
            publishing.push(self.publish(letter).await);
        }
        let mut redriven = Vec::with_capacity(page.letters.len());
        let mut closed = Vec::new();
        for (letter, publishing) in page.letters.iter().zip(publishing) {
            let one = self.kept(letter, publishing).await;
            if one.error.is_none() {
                closed.push(letter.offset);
            }
            redriven.push(one);
        }
        self.close(closed).await?;
        Ok(v1::RedriveDeadLettersResponse {
            redriven,
            from: page.next.unwrap_or(until),
            until,
        })
    }

    /// Publishes the event of a letter once more, in a trace of its own that links to the former.
    async fn publish(&self, letter: &Letter) -> Result<Redriving, v1::Error> {
        let message = letter.redriven();
        let message =
            message.map_err(|error| v1::Error::new(Code::InvalidEvent, error.to_string()))?;
        let bus = self.bridge.bus();
        // The letter goes when the event is safe, so it must be kept.
        if bus.stream_of(&message.topic).is_none() {
            let topic = &message.topic;
            let message = format!(
                "no stream keeps {topic} any more: add it to the topics of one, or publish the event yourself and drop the letter"
            );
            return Err(v1::Error::new(Code::NotStored, message));
        }
        let mut event = Event::new(message).map_err(|error| event_error(&error))?;
        let tracer = self.bridge.tracer();
        tracer.room().await;
        let span = tracer.start(None, false);
        event.set_bridged(&span);
        match bus.publish(event.clone()).await {
            Ok(published) => Ok(Redriving {
                event,
                span,
                published,
            }),
            Err(error) => {
                self.end(&event, span, letter, Some(error.code()));
                Err(publish_error(&error))
            }
        }
    }

    async fn kept(&self, letter: &Letter, redriving: Result<Redriving, v1::Error>) -> v1::Redriven {
        let mut redriven = v1::Redriven {
            letter_id: bytes(letter.id()),
            ..v1::Redriven::default()
        };
        match redriving {
            Ok(Redriving {
                event,
                span,
                published,
            }) => {
                let kept = published.committed().await;
                let code = kept.as_ref().err().map(loom_core::PublishError::code);
                self.end(&event, span, letter, code);
                redriven.event_id = bytes(event.id());
                redriven.topic = event.topic().to_string();
                let trace = published.trace.map(|trace| trace.to_string());
                redriven.traceparent = trace.unwrap_or_default();
                redriven.error = kept.err().map(|error| publish_error(&error));
            }
            Err(error) => redriven.error = Some(error),
        }
        redriven
    }

    fn end(&self, event: &Event, span: HopSpan, letter: &Letter, error: Option<Code>) {
        let outcome = match error {
            Some(_) => SpanStatus::Error,
            None => SpanStatus::Unset,
        };
        let detail = || {
            SpanDetail::Message(MessageDetail {
                operation: MessageOperation::BridgePublish {
                    body_size: event.payload_len(),
                },
                agent: None,
                topic: Arc::clone(event.topic()),
                event_id: event.id(),
                error: error.map(Code::name),
                link: letter.last_context().map(Box::new),
                is_stand_in: false,
            })
        };
        self.bridge
            .tracer()
            .end(span, SpanKind::Consumer, outcome, detail);
    }
}

#[tonic::async_trait]
impl StreamsRpc for Streams {
    async fn list_dead_letters(
        &self,
        request: Request<v1::ListDeadLettersRequest>,
    ) -> Result<Response<v1::ListDeadLettersResponse>, Status> {
        self.bridge.authorize(&request)?;
        let page = self.list_letters(request.into_inner()).await?;
        Ok(Response::new(page))
    }

    async fn redrive_dead_letters(
        &self,
        request: Request<v1::RedriveDeadLettersRequest>,
    ) -> Result<Response<v1::RedriveDeadLettersResponse>, Status> {
        self.bridge.authorize(&request)?;
        let page = self.redrive_letters(request.into_inner()).await?;
        Ok(Response::new(page))
    }

    async fn drop_dead_letters(
        &self,
        request: Request<v1::DropDeadLettersRequest>,
    ) -> Result<Response<v1::DropDeadLettersResponse>, Status> {
        self.bridge.authorize(&request)?;
        let page = self.drop_letters(request.into_inner()).await?;
        Ok(Response::new(page))
    }

    async fn list_groups(
        &self,
        request: Request<v1::ListGroupsRequest>,
    ) -> Result<Response<v1::ListGroupsResponse>, Status> {
        self.bridge.authorize(&request)?;
        let bus = self.bridge.bus().clone();
        let views = tokio::task::spawn_blocking(move || bus.group_views()).await;
        let failed = |message| status(&v1::Error::new(Code::Internal, message));
        let views = views.map_err(|error| failed(error.to_string()))?;
        let views = views.map_err(|error| failed(format!("groups cannot be read: {error}")))?;
        Ok(Response::new(v1::ListGroupsResponse {
            groups: views.into_iter().map(group_info).collect(),
        }))
    }

    async fn reset_group(
        &self,
        request: Request<v1::ResetGroupRequest>,
    ) -> Result<Response<v1::ResetGroupResponse>, Status> {
        self.bridge.authorize(&request)?;
        self.bridge.refuse_when_draining()?;
        let v1::ResetGroupRequest { stream, group, to } = request.into_inner();
        let Some(to) = start::position(to) else {
            let message = "where shall the group go on? Say a position";
            let error = v1::Error::new(Code::MalformedFrame, message).at("to");
            return Err(status(&error));
        };
        let moved = self.bridge.bus().reset_group(&stream, &group, to).await;
        let offset =
            moved.map_err(|error| status(&v1::Error::new(error.code(), error.to_string())))?;
        tracing::info!(stream, group, offset, "a group goes on elsewhere");
        Ok(Response::new(v1::ResetGroupResponse { offset }))
    }

    async fn read_stream(
        &self,
        request: Request<v1::ReadStreamRequest>,
    ) -> Result<Response<v1::ReadStreamResponse>, Status> {
        self.bridge.authorize(&request)?;
        let request = request.into_inner();
        let mut streams = self.bridge.bus().streams().iter();
        let Some(stream) = streams.find(|one| one.name() == request.stream).cloned() else {
            let message = format!("no stream is called {:?}", request.stream);
            let error = v1::Error::new(Code::NotFound, message).at("stream");
            return Err(status(&error));
        };
        let from = start::position(request.from).unwrap_or_default();
        let limit = page_size(request.limit);
        let page = tokio::task::spawn_blocking(move || page::read(&stream, from, limit)).await;
        let failed = |message| status(&v1::Error::new(Code::Internal, message));
        let page = page.map_err(|error| failed(error.to_string()))?;
        let page = page.map_err(|error| failed(format!("the stream cannot be read: {error}")))?;
        Ok(Response::new(page))
    }
}

fn page_size(wanted: u32) -> usize {
    match wanted {
        0 => USUAL_PAGE,
        wanted => LARGEST_PAGE.min(wanted as usize),
    }
}

fn group_info(view: GroupView) -> v1::GroupInfo {
    v1::GroupInfo {
        stream: view.stream,
        name: view.name,
        floor: view.floor,
        end: view.end,
        active: view.active.map(|active| v1::ActiveGroup {
            pattern: active.pattern,
            members: u32::try_from(active.members).unwrap_or(u32::MAX),
            acked: active.books.acked,
            retried: active.books.retried,
            dead: active.books.dead,
            open: active.books.open,
        }),
    }
}

fn read_filter(filter: Option<v1::DeadLetterFilter>) -> Result<LetterFilter, Status> {
    let filter = filter.unwrap_or_default();
    let refuse =
        |code, message: String, field: &str| Err(status(&v1::Error::new(code, message).at(field)));
    if !filter.topic.is_empty()
        && let Err(error) = validate_pattern(&filter.topic)
    {
        let message = format!("the pattern {:?} is not valid: {error}", filter.topic);
        return refuse(Code::InvalidTopic, message, "filter.topic");
    }
    let ids = filter.ids.iter().map(|id| EventId::from_slice(id));
    let Ok(ids) = ids.collect::<Result<Vec<_>, _>>() else {
        let message = "an id has 16 bytes, which are not all zero".to_owned();
        return refuse(Code::InvalidEvent, message, "filter.ids");
    };
    let trace = TraceId::from_slice(&filter.trace_id);
    if trace.is_none() && !filter.trace_id.is_empty() {
        let message = "a trace id has 16 bytes, which are not all zero".to_owned();
        return refuse(Code::InvalidEvent, message, "filter.trace_id");
    }
    Ok(LetterFilter {
        ids,
        topic: filter.topic,
        trace,
        group: filter.group,
    })
}

fn dead_letter(letter: Letter) -> v1::DeadLetter {
    v1::DeadLetter {
        offset: letter.offset,
        time_unix_nano: letter.unix_nano,
        traceparent: letter.trace.map_or_else(String::new, |t| t.to_string()),
        payload_size: u32::try_from(letter.payload_len).unwrap_or(u32::MAX),
        event: Some(letter.event),
    }
}

fn bytes(id: EventId) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(&id.0)
}
