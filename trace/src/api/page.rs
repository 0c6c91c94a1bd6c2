//! A trace as a page for humans: plain HTML, no script, everything escaped.
//!
//! Bars are SVG with presentation attributes, because the content security policy allows no inline style.

use std::fmt::Write as _;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};

use super::error::{PlainProblem, Problem};
use super::{Api, off_thread};
use crate::check::{self, Finding, check};
use crate::model::{Span, Trace, TraceId};
use crate::time_text::{duration, rfc3339};
use crate::tree::waterfall::{bus_wait, own_times};
use crate::tree::{Node, Row, tree};

/// Rows of one page; a browser has no use for more.
const MAX_ROWS: usize = 5_000;
/// Deepest indentation, in levels.
const MAX_INDENT: usize = 40;

const STYLE: &str = include_str!("page.css");

pub(super) async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

pub(super) async fn trace(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Html<String>, PlainProblem> {
    let id: TraceId = id
        .parse()
        .map_err(|error| Problem::bad_request(format!("trace id: {error}")))?;
    let limit = api.config.max_spans.min(MAX_ROWS);
    let trace = api.store.query().trace(id, limit).await?;
    let trace = trace.ok_or_else(|| {
        Problem::not_found(format!(
            "no span of trace {id} is stored (yet, or any more)"
        ))
    })?;
    Ok(Html(off_thread(move || render(&trace)).await?))
}

fn render(trace: &Trace) -> String {
    let rows = tree(&trace.spans);
    let own = own_times(&rows);
    let start = trace.spans.iter().map(|s| s.start_ns).min().unwrap_or(0);
    let end = trace
        .spans
        .iter()
        .map(|s| s.end_ns.max(s.start_ns))
        .max()
        .unwrap_or(0);
    let mut html = String::with_capacity(1024 * (rows.len() + 1));
    // Writing to a String does not fail.
    _ = write!(
        html,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>Trace {id}</title><link rel=\"stylesheet\" href=\"/assets/trace.css\"></head><body>\n\
         <h1>Trace <code>{id}</code></h1>\n<p>{at} · {total} · {spans} spans · {errors} errors · \
         <a href=\"/api/traces/{id}\">JSON</a> · <a href=\"/api/v1/traces/{id}/check\">check</a></p>\n",
        id = trace.id,
        at = rfc3339(start),
        total = duration(end - start),
        spans = trace.spans.len(),
        errors = trace.spans.iter().filter(|s| s.is_error()).count(),
    );
    if trace.truncated {
        html.push_str("<p class=\"bad\">Only the first spans are shown.</p>\n");
    }
    findings(&mut html, &check(&trace.spans, &check::Options::default()));
    html.push_str(
        "<table><thead><tr><th>Span</th><th>Service</th><th>Duration</th><th>Own</th><th>Bus wait</th>\
         <th class=\"line\">Time line</th></tr></thead><tbody>\n",
    );
    for (place, row) in rows.iter().enumerate() {
        let wait = bus_wait(&rows, place);
        self::row(&mut html, row, own[place], wait, (start, end));
    }
    html.push_str("</tbody></table></body></html>\n");
    html
}

fn findings(html: &mut String, findings: &[Finding]) {
    if findings.is_empty() {
        html.push_str(
            "<p class=\"good\">The trace is whole: every parent is there and started first.</p>\n",
        );
        return;
    }
    html.push_str("<ul class=\"bad\">\n");
    for finding in findings.iter().take(50) {
        _ = writeln!(
            html,
            "<li>{} ({})</li>",
            escape(&finding.detail),
            escape(&finding.hint)
        );
    }
    if let Some(more) = findings.len().checked_sub(50).filter(|more| *more > 0) {
        _ = writeln!(html, "<li>and {more} more</li>");
    }
    html.push_str("</ul>\n");
}

fn row(html: &mut String, row: &Row<'_>, own: u64, wait: Option<u64>, times: (u64, u64)) {
    let indent = "<i></i>".repeat(row.depth.min(MAX_INDENT));
    let span = match row.node {
        Node::Span(span) => span,
        Node::Missing(id) => {
            _ = writeln!(
                html,
                "<tr class=\"missing\"><td>{indent}? {id}</td><td colspan=\"5\">parent is missing: not exported, \
                 or not yet</td></tr>"
            );
            return;
        }
    };
    let class = if span.is_error() { "error" } else { "span" };
    _ = writeln!(
        html,
        "<tr class=\"{class}\"><td>{indent}<details><summary>{}</summary>{}</details></td><td>{}</td>\
         <td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
        escape(&span.name),
        details(span),
        escape(span.service()),
        duration(span.duration_ns()),
        duration(own),
        wait.map(duration).unwrap_or_default(),
        bar(span, wait, times),
    );
}

fn details(span: &Span) -> String {
    let mut html = String::from("<dl>");
    let mut item = |key: &str, value: &str| {
        _ = write!(html, "<dt>{}</dt><dd>{}</dd>", escape(key), escape(value));
    };
    item("span id", &span.span_id.to_string());
    item("start", &rfc3339(span.start_ns));
    if !span.status.message.is_empty() {
        item("status", &span.status.message);
    }
    for (key, value) in span.attributes.iter() {
        item(key, &value.to_text());
    }
    for link in &span.links {
        item(
            "link",
            &format!("{} in trace {}", link.span_id, link.trace_id),
        );
    }
    for event in &span.events {
        let after = duration(event.time_ns.saturating_sub(span.start_ns));
        item(&format!("event after {after}"), &event.name);
        for (key, value) in event.attributes.iter() {
            item(key, &value.to_text());
        }
    }
    html.push_str("</dl>");
    html
}

fn bar(span: &Span, wait: Option<u64>, (start, end): (u64, u64)) -> String {
    let total = (end - start).max(1) as f64;
    let percent = |ns: u64| 100.0 * ns as f64 / total;
    let from = percent(span.start_ns.saturating_sub(start));
    let width = percent(span.duration_ns()).max(0.3);
    let mut svg =
        "<svg width=\"100%\" height=\"12\" role=\"img\" aria-label=\"time line\">".to_owned();
    if let Some(wait) = wait {
        let wait = percent(wait).min(from);
        _ = write!(
            svg,
            "<rect class=\"wait\" x=\"{:.2}%\" y=\"4\" width=\"{wait:.2}%\" height=\"4\"/>",
            from - wait
        );
    }
    _ = write!(
        svg,
        "<rect class=\"bar\" x=\"{from:.2}%\" y=\"1\" width=\"{width:.2}%\" height=\"10\"/></svg>"
    );
    svg
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // HTML knows no other control characters.
            c if c.is_control() && !matches!(c, '\n' | '\t') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
