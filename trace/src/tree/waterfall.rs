//! A trace as a waterfall in the terminal.
//!
//! Each row: the span in its tree, its service, its duration, the time that it spent itself, and a bar on the trace's
//! time line. A handler's row says how long its event was on the bus, from the start of the publish to the start of
//! the handler, and draws that wait in a lighter shade. A failed span says why on a line of its own.

use std::fmt::Write as _;

use loom_proto::semconv::span as names;

use super::{Node, Row, tree};
use crate::model::{Span, StatusCode, Trace, Value};
use crate::time_text::{duration, rfc3339};

/// How to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Columns of the terminal; below 60 it is drawn as if there were 60.
    pub width: usize,
    /// Use ANSI colours.
    pub color: bool,
}

const MIN_WIDTH: usize = 60;
/// From this width on there is room for the own time.
const OWN_WIDTH: usize = 100;
/// A narrower bar says nothing.
const MIN_BAR: usize = 4;
/// Columns of a duration: "12 m 20 s".
const TIME: usize = 9;
/// Levels that are drawn with lines; what lies deeper says its depth instead.
const MAX_LINES: usize = 16;
/// A handler's publish is two levels above it; a little more for spans of others in between.
const MAX_HOPS: usize = 8;

/// The waterfall as text, with a line feed after each line.
pub fn waterfall(trace: &Trace, options: &Options) -> String {
    let rows = tree(&trace.spans);
    let own = own_times(&rows);
    let layout = Layout::of(trace, &rows, options);
    let mut out = String::new();
    header(&mut out, trace, &layout);
    for (place, row) in rows.iter().enumerate() {
        layout.row(&mut out, &rows, place, row, own[place]);
    }
    if trace.truncated {
        let count = trace.spans.len();
        line(&mut out, &format!("only the first {count} spans are shown"));
    }
    out
}

