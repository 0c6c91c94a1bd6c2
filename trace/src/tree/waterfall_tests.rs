use super::*;
use crate::model::{Attributes, Event, Span, Value};
use crate::testing::{golden_chain, span, trace};

fn plain(trace: &Trace, width: usize) -> String {
    waterfall(
        trace,
        &Options {
            width,
            color: false,
        },
    )
}

fn faulty() -> Vec<Span> {
    let mut spans = golden_chain();
    spans.remove(3);
    spans[4 - 1] = spans[3].clone().failed("ValueError: bad reading");
    spans
}

#[test]
fn golden_chain_at_100_columns() {
    let expected = "\
trace 01010101010101010101010101010101  2026-01-01T00:00:00.000Z  9 spans, 4 services  12 ms
span                            service     duration        own   bus wait
sensor.emit_data                sensor        1.0 ms     1.0 ms             ███
└ bridge.publish                loom          1.0 ms       0 ns               ███
  └ EventBus.publish            loom          1.0 ms     1.0 ms               ███
    └ bridge.forward            loom          1.0 ms     1.0 ms                 ███
      └ agent.on_event          processor     4.0 ms     3.0 ms     3.0 ms    ░░░░░░█████████
        └ bridge.publish        loom          1.0 ms       0 ns                           ███
          └ EventBus.publish    loom          1.0 ms     1.0 ms                           ███
            └ bridge.forward    loom          1.0 ms     1.0 ms                             ███
              └ agent.on_event  output        3.0 ms     3.0 ms     2.0 ms                ░░░░██████
";
    assert_eq!(plain(&trace(golden_chain()), 100), expected);
}

#[test]
fn faults_at_80_columns() {
    let expected = "\
trace 01010101010101010101010101010101  2026-01-01T00:00:00.000Z  8 spans, 4 services, 1 error  12 ms
span                      service     duration   bus wait
sensor.emit_data          sensor        1.0 ms             ██
└ bridge.publish          loom          1.0 ms              ███
  └ EventBus.publish      loom          1.0 ms              ███
? 0000000000000004        parent is missing: not exported, or not yet
└ agent.on_event          processor     4.0 ms                    ████████
    error: ValueError: bad reading
  └ bridge.publish        loom          1.0 ms                         ███
    └ EventBus.publish    loom          1.0 ms                         ███
      └ bridge.forward    loom          1.0 ms                           ██
        └ agent.on_event  output        3.0 ms     2.0 ms              ░░░██████
";
    assert_eq!(plain(&trace(faulty()), 80), expected);
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut spans = faulty();
    spans[0].name = "n".repeat(500);
    spans[1] = spans[1].clone().of(&"s".repeat(500));
    spans[2] = spans[2].clone().failed(&"e".repeat(500));
    for width in [60, 80, 133, 400] {
        for line in plain(&trace(spans.clone()), width).lines().skip(1) {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
    }
}

#[test]
fn colour_adds_escapes_and_nothing_else() {
    let options = Options {
        width: 90,
        color: true,
    };
    let coloured = waterfall(&trace(faulty()), &options);
    assert!(coloured.contains("\u{1b}[31m"));
    let mut stripped = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        stripped.push_str(before);
        rest = after.split_once('m').expect("an escape ends with m").1;
    }
    stripped.push_str(rest);
    let without_trailing = |text: &str| {
        text.lines()
            .map(str::trim_end)
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(
        without_trailing(&stripped),
        without_trailing(&plain(&trace(faulty()), 90))
    );
}

#[test]
fn nothing_in_a_name_reaches_the_terminal() {
    let mut hostile = span(1, 0, "\u{1b}[2J\u{7}name\r\n", 0, 1)
        .of("\u{9b}31m")
        .failed("\u{1b}]0;title\u{7}");
    hostile.status.message.push('\n');
    let text = plain(&trace(vec![hostile]), 80);
    assert!(
        !text.chars().any(|c| c.is_control() && c != '\n'),
        "{text:?}"
    );
    assert_eq!(text.lines().count(), 4);
}

#[test]
fn reasons_of_an_error() {
    let mut failed = span(1, 0, "a", 0, 1).failed("");
    assert!(plain(&trace(vec![failed.clone()]), 80).contains("error: no reason given"));
    failed.attributes = [("error.type", Value::from("timeout"))]
        .into_iter()
        .collect();
    assert!(plain(&trace(vec![failed.clone()]), 80).contains("error: timeout"));
    failed.events = vec![Event {
        time_ns: 0,
        name: "exception".to_owned(),
        attributes: [("exception.message", Value::from("boom"))]
            .into_iter()
            .collect::<Attributes>(),
        dropped_attributes: 0,
    }];
    assert!(plain(&trace(vec![failed]), 80).contains("error: boom"));
}

#[test]
fn own_time_is_what_no_child_covers() {
    let spans = [
        span(1, 0, "root", 0, 100),
        span(2, 1, "a", 10, 30),
        span(3, 1, "overlaps a", 20, 50),
        span(4, 1, "inside a", 12, 15),
        // Only its part within the parent counts.
        span(5, 1, "outlives", 90, 500),
    ];
    let rows = tree(&spans);
    assert_eq!(own_times(&rows)[0], (100 - 40 - 10) * 1_000_000);
}

#[test]
fn bus_wait_is_of_the_nearest_hop_only() {
    let spans = golden_chain();
    let rows = tree(&spans);
    let waits: Vec<_> = (0..rows.len())
        .filter_map(|place| bus_wait(&rows, place))
        .collect();
    assert_eq!(waits, [3_000_000, 2_000_000]);
    // A handler called directly by a handler has not been on the bus.
    let direct = [
        span(1, 0, "EventBus.publish", 0, 1),
        span(2, 1, "agent.on_event", 2, 9),
        span(3, 2, "agent.on_event", 3, 4),
    ];
    let rows = tree(&direct);
    assert_eq!(bus_wait(&rows, 2), None);
    assert_eq!(bus_wait(&rows, 99), None);
}

#[test]
fn a_deep_trace_is_drawn() {
    let chain: Vec<_> = (1..=20_000).map(|id| span(id, id - 1, "x", 0, 1)).collect();
    let text = plain(&trace(chain), 120);
    assert_eq!(text.lines().count(), 20_002);
    assert!(text.contains("⋯19999 x"));
}

#[test]
fn a_truncated_trace_says_so() {
    let mut part = trace(golden_chain());
    part.truncated = true;
    assert!(plain(&part, 80).ends_with("only the first 9 spans are shown\n"));
}
