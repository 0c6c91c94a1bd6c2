//! `loom publish`.

use std::io::{self, Read};

use loom_proto::trace_context::TraceContext;
use loom_proto::{EventId, v1};
use serde_json::json;

use super::remote::{BridgeArgs, HttpArgs, block_on};
use super::{Exit, Failure, Terminal};
use crate::env::Environment;

/// Arguments of `loom publish`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  loom publish sensor.data '{\"value\": 21.5}' --type reading
  date | loom publish clock.tick -
  loom publish orders.new '{}' --header customer=42 --traceparent 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
pub struct Args {
    /// The topic
    topic: String,
    /// The payload; `-` reads stdin; none is empty
    payload: Option<String>,
    /// What happened, in your words
    #[arg(long = "type", value_name = "TYPE", default_value = "")]
    kind: String,
    /// A header of the event; can be given several times
    #[arg(long = "header", value_name = "KEY=VALUE", value_parser = pair)]
    headers: Vec<(String, String)>,
    /// Media type of the payload [default: application/json if it is JSON]
    #[arg(long)]
    content_type: Option<String>,
    /// The conversation that the event belongs to
    #[arg(long, default_value = "")]
    thread_id: String,
    /// W3C trace context of the caller; without it a new trace begins
    #[arg(long, default_value = "")]
    traceparent: String,
    /// Id of the event; who publishes it again under this id is told that a stream has it already
    #[arg(long, value_name = "UUID")]
    id: Option<EventId>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: BridgeArgs,
    /// The server's HTTP API, for the URL of the trace [env: `LOOM_HTTP`] [default: 127.0.0.1:8080]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Server")]
    http: Option<String>,
}

pub(super) fn execute(
    args: Args,
    environment: &dyn Environment,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    if !args.traceparent.is_empty()
        && let Err(error) = TraceContext::parse(args.traceparent.as_bytes())
    {
        return Err(Failure::usage(format!(
            "--traceparent {}: {error}",
            args.traceparent
        )));
    }
    let payload = payload(args.payload.as_deref())?;
    let content_type = args
        .content_type
        .unwrap_or_else(|| guess(&payload).to_owned());
    let event = v1::Event {
        id: args.id.unwrap_or_else(EventId::now).0.to_vec().into(),
        topic: args.topic,
        r#type: args.kind,
        envelope: Some(v1::Envelope {
            traceparent: args.traceparent,
            thread_id: args.thread_id,
            ..v1::Envelope::default()
        }),
        content_type,
        metadata: args.headers.into_iter().collect(),
        payload: payload.into(),
        ..v1::Event::default()
    };
    let page = HttpArgs {
        http: args.http,
        secret: args.server.secret.clone(),
    }
    .client(environment)?
    .base_url();
    block_on(async {
        let answer = args
            .server
            .connect(environment)
            .await?
            .publish(event)
            .await?;
        let id = EventId::from_slice(&answer.event_id)
            .map_or_else(|_| String::new(), |id| id.to_string());
        // Where the server records nothing there is no trace to show.
        let trace = TraceContext::parse(answer.traceparent.as_bytes()).ok();
        let trace_id = trace.map(|trace| trace.trace_id.to_string());
        let url = trace
            .filter(TraceContext::is_sampled)
            .zip(trace_id.as_ref())
            .map(|(_, id)| format!("{page}/trace/{id}"));
        if args.json {
            let stored = (!answer.stream.is_empty()).then(|| {
                json!({ "stream": answer.stream, "offset": answer.offset, "duplicate": answer.duplicate })
            });
            let line = json!({
                "event_id": id,
                "trace_id": trace_id,
                "url": url,
                "matched": answer.matched,
                "stored": stored,
            });
            terminal.print(&line.to_string())?;
            return Ok(Exit::Ok);
        }
        terminal.print(&format!("event  {id}"))?;
        if let Some(trace_id) = trace_id {
            terminal.print(&format!("trace  {trace_id}"))?;
        }
        if let Some(url) = url {
            terminal.print(&format!("       {url}"))?;
        }
        if !answer.stream.is_empty() {
            let again = if answer.duplicate { " already" } else { "" };
            terminal.print(&format!(
                "stored{again} in stream {} at {}",
                answer.stream, answer.offset
            ))?;
        }
        match answer.matched {
            0 if !answer.stream.is_empty() => {}
            0 => terminal
                .note("nobody listens to this topic: `loom agents` shows who listens to what"),
            1 => terminal.note("1 subscription gets it"),
            many => terminal.note(&format!("{many} subscriptions get it")),
        }
        Ok(Exit::Ok)
    })
}

fn payload(argument: Option<&str>) -> io::Result<Vec<u8>> {
    match argument {
        Some("-") => {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes)?;
            Ok(bytes)
        }
        Some(text) => Ok(text.as_bytes().to_vec()),
        None => Ok(Vec::new()),
    }
}

fn guess(payload: &[u8]) -> &'static str {
    if payload.is_empty() {
        ""
    } else if serde_json::from_slice::<serde::de::IgnoredAny>(payload).is_ok() {
        "application/json"
    } else if std::str::from_utf8(payload).is_ok() {
        "text/plain; charset=utf-8"
    } else {
        "application/octet-stream"
    }
}

pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not KEY=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_type_is_guessed_from_the_payload() {
        assert_eq!(guess(b""), "");
        assert_eq!(guess(br#"{"a": 1}"#), "application/json");
        assert_eq!(guess(b"hello"), "text/plain; charset=utf-8");
        assert_eq!(guess(&[0xff, 0xfe]), "application/octet-stream");
    }

    #[test]
    fn a_header_is_a_pair() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(pair("a").is_err() && pair("=b").is_err());
    }
}
