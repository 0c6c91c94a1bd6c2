//! The connection: Hello, Welcome, frames in both directions, and another attempt when it is lost.
//!
//! One task per client on the I/O thread. It tries for ever, with exponential backoff and jitter, unless the server says
//! that it will never want this agent. Nothing here touches Python: what the agent must know becomes a [`Notice`].

use std::error::Error as _;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use loom_proto::frame::Frame;
use loom_proto::v1::bridge_client::BridgeClient;
use loom_proto::wire::{Fields, Value, number};
use loom_proto::{Code, v1};
use prost::Message;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_stream::Stream;
use tonic::Status;
use tonic::codec::Streaming;
use tonic::transport::{ClientTlsConfig, Endpoint};

use crate::inbox::Notice;
use crate::link::Link;
use crate::outbox::Control;
use crate::{logs, runtime};

mod backoff;
mod status;

use backoff::Backoff;

/// A server that answers at all answers within this.
const GREETING_PATIENCE: Duration = Duration::from_secs(10);
/// A connection on which nothing comes back for this long is dead.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// HTTP/2 windows; what is in flight is bounded by credit and by the publish window.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;
/// A frame is one batch, or one event as large as the server allows.
const MAX_FRAME: usize = 64 * 1024 * 1024;
/// How long a server may take to end the stream after our goodbye.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(1);

/// How a connection ended.
enum End {
    /// This client said goodbye.
    Left,
    /// Try again.
    Lost(String),
    /// The server said goodbye; it is coming back, or another one is.
    Drained,
    /// Do not try again.
    Refused(v1::Error),
}

/// Keeps the agent connected until it leaves.
pub(crate) async fn run(link: Arc<Link>) {
    let mut backoff = Backoff::default();
    loop {
        let end = tokio::select! {
            end = connect_and_serve(&link, &mut backoff) => end,
            () = link.abandoned() => End::Left,
        };
        link.disconnected();
        match end {
            End::Left => break,
            End::Refused(error) => {
                link.inbox.notify(Notice::Refused(error));
                break;
            }
            End::Lost(reason) => link.inbox.notify(Notice::Disconnected(reason)),
            End::Drained => {
                let reason = "the server is shutting down".to_owned();
                link.inbox.notify(Notice::Disconnected(reason));
            }
        }
        if link.is_leaving() {
            break;
        }
        // The pause of a backoff is time itself; leaving cuts it short.
        if timeout(backoff.next(), link.left()).await.is_ok() {
            break;
        }
    }
    link.closed();
    link.inbox.notify(Notice::Closed);
}

/// Lets every client of the process send what it holds and say goodbye. The process is leaving: blocks until `deadline` at most.
pub(crate) fn leave_all(deadline: std::time::Instant) {
    let links = logs::listeners();
    let Ok(runtime) = runtime::handle() else {
        return;
    };
    for link in &links {
        link.leave();
    }
    runtime.block_on(async {
        for link in &links {
            let closed = timeout_at(deadline.into(), link.wait_closed());
            if closed.await.is_err() {
                break;
            }
        }
    });
}

async fn connect_and_serve(link: &Arc<Link>, backoff: &mut Backoff) -> End {
    let attempt = timeout(GREETING_PATIENCE, greet(link));
    let (mut stream, welcome, first) = match attempt.await {
        Ok(Ok(open)) => open,
        Ok(Err(end)) => return end,
        Err(_) => {
            return End::Lost(format!(
                "no answer within {} s",
                GREETING_PATIENCE.as_secs()
            ));
        }
    };
    backoff.reset();
    let interval = Duration::from_millis(u64::from(welcome.heartbeat_interval_ms.max(100))) / 2;
    link.outbox.connected(welcome.publish_window);
    link.welcomed(&welcome);
    link.inbox.notify(Notice::Connected(welcome));
    let mut reader = Reader::default();
    reader.take(link, &first);
    serve(link, &mut stream, &mut reader, interval).await
}

/// Opens the stream and waits for Welcome. Returns the frame that brought it as well: more may stand in it.
async fn greet(link: &Arc<Link>) -> Result<(Streaming<Frame>, v1::Welcome, Bytes), End> {
    let channel = endpoint(&link.config.address)?
        .connect()
        .await
        .map_err(|error| End::Lost(innermost(&error)))?;
    let mut bridge = BridgeClient::new(channel).max_decoding_message_size(MAX_FRAME);
    let (stream, hello) = link.greet();
    let outbound = Outbound {
        hello: Some(hello),
        stream,
        link: Arc::clone(link),
    };
    let mut stream = bridge
        .event_stream(outbound)
        .await
        .map_err(|status| ended(&status))?
        .into_inner();
    let Some(Frame(first)) = stream.message().await.map_err(|status| ended(&status))? else {
        return Err(End::Lost("the server ended the stream at once".to_owned()));
    };
    let welcome = Fields::of(&first)
        .filter_map(Result::ok)
        .find_map(|field| match field.value {
            Value::Bytes(bytes) if field.number == number::WELCOME => {
                v1::Welcome::decode(bytes).ok()
            }
            _ => None,
        });
    match welcome {
        Some(welcome) => Ok((stream, welcome, first)),
        None => Err(End::Lost(
            "the server's first message is no Welcome: is this a Loom server of this version?"
                .to_owned(),
        )),
    }
}

