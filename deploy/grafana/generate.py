"""Writes the dashboards: ``python deploy/grafana/generate.py``, and commit what has changed.

What is shown stands in the table below; how it is drawn is the same everywhere.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from grafana_foundation_sdk.builders import common as common_builder
from grafana_foundation_sdk.builders import dashboard as builder
from grafana_foundation_sdk.builders import prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard

DASHBOARDS = Path(__file__).parent / "dashboards"
WINDOW = "$__rate_interval"
OF = 'instance=~"$instance"'
"""Every sample is of the servers that are chosen."""


class Chart(NamedTuple):
    """One panel: lines by legend, each of an expression."""

    title: str
    unit: str
    lines: dict[str, str]
    note: str = ""
    has_exemplars: bool = False


class Board(NamedTuple):
    """A dashboard: rows of panels."""

    uid: str
    title: str
    about: str
    rows: dict[str, list[Chart]]


def rate(metric: str, by: str = "", only: str = "") -> str:
    """How often a counter rises in a second."""
    selector = f"{OF}, {only}" if only else OF
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{{selector}}}[{WINDOW}]))"


def quantile(of: float, metric: str, by: str = "") -> str:
    """Below which value this part of all values lies."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({of}, sum by ({labels}) (rate({metric}_bucket{{{OF}}}[{WINDOW}])))"


def quantiles(metric: str) -> dict[str, str]:
    """Lines of the usual ones."""
    return {f"p{of * 100:.0f}": quantile(of, metric) for of in (0.5, 0.95, 0.99)}


def gauge(metric: str, by: str = "") -> str:
    """What there is of something."""
    return f"sum{f' by ({by})' if by else ''} ({metric}{{{OF}}})"


EXECUTIONS = "loom_execution_duration_seconds"
WAIT = "loom_delivery_wait_seconds"
TO_HANDLE = "loom_publish_to_handle_seconds"
RUN = rate(f"{EXECUTIONS}_count", "agent")
FAILED = rate(f"{EXECUTIONS}_count", "agent", 'status="error"')
# Who has never failed has no sample of it.
SHARE_FAILED = f"({FAILED} or 0 * {RUN}) / {RUN}"
REJECTED = "loom_store_spans_rejected_total"
SENT = f"({rate('loom_store_spans_accepted_total')} + {rate(REJECTED)})"
SHARE_REJECTED = f"{rate(REJECTED, 'reason')} / ignoring (reason) group_left () {SENT}"