/// How long the event of a handler's row was on the bus: from the start of the nearest `EventBus.publish` above to the
/// start of the handler.
pub fn bus_wait(rows: &[Row<'_>], place: usize) -> Option<u64> {
    let handler = rows.get(place)?.node.span()?;
    if handler.name != names::ON_EVENT {
        return None;
    }
    let parent = |row: &&Row<'_>| row.parent.and_then(|at| rows.get(at));
    let above = std::iter::successors(parent(&&rows[place]), parent);
    above
        .take(MAX_HOPS)
        .filter_map(|row| row.node.span())
        // Another handler in between: the publish above it belongs to an earlier hop.
        .take_while(|span| span.name != names::ON_EVENT)
        .find(|span| span.name == names::BUS_PUBLISH)
        .map(|publish| handler.start_ns.saturating_sub(publish.start_ns))
}

/// For each row, the part of its time in which none of its children ran; 0 for missing spans.
pub fn own_times(rows: &[Row<'_>]) -> Vec<u64> {
    // Siblings stand in the order of their start, so one number per row says up to where its time is taken.
    let mut covered_to: Vec<u64> = rows
        .iter()
        .map(|row| row.node.span().map_or(0, |span| span.start_ns))
        .collect();
    let mut own: Vec<u64> = rows
        .iter()
        .map(|row| row.node.span().map_or(0, Span::duration_ns))
        .collect();
    for row in rows {
        let (Some(parent), Some(child)) = (row.parent, row.node.span()) else {
            continue;
        };
        let Some(above) = rows[parent].node.span() else {
            continue;
        };
        let from = child.start_ns.max(covered_to[parent]);
        let to = child.end_ns.min(above.end_ns);
        if to > from {
            own[parent] = own[parent].saturating_sub(to - from);
            covered_to[parent] = to;
        }
    }
    own
}

struct Layout {
    start_ns: u64,
    end_ns: u64,
    width: usize,
    name: usize,
    service: usize,
    bar: usize,
    has_own: bool,
    color: bool,
}

impl Layout {
    fn of(trace: &Trace, rows: &[Row<'_>], options: &Options) -> Self {
        let width = options.width.max(MIN_WIDTH);
        let longest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
        let names = longest(
            &mut rows
                .iter()
                .map(|row| 2 * row.depth.min(MAX_LINES + 4) + label(row).chars().count()),
        );
        let services = longest(&mut trace.spans.iter().map(|s| s.service().chars().count()));
        let name = names.clamp(4, width * 2 / 5);
        let service = services.clamp(7, width / 6);
        let times = if width >= OWN_WIDTH { 3 } else { 2 };
        // Gaps of two columns between all.
        let bar = width.saturating_sub(name + service + times * (TIME + 2) + 2 * 2);
        Self {
            start_ns: trace.spans.iter().map(|s| s.start_ns).min().unwrap_or(0),
            end_ns: trace
                .spans
                .iter()
                .map(|s| s.end_ns.max(s.start_ns))
                .max()
                .unwrap_or(0),
            width,
            name,
            service,
            bar: if bar < MIN_BAR { 0 } else { bar },
            has_own: times == 3,
            color: options.color,
        }
    }

    fn row(&self, out: &mut String, rows: &[Row<'_>], place: usize, row: &Row<'_>, own: u64) {
        let name = fit(
            &format!("{}{}", branches(rows, place), label(row)),
            self.name,
        );
        let Node::Span(span) = row.node else {
            let text = format!("{name}  parent is missing: not exported, or not yet");
            line(
                out,
                &self.paint(Paint::Dim, fit(&text, self.width).trim_end()),
            );
            return;
        };
        let service = fit(&printable(span.service()), self.service);
        let wait = bus_wait(rows, place);
        let failed = span.status.code == StatusCode::Error;
        let name = if failed {
            self.paint(Paint::Error, &name)
        } else {
            name
        };
        let wait_text = format!("{:>TIME$}", wait.map(duration).unwrap_or_default());
        let text = format!(
            "{name}  {}  {}  {}  {}",
            self.paint(Paint::Dim, &service),
            self.times(&duration(span.duration_ns()), &duration(own)),
            self.paint(Paint::Wait, &wait_text),
            self.bar(span, wait),
        );
        line(out, &text);
        if failed {
            let indent = (2 * row.depth + 2).min(self.name);
            let room = self.width.saturating_sub(indent);
            let text = fit(&format!("error: {}", error_text(span)), room);
            line(
                out,
                &format!(
                    "{}{}",
                    " ".repeat(indent),
                    self.paint(Paint::Error, text.trim_end())
                ),
            );
        }
    }

    fn times(&self, whole: &str, own: &str) -> String {
        if self.has_own {
            format!("{whole:>TIME$}  {own:>TIME$}")
        } else {
            format!("{whole:>TIME$}")
        }
    }

    /// The span on the trace's time line, at least one column wide, with its wait before it.
    fn bar(&self, span: &Span, wait: Option<u64>) -> String {
        if self.bar == 0 {
            return String::new();
        }
        let total = (self.end_ns - self.start_ns).max(1);
        let column = |ns: u64| {
            let columns = u128::from(ns.clamp(self.start_ns, self.end_ns) - self.start_ns)
                * self.bar as u128
                / u128::from(total);
            (columns as usize).min(self.bar.saturating_sub(1))
        };
        let from = column(span.start_ns);
        let to = column(span.end_ns.max(span.start_ns)).max(from);
        let wait_from = wait.map_or(from, |wait| column(span.start_ns.saturating_sub(wait)));
        let paint = if span.is_error() {
            Paint::Error
        } else {
            Paint::Bar
        };
        format!(
            "{}{}{}",
            " ".repeat(wait_from),
            self.paint(Paint::Wait, &"░".repeat(from - wait_from)),
            self.paint(paint, &"█".repeat(to - from + 1)),
        )
    }

    fn paint(&self, paint: Paint, text: &str) -> String {
        if !self.color || text.is_empty() {
            return text.to_owned();
        }
        let code = match paint {
            Paint::Dim => 2,
            Paint::Error => 31,
            Paint::Wait => 33,
            Paint::Bar => 36,
            Paint::Title => 1,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

#[derive(Clone, Copy)]
enum Paint {
    Dim,
    Error,
    Wait,
    Bar,
    Title,
}

fn header(out: &mut String, trace: &Trace, layout: &Layout) {
    let services: std::collections::BTreeSet<_> = trace.spans.iter().map(Span::service).collect();
    let errors = trace.spans.iter().filter(|span| span.is_error()).count();
    let mut text = format!(
        "{}  {}  {}, {}",
        layout.paint(Paint::Title, &format!("trace {}", trace.id)),
        rfc3339(layout.start_ns),
        count(trace.spans.len(), "span"),
        count(services.len(), "service"),
    );
    if errors > 0 {
        let errors = count(errors, "error");
        // Writing to a String does not fail.
        _ = write!(text, ", {}", layout.paint(Paint::Error, &errors));
    }
    _ = write!(text, "  {}", duration(layout.end_ns - layout.start_ns));
    line(out, &text);
    let columns = format!(
        "{}  {}  {}  {:>TIME$}",
        fit("span", layout.name),
        fit("service", layout.service),
        layout.times("duration", "own"),
        "bus wait",
    );
    line(out, &layout.paint(Paint::Dim, &columns));
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

fn line(out: &mut String, text: &str) {
    out.push_str(text.trim_end());
    out.push('\n');
}

fn label(row: &Row<'_>) -> String {
    match row.node {
        Node::Span(span) => printable(&span.name),
        Node::Missing(id) => format!("? {id}"),
    }
}

/// The lines that join a row to its parent and its ancestors to their siblings.
fn branches(rows: &[Row<'_>], place: usize) -> String {
    let row = &rows[place];
    let Some(mut above) = row.parent else {
        return String::new();
    };
    if row.depth > MAX_LINES {
        return format!("{}⋯{} ", " ".repeat(2 * MAX_LINES), row.depth);
    }
    let mut parts = vec![if row.is_last { "└ " } else { "├ " }];
    // Roots have no lines of their own.
    while let Some(next) = rows[above].parent {
        parts.push(if rows[above].is_last { "  " } else { "│ " });
        above = next;
    }
    parts.reverse();
    parts.concat()
}

/// Exactly `width` columns: cut with an ellipsis, or filled with blanks.
fn fit(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return format!("{text}{}", " ".repeat(width - length));
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// Names come from anywhere: no control character of theirs may reach a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// Why a span failed: its status, else its last exception, else its error type.
fn error_text(span: &Span) -> String {
    if !span.status.message.is_empty() {
        return printable(&span.status.message);
    }
    let exception = span
        .events
        .iter()
        .rev()
        .find(|event| event.name == "exception");
    let keys = ["exception.message", "exception.type"];
    let text = exception
        .and_then(|event| keys.iter().find_map(|key| event.attributes.get(key)))
        .or_else(|| span.attributes.get("error.type"))
        .map(Value::to_text);
    printable(text.as_deref().unwrap_or("no reason given"))
}

#[cfg(test)]
#[path = "waterfall_tests.rs"]
mod tests;
