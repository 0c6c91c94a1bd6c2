//! Readers of the server's live stream: one as a browser's `EventSource` is, and a WebSocket.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const PATIENCE: Duration = Duration::from_secs(30);

/// One event of the stream.
#[derive(Clone, Debug)]
pub struct LiveFrame {
    /// Its id; empty where it has none.
    pub id: String,
    /// Its kind.
    pub event: String,
    /// What it says.
    pub data: Value,
}

/// An open stream. Dropping it breaks the connection.
#[derive(Debug)]
pub struct LiveReader {
    lines: Lines<BufReader<TcpStream>>,
    /// The answer's head, in lower case.
    pub head: Vec<String>,
}

impl LiveReader {
    /// Asks for the stream; `last_id` is that of the frame that was read last.
    ///
    /// # Panics
    /// Nobody answers.
    pub async fn open(address: SocketAddr, query: &str, last_id: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let resume = last_id.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
        // To a client of 1.0 the body comes as it is, without chunks.
        let request =
            format!("GET /api/v1/stream?{query} HTTP/1.0\r\nHost: {address}\r\n{resume}\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut lines = BufReader::new(stream).lines();
        let mut head = Vec::new();
        loop {
            let line = timeout(PATIENCE, lines.next_line()).await.expect("in time");
            match line.expect("text") {
                Some(line) if !line.is_empty() => head.push(line.to_ascii_lowercase()),
                _ => break,
            }
        }
        Self { lines, head }
    }

    /// The next frame; `None` at the end of the stream.
    ///
    /// # Panics
    /// Nothing comes, or what comes is no frame.
    pub async fn next(&mut self) -> Option<LiveFrame> {
        let mut frame = LiveFrame {
            id: String::new(),
            event: String::new(),
            data: Value::Null,
        };
        loop {
            let line = timeout(PATIENCE, self.lines.next_line())
                .await
                .expect("a frame comes in time");
            let line = line.ok().flatten()?;
            if line.is_empty() {
                if frame.event.is_empty() {
                    continue;
                }
                return Some(frame);
            }
            let (field, value) = line.split_once(':').expect("a field and its value");
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => value.clone_into(&mut frame.id),
                "event" => value.clone_into(&mut frame.event),
                "data" => frame.data = serde_json::from_str(value).expect("JSON"),
                _ => {}
            }
        }
    }

    /// The next frame of that kind.
    ///
    /// # Panics
    /// The stream ends before.
    pub async fn next_of(&mut self, event: &str) -> LiveFrame {
        loop {
            let frame = self.next().await.expect("the stream goes on");
            if frame.event == event {
                return frame;
            }
        }
    }
}

/// An open WebSocket. Dropping it breaks the connection.
#[derive(Debug)]
pub struct LiveSocket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl LiveSocket {
    /// Opens one, as a page of `origin` does where that is said.
    ///
    /// # Errors
    /// The server refuses it.
    ///
    /// # Panics
    /// The origin is no header.
    pub async fn open(
        address: SocketAddr,
        query: &str,
        origin: Option<&str>,
    ) -> Result<Self, tungstenite::Error> {
        let mut request = format!("ws://{address}/api/v1/ws?{query}").into_client_request()?;
        if let Some(origin) = origin {
            let origin = origin.parse().expect("a header");
            request.headers_mut().insert("origin", origin);
        }
        connect_async(request).await.map(|(socket, _)| Self(socket))
    }

    /// Says something.
    ///
    /// # Panics
    /// The server has gone.
    pub async fn say(&mut self, text: &str) {
        let message = Message::Text(text.into());
        self.0.send(message).await.expect("it is heard");
    }

    /// The next frame; `None` at the end.
    ///
    /// # Panics
    /// Nothing comes, or what comes is no JSON.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            let message = timeout(PATIENCE, self.0.next())
                .await
                .expect("a frame comes in time");
            match message?.ok()? {
                Message::Text(text) => return Some(serde_json::from_str(&text).expect("JSON")),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// The next frame of that kind.
    ///
    /// # Panics
    /// The connection ends before.
    pub async fn next_of(&mut self, event: &str) -> Value {
        loop {
            let frame = self.next().await.expect("it goes on");
            if frame["event"] == event {
                return frame;
            }
        }
    }
}