BOARDS = [
    Board(
        "loom-overview",
        "Loom / Overview",
        "Whether everything goes well: what is published, handled, failed and lost.",
        {
            "Work": [
                Chart("Agents", "short", {"connected": gauge("loom_agents_connected")}),
                Chart(
                    "Events",
                    "ops",
                    {
                        "published": rate("loom_bus_published_total"),
                        "wanted by nobody": rate("loom_bus_unrouted_total"),
                    },
                ),
                Chart("Executions", "ops", {"{{status}}": rate(f"{EXECUTIONS}_count", "status")}),
                Chart("Duration of executions", "s", quantiles(EXECUTIONS), has_exemplars=True),
            ],
            "Trouble": [
                Chart(
                    "Dead letters",
                    "ops",
                    {"given up": rate("loom_bus_dead_lettered_total")},
                    "Events that a group could not handle.",
                ),
                Chart(
                    "Lost deliveries",
                    "ops",
                    {"{{reason}}": rate("loom_bus_dropped_total", "reason"), "expired": rate("loom_bus_expired_total")},
                ),
                Chart(
                    "Refused events",
                    "ops",
                    {"{{code}}": rate("loom_bus_rejected_total", "code")},
                    "The bus did not take them; their publishers were told.",
                ),
                Chart(
                    "Lost spans",
                    "ops",
                    {
                        "server: {{reason}}": rate("loom_spans_dropped_total", "reason"),
                        "store: {{reason}}": rate("loom_store_spans_dropped_total", "reason"),
                    },
                ),
            ],
        },
    ),
    Board(
        "loom-agents",
        "Loom / Agents",
        "What each agent does. Points of the charts of durations lead to their traces.",
        {
            "Executions": [
                Chart("Executions", "ops", {"{{agent}}": RUN}),
                Chart("Failed executions", "ops", {"{{agent}}": FAILED}),
                Chart(
                    "Share that failed",
                    "percentunit",
                    {"{{agent}}": SHARE_FAILED},
                ),
                Chart(
                    "Busy",
                    "short",
                    {"{{agent}}": rate(f"{EXECUTIONS}_sum", "agent")},
                    "Handlers that run at once, on average.",
                ),
            ],
            "Durations": [
                Chart("Median", "s", {"{{agent}}": quantile(0.5, EXECUTIONS, "agent")}, has_exemplars=True),
                Chart(
                    "95 of 100 took less", "s", {"{{agent}}": quantile(0.95, EXECUTIONS, "agent")}, has_exemplars=True
                ),
            ],
        },
    ),
    Board(
        "loom-workflows",
        "Loom / Workflows",
        "The way of events between agents: topics, waits, groups. Figures by workflow would be too many labels for "
        "Prometheus; GET /api/v1/workflows and Loom's own dashboard have them.",
        {
            "Steps": [
                Chart("Events by topic", "ops", {"{{topic}}": rate("loom_topic_events_total", "topic")}),
                Chart("Deliveries by outcome", "ops", {"{{outcome}}": rate("loom_topic_deliveries_total", "outcome")}),
                Chart(
                    "From publish to delivery, p95",
                    "s",
                    {"{{topic}}": quantile(0.95, WAIT, "topic")},
                    has_exemplars=True,
                ),
                Chart(
                    "From publish to handler, p95",
                    "s",
                    {"{{topic}}": quantile(0.95, TO_HANDLE, "topic")},
                    has_exemplars=True,
                ),
            ],
            "Groups": [
                Chart(
                    "Behind their stream", "short", {"{{stream}} / {{group}}": gauge("loom_group_lag", "stream, group")}
                ),
                Chart("Handled", "ops", {"{{stream}} / {{group}}": rate("loom_group_acked_total", "stream, group")}),
                Chart(
                    "Tried again",
                    "ops",
                    {
                        "{{stream}} / {{group}}": rate("loom_group_retried_total", "stream, group"),
                        "{{group}}: out of time": rate("loom_group_timed_out_total", "group"),
                    },
                ),
                Chart("Given up", "ops", {"{{stream}} / {{group}}": rate("loom_group_dead_total", "stream, group")}),
            ],
        },
    ),
    Board(
        "loom-bus",
        "Loom / Bus",
        "What goes through the bus, and what waits in it.",
        {
            "Flow": [
                Chart(
                    "Events",
                    "ops",
                    {
                        "published": rate("loom_bus_published_total"),
                        "routed": rate("loom_bus_routed_total"),
                        "unrouted": rate("loom_bus_unrouted_total"),
                    },
                ),
                Chart(
                    "Deliveries",
                    "ops",
                    {"offered": rate("loom_bus_offered_total"), "delivered": rate("loom_bus_delivered_total")},
                ),
                Chart("Wait for delivery", "s", quantiles(WAIT), has_exemplars=True),
                Chart("Publish to handler", "s", quantiles(TO_HANDLE), has_exemplars=True),
            ],
            "Waiting": [
                Chart("In mailboxes and groups", "short", {"queued": gauge("loom_bus_queued")}),
                Chart("In flight by topic", "short", {"{{topic}}": gauge("loom_topic_in_flight", "topic")}),
                Chart("Open in groups", "short", {"{{stream}} / {{group}}": gauge("loom_group_open", "stream, group")}),
                Chart(
                    "Streams",
                    "ops",
                    {
                        "{{stream}}": rate("loom_stream_events_total", "stream"),
                        "{{stream}}: retries": rate("loom_stream_duplicates_total", "stream"),
                    },
                ),
            ],
            "Not as it should be": [
                Chart(
                    "Malformed trace contexts",
                    "ops",
                    {"{{reason}}": rate("loom_trace_invalid_context_total", "reason")},
                ),
                Chart(
                    "Late outcomes", "ops", {"{{stream}} / {{group}}": rate("loom_group_stale_total", "stream, group")}
                ),
                Chart(
                    "Unreadable events",
                    "ops",
                    {"{{group}}: {{reason}}": rate("loom_group_unreadable_total", "group, reason")},
                ),
            ],
        },
    ),
    Board(
        "loom-store",
        "Loom / Store",
        "Spans on their way into the trace store.",
        {
            "Ingest": [
                Chart(
                    "Spans",
                    "ops",
                    {
                        "accepted": rate("loom_store_spans_accepted_total"),
                        "stored": rate("loom_store_spans_stored_total"),
                        "expired": rate("loom_store_spans_expired_total"),
                    },
                ),
                Chart(
                    "Requests",
                    "reqps",
                    {
                        "OTLP": rate("loom_store_requests_total"),
                        "malformed": rate("loom_store_malformed_requests_total"),
                    },
                ),
                Chart("Not yet stored", "short", {"spans": gauge("loom_store_lag_spans")}),
                Chart("On disk", "bytes", {"store": gauge("loom_store_bytes")}),
            ],
            "Trouble": [
                Chart(
                    "Refused",
                    "ops",
                    {
                        "{{reason}}": rate("loom_store_spans_refused_total", "reason"),
                        "malformed: {{reason}}": rate("loom_store_spans_rejected_total", "reason"),
                    },
                ),
                Chart(
                    "Lost or known already",
                    "ops",
                    {
                        "{{reason}}": rate("loom_store_spans_dropped_total", "reason"),
                        "other span, same id": rate("loom_store_spans_conflicting_total"),
                    },
                ),
                Chart(
                    "Share without valid ids",
                    "percentunit",
                    {"{{reason}}": SHARE_REJECTED},
                    "Of all spans that were sent; they are refused.",
                ),
                Chart("Failed writes", "ops", {"writes": rate("loom_store_write_errors_total")}),
                Chart("Model calls without a price", "ops", {"calls": rate("loom_store_model_calls_unpriced_total")}),
            ],
            "The server's own spans": [
                Chart(
                    "Recorded",
                    "ops",
                    {
                        "recorded": rate("loom_spans_recorded_total"),
                        "not sampled": rate("loom_spans_sampled_out_total"),
                    },
                ),
                Chart("Exported", "ops", {"{{sink}}": rate("loom_spans_exported_total", "sink")}),
                Chart("Waiting", "short", {"{{sink}}": gauge("loom_spans_queued", "sink")}),
            ],
        },
    ),
]

