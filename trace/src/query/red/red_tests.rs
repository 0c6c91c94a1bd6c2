use super::*;
use crate::model::Span;
use crate::testing::{BASE, MS, span, stored};

/// Spans of `svc` and `other` at these ms, one of them failed and one of another kind.
fn conn() -> (tempfile::TempDir, Connection) {
    let one = |id: u64, name: &str, start: u64, took: u64| Span {
        kind: SpanKind::Consumer,
        ..span(id, 0, name, start, start + took)
    };
    let spans = [
        one(1, "a", 100, 10),
        one(2, "a", 200, 20),
        one(3, "b", 300, 30).failed("no"),
        one(4, "a", 1_000, 40),
        Span {
            kind: SpanKind::Producer,
            ..span(5, 0, "p", 250, 900)
        },
        one(6, "a", 210, 7).of("other"),
    ];
    stored(&spans)
}

fn search(measure: Measure, points_ms: &[u64]) -> RedSearch {
    RedSearch {
        services: vec!["svc".to_owned()],
        kinds: vec![SpanKind::Consumer],
        by_operation: false,
        measure,
        points_ns: points_ms.iter().map(|ms| BASE + ms * MS).collect(),
        window_ns: 500 * MS,
    }
}

fn values(search: &RedSearch, max_spans: usize) -> Vec<Vec<Option<f64>>> {
    let (_dir, conn) = conn();
    let red = red(&conn, search, max_spans).expect("read");
    red.series.into_iter().map(|series| series.values).collect()
}

#[test]
fn each_point_is_about_the_window_before_it() {
    // A window has its end in it and its begin not: 600 has seen 200 and 300, 700 only 300, 800 nothing.
    let points = [50, 100, 300, 600, 700, 800, 1_000];
    let calls = values(&search(Measure::Calls, &points), 100);
    let expected = [
        None,
        Some(2.0),
        Some(6.0),
        Some(4.0),
        Some(2.0),
        Some(0.0),
        Some(2.0),
    ];
    assert_eq!(calls, [expected]);
    let errors = values(&search(Measure::Errors, &points), 100);
    let third = 1.0 / 3.0;
    let expected = [
        None,
        Some(0.0),
        Some(third),
        Some(0.5),
        Some(1.0),
        None,
        Some(0.0),
    ];
    assert_eq!(errors, [expected]);
    for (share, expected) in [
        (
            0.0,
            [
                None,
                Some(10.0),
                Some(10.0),
                Some(20.0),
                Some(30.0),
                None,
                Some(40.0),
            ],
        ),
        (
            0.5,
            [
                None,
                Some(10.0),
                Some(20.0),
                Some(20.0),
                Some(30.0),
                None,
                Some(40.0),
            ],
        ),
        (
            0.95,
            [
                None,
                Some(10.0),
                Some(30.0),
                Some(30.0),
                Some(30.0),
                None,
                Some(40.0),
            ],
        ),
        (
            1.0,
            [
                None,
                Some(10.0),
                Some(30.0),
                Some(30.0),
                Some(30.0),
                None,
                Some(40.0),
            ],
        ),
    ] {
        let latency = values(&search(Measure::Latency(share), &points), 100);
        assert_eq!(latency, [expected], "{share}");
    }
}

#[test]
fn operations_and_services_have_series_of_their_own() {
    let (_dir, conn) = conn();
    let mut search = search(Measure::Calls, &[500]);
    search.by_operation = true;
    search.services = ["other", "nobody", "svc"].map(str::to_owned).to_vec();
    let red = red(&conn, &search, 100).expect("read");
    let shown: Vec<_> = red
        .series
        .iter()
        .map(|one| {
            (
                one.service.as_str(),
                one.operation.as_deref(),
                one.values[0],
            )
        })
        .collect();
    let expected = [
        ("other", Some("a"), Some(2.0)),
        ("svc", Some("a"), Some(4.0)),
        ("svc", Some("b"), Some(2.0)),
    ];
    assert_eq!(shown, expected);
    assert!(!red.is_cut);

    search.by_operation = false;
    search.kinds = vec![SpanKind::Producer, SpanKind::Consumer];
    search.services = vec!["svc".to_owned()];
    let red = super::red(&conn, &search, 100).expect("read");
    assert_eq!(red.series[0].values, [Some(8.0)]);
}

#[test]
fn what_was_not_looked_at_has_no_value() {
    let (_dir, conn) = conn();
    let search = search(Measure::Calls, &[600, 790, 810, 1_000]);
    let red = red(&conn, &search, 2).expect("read");
    // The newest two are those of 1,000 and of 300: the window of 600 begins before the one of 250, which is not looked at.
    assert_eq!(
        red.series[0].values,
        [None, Some(2.0), Some(0.0), Some(2.0)]
    );
    assert!(red.is_cut);
}

#[test]
fn no_more_points_than_one_answer_may_take() {
    let (_dir, conn) = conn();
    let points: Vec<u64> = (0..MAX_POINTS as u64).collect();
    let mut search = search(Measure::Calls, &points);
    search.by_operation = true;
    let red = red(&conn, &search, 100).expect("read");
    assert_eq!(red.series.len(), 1);
    assert!(red.is_cut);
}
