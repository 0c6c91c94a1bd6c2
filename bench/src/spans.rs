//! Sends spans to a server's receiver of OTLP over HTTP, as fast as it takes them or at a rate.

use std::io::Write as _;
use std::ops::Range;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use prost::Message;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::hop::{Load, Names, SPANS, trace_id};

/// Some 500 spans a request, as exporters send them.
const TRACES_PER_REQUEST: u64 = 40;
/// A server that has no room is asked again after this time.
const AGAIN: Duration = Duration::from_millis(50);
/// Traces whose ids are printed.
const SAMPLES: u64 = 200;

/// What is sent where.
pub(crate) struct Sending {
    pub(crate) address: String,
    pub(crate) traces: Range<u64>,
    /// Spans a second, at most.
    pub(crate) rate: Option<u64>,
    pub(crate) hours: u64,
    pub(crate) names: Names,
}

#[expect(
    clippy::disallowed_methods,
    reason = "a rate is kept, and a full server is left alone for a while"
)]
async fn pause_until(time: Instant) {
    tokio::time::sleep_until(time.into()).await;
}

impl Sending {
    /// Sends all, and prints as JSON what was sent, how long it took and the ids of some of the traces.
    ///
    /// # Errors
    /// The server is not there, or refuses.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
        let count = (self.traces.end - self.traces.start).max(1);
        let period = self.hours * 3600 * 1_000_000_000;
        let step_ns = period / count;
        let load = Load {
            // The traces of other numbers begin at other times.
            begin_ns: (now - period).saturating_sub(self.traces.start * step_ns),
            step_ns,
            names: self.names,
        };
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        let begin = Instant::now();
        let mut refused = 0;
        for first in self.traces.clone().step_by(TRACES_PER_REQUEST as usize) {
            let last = (first + TRACES_PER_REQUEST).min(self.traces.end);
            if let Some(rate) = self.rate {
                let sent = (first - self.traces.start) * SPANS;
                let due = begin + Duration::from_secs_f64(sent as f64 / rate as f64);
                pause_until(due).await;
            }
            let body = load.request(first..last).encode_to_vec();
            while !post(&mut stream, &body).await? {
                refused += 1;
                pause_until(Instant::now() + AGAIN).await;
            }
        }
        let samples: Vec<_> = (self.traces.clone())
            .step_by((count / SAMPLES).max(1) as usize)
            .map(|number| trace_id(number).map(|byte| format!("{byte:02x}")).concat())
            .collect();
        let told = serde_json::json!({
            "spans": count * SPANS,
            "seconds": begin.elapsed().as_secs_f64(),
            "refused": refused,
            "traces": samples,
        });
        writeln!(std::io::stdout(), "{told}")?;
        Ok(())
    }
}

/// Sends one request; false when the server has no room for it yet.
async fn post(stream: &mut BufReader<TcpStream>, body: &[u8]) -> anyhow::Result<bool> {
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let code = line.split(' ').nth(1).context("no answer")?.to_owned();
    let mut length = 0;
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(bytes) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = bytes.trim().parse()?;
        }
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await?;
    match code.as_str() {
        "200" => Ok(true),
        "429" | "503" => Ok(false),
        code => bail!(
            "the server answers {code}: {}",
            String::from_utf8_lossy(&answer)
        ),
    }
}