SOURCE = common.DataSourceRef(type_val="prometheus", uid="${prometheus}")


def panel(chart: Chart) -> timeseries.Panel:
    """Draw a chart, a quarter of the page wide."""
    drawn = (
        timeseries.Panel()
        .title(chart.title)
        .datasource(SOURCE)
        .unit(chart.unit)
        .min(0)
        .span(6)
        .height(8)
        .line_width(1)
        .fill_opacity(10)
        .show_points(common.VisibilityMode.NEVER)
        .legend(
            common_builder.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(
            common_builder.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
        )
    )
    if chart.note:
        drawn = drawn.description(chart.note)
    for place, (legend, expression) in enumerate(chart.lines.items()):
        target = prometheus.Dataquery().expr(expression).legend_format(legend).range().ref_id(chr(ord("A") + place))
        drawn = drawn.with_target(target.exemplar(True) if chart.has_exemplars else target)
    return drawn


def drawn(board: Board) -> str:
    """Write a dashboard as JSON."""
    whole = (
        builder.Dashboard(board.title)
        .uid(board.uid)
        .description(board.about)
        .tags(["loom"])
        .time("now-1h", "now")
        .refresh("30s")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .link(
            builder.DashboardLink("Loom")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags(["loom"])
            .as_dropdown(False)
            .include_vars(True)
            .keep_time(True)
        )
        .with_variable(builder.DatasourceVariable("prometheus").label("Prometheus").type("prometheus"))
        .with_variable(
            builder.QueryVariable("instance")
            .label("Server")
            .query("label_values(loom_agents_connected, instance)")
            .datasource(SOURCE)
            .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)
            .include_all(True)
            .all_value(".+")
            .current(dashboard.VariableOption(selected=True, text="All", value="$__all"))
        )
    )
    for title, charts in board.rows.items():
        whole = whole.with_row(builder.Row(title))
        for chart in charts:
            whole = whole.with_panel(panel(chart))
    return JSONEncoder(sort_keys=True, indent=2).encode(whole.build()) + "\n"


def files() -> dict[Path, str]:
    """Map the path of each dashboard to what it must contain."""
    return {DASHBOARDS / f"{board.uid}.json": drawn(board) for board in BOARDS}


def main() -> int:
    """Write what has changed."""
    DASHBOARDS.mkdir(exist_ok=True)
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
