//! Whatever the spans say, the path is whole.

use proptest::prelude::*;

use super::*;

fn dags() -> impl Strategy<Value = Dag> {
    let span = (
        0u64..24,
        0u64..60,
        0u64..40,
        0usize..6,
        0i64..6,
        proptest::option::of(0u64..30),
        proptest::collection::vec((1u64..24, any::<bool>()), 0..3),
        0usize..3,
        any::<bool>(),
    );
    proptest::collection::vec(span, 0..24).prop_map(|spans| {
        let steps = [
            Step::Other,
            Step::Publish,
            Step::Forward,
            Step::Handler,
            Step::Invoke,
            Step::Action,
        ];
        let gen_ai = [GenAi::No, GenAi::ModelCall, GenAi::Tool];
        let mut dag = Dag::new();
        for (at, (parent, start, long, step, kind, wait, links, use_of, is_agent)) in
            spans.into_iter().enumerate()
        {
            dag = dag
                .span(at as u64 + 1, parent, start, start + long)
                .step(steps[step])
                .with(|span| {
                    span.kind = SpanKind::from_number(kind);
                    span.wait_ns = wait;
                    span.gen_ai = gen_ai[use_of];
                    span.service = u32::from(is_agent);
                });
            for (to, is_last) in links {
                dag = dag.link(to, is_last);
            }
        }
        dag
    })
}

proptest! {
    #[test]
    fn any_trace_is_divided_without_a_gap(dag in dags()) {
        dag.path();
    }

    #[test]
    fn the_order_of_the_spans_does_not_matter_where_no_two_are_alike(dag in dags(), seed in any::<u64>()) {
        // Times that are all different, also those of servers, so that nothing is decided by a place.
        let mut dag = dag;
        let many = dag.0.spans.len() as u64;
        for (place, span) in dag.0.spans.iter_mut().enumerate() {
            if span.kind == SpanKind::Server {
                span.kind = SpanKind::Internal;
            }
            span.start_ns = BASE + (span.start_ns - BASE) * 1_000 + place as u64;
            span.end_ns = BASE + (span.end_ns - BASE) * 1_000 + 500 + place as u64;
        }
        dag.0.links.clear();
        let expected = dag.path();
        let half = if many == 0 { 0 } else { (seed % many) as usize };
        dag.0.spans.rotate_left(half);
        prop_assert_eq!(dag.path(), expected);
    }
}
