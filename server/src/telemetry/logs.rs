//! How a log line looks. Inside a trace it carries `trace_id` and `span_id`.

use std::fmt::{self, Write};
use std::time::SystemTime;

use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, SpanId, TraceId};
use owo_colors::{OwoColorize, Style};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::config::LogFormat;

/// Writes one line for each event.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineFormat {
    pub(super) format: LogFormat,
    pub(super) color: bool,
}

impl<S, N> FormatEvent<S, N> for LineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let line = Line {
            time: &time,
            level: *metadata.level(),
            target: metadata.target(),
            fields,
            ids: current_ids(),
        };
        match self.format {
            LogFormat::Human => line.human(writer, self.color),
            LogFormat::Json => line.json(writer),
        }
    }
}

/// The span that the logging code runs in, as the OTel API knows it: that of `tracing` spans and of foreign code alike.
fn current_ids() -> Option<(TraceId, SpanId)> {
    Context::map_current(|current| {
        let span = current.span();
        let span = span.span_context();
        span.is_valid().then(|| (span.trace_id(), span.span_id()))
    })
}

#[derive(Debug)]
struct Line<'a> {
    time: &'a str,
    level: Level,
    target: &'a str,
    fields: Fields,
    ids: Option<(TraceId, SpanId)>,
}

#[derive(Debug, Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl Line<'_> {
    fn human(&self, mut to: Writer<'_>, color: bool) -> fmt::Result {
        let style = match self.level {
            Level::ERROR => Style::new().red().bold(),
            Level::WARN => Style::new().yellow(),
            Level::INFO => Style::new().green(),
            _ => Style::new().dimmed(),
        };
        if color {
            write!(to, "{} {:>5} ", self.time.dimmed(), self.level.style(style))?;
        } else {
            write!(to, "{} {:>5} ", self.time, self.level)?;
        }
        write!(to, "{}: ", self.target)?;
        escape(&mut to, &self.fields.message)?;
        for (key, value) in &self.fields.others {
            write!(to, " {key}=")?;
            match value {
                Value::String(text) if !text.is_empty() && !text.contains([' ', '"', '=']) => {
                    escape(&mut to, text)?;
                }
                other => write!(to, "{other}")?,
            }
        }
        if let Some((trace_id, span_id)) = self.ids {
            write!(to, " trace_id={trace_id} span_id={span_id}")?;
        }
        writeln!(to)
    }

    fn json(self, mut to: Writer<'_>) -> fmt::Result {
        let mut object = Map::new();
        object.insert("time".to_owned(), self.time.into());
        object.insert(
            "level".to_owned(),
            self.level.as_str().to_ascii_lowercase().into(),
        );
        object.insert("target".to_owned(), self.target.into());
        object.insert("message".to_owned(), self.fields.message.into());
        if let Some((trace_id, span_id)) = self.ids {
            object.insert("trace_id".to_owned(), trace_id.to_string().into());
            object.insert("span_id".to_owned(), span_id.to_string().into());
        }
        for (key, value) in self.fields.others {
            // A field cannot take the place of what every line has.
            object.entry(key).or_insert(value);
        }
        writeln!(to, "{}", Value::Object(object))
    }
}

/// A line stays a line, and text from outside cannot steer the terminal.
fn escape(to: &mut impl Write, text: &str) -> fmt::Result {
    text.chars().try_for_each(|c| {
        if c.is_control() {
            write!(to, "{}", c.escape_default())
        } else {
            to.write_char(c)
        }
    })
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.others.push((field.name(), value));
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.put(field, text.into());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.put(field, value.into());
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, value.to_string().into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

#[cfg(test)]
#[path = "logs_tests.rs"]
mod tests;