fn endpoint(address: &str) -> Result<Endpoint, End> {
    let refuse = |error: tonic::transport::Error| {
        let message = format!(
            "the address {address:?} is not valid: {}",
            innermost(&error)
        );
        End::Refused(v1::Error::new(Code::InvalidAgentId, message).at("address"))
    };
    let secure = address.starts_with("https://");
    let url = if address.contains("://") {
        address.to_owned()
    } else {
        format!("http://{address}")
    };
    let endpoint = Endpoint::from_shared(url)
        .map_err(refuse)?
        .connect_timeout(GREETING_PATIENCE)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    if secure {
        let tls = ClientTlsConfig::new().with_native_roots();
        return endpoint.tls_config(tls).map_err(refuse);
    }
    Ok(endpoint)
}

async fn serve(
    link: &Arc<Link>,
    stream: &mut Streaming<Frame>,
    reader: &mut Reader,
    interval: Duration,
) -> End {
    let mut heartbeat = tokio::time::interval(interval);
    let mut over = None;
    loop {
        tokio::select! {
            message = stream.message() => match message {
                Ok(Some(Frame(frame))) => reader.take(link, &frame),
                Ok(None) | Err(_) if over.is_some() => return End::Left,
                Ok(None) if reader.goodbye => return End::Drained,
                Ok(None) => return End::Lost("the server ended the stream".to_owned()),
                Err(status) => return match ended(&status) {
                    // A server that has said goodbye may be gone in the middle of a frame.
                    End::Lost(_) if reader.goodbye => End::Drained,
                    end => end,
                },
            },
            _ = heartbeat.tick() => link.outbox.control(Control::heartbeat),
            () = link.left(), if over.is_none() => {
                link.outbox.leave();
                over = Some(Instant::now() + GOODBYE_PATIENCE);
            }
            // Ends when the time is over; before the leave it is not polled.
            Err(_) = timeout_at(over.unwrap_or_else(Instant::now), pending::<()>()), if over.is_some() => {
                return End::Left;
            }
        }
    }
}

fn ended(status: &Status) -> End {
    match status::error(status) {
        error if status::is_permanent(&error) => End::Refused(error),
        error => End::Lost(error.message),
    }
}

/// "transport error" says nothing; its innermost source does.
fn innermost(error: &tonic::transport::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = error.to_string();
        source = error.source();
    }
    text
}

// ---- frames in ----

/// Takes frames apart. Its buffers are kept from frame to frame.
#[derive(Default)]
struct Reader {
    deliveries: Vec<crate::inbox::Delivery>,
    notices: Vec<Notice>,
    goodbye: bool,
}

impl Reader {
    fn take(&mut self, link: &Link, frame: &Bytes) {
        for field in Fields::of(frame) {
            let Ok(field) = field else {
                link.inbox.count_malformed();
                break;
            };
            match (field.number, field.value) {
                (number::DELIVERY, Value::Bytes(delivery)) => {
                    self.deliveries.extend(link.inbox.read(frame, delivery));
                }
                (number::SERVER_GOODBYE, Value::Varint(_)) => self.goodbye = true,
                (number, Value::Bytes(message)) => self.take_message(link, number, message),
                // A field of a later version.
                _ => {}
            }
        }
        link.inbox.push(&mut self.deliveries, &mut self.notices);
    }

    fn take_message(&mut self, link: &Link, field: u32, message: &[u8]) {
        if self.read_message(link, field, message).is_err() {
            link.inbox.count_malformed();
        }
    }

    fn read_message(
        &mut self,
        link: &Link,
        field: u32,
        message: &[u8],
    ) -> Result<(), prost::DecodeError> {
        match field {
            number::ACK => self.take_ack(link, v1::PublishAck::decode(message)?),
            number::CALL => self
                .notices
                .push(Notice::Call(v1::ActionCall::decode(message)?)),
            number::REPLY => self
                .notices
                .push(Notice::CallReply(v1::ActionReply::decode(message)?)),
            number::CANCEL => {
                let cancel = v1::ActionCancel::decode(message)?;
                self.notices.push(Notice::CallCancelled(cancel));
            }
            _ => {}
        }
        Ok(())
    }

    /// Rejections are told before the settlement that covers them can be seen: who finds all settled, finds them too.
    fn take_ack(&mut self, link: &Link, ack: v1::PublishAck) {
        for rejection in ack.rejected {
            let number = link.outbox.number(rejection.number);
            let error = rejection.error.unwrap_or_default();
            link.inbox
                .notify(Notice::Rejected(number, rejection.event_id, error));
        }
        let settled = link.outbox.acknowledged(ack.through);
        if let Some(number) = settled.confirmed {
            self.notices.push(Notice::Confirmed(number));
        }
        if settled.writable {
            self.notices.push(Notice::Writable);
        }
    }
}

// ---- frames out ----

/// The request half of the stream: Hello, then whatever the outbox has.
struct Outbound {
    hello: Option<Frame>,
    stream: u64,
    link: Arc<Link>,
}

impl Stream for Outbound {
    type Item = Frame;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Frame>> {
        if let Some(hello) = self.hello.take() {
            return Poll::Ready(Some(hello));
        }
        self.link.poll_frame(self.stream, context.waker())
    }
}
