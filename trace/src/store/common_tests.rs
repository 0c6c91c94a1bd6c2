use loom_proto::semconv::attribute;
use proptest::prelude::*;

use crate::model::{Identity, Span, Value};
use crate::testing::{all_spans, insert, insert_and_fail, span, trace_id, writer};

/// Who the stored spans are about, by their ids.
fn stored(dir: &tempfile::TempDir) -> Vec<Identity> {
    let mut spans = all_spans(dir);
    spans.sort_by_key(|span| span.span_id);
    let identity = |span: Span| {
        assert!(span.attributes.get(attribute::WORKFLOW_ID).is_none());
        span.identity
    };
    spans.into_iter().map(identity).collect()
}

fn workflows(dir: &tempfile::TempDir) -> Vec<Option<String>> {
    stored(dir).into_iter().map(|who| who.workflow).collect()
}

fn of_workflow(id: u64, workflow: Option<&str>) -> Span {
    let mut span = span(id, 0, "x", 0, 1);
    span.identity.workflow = workflow.map(str::to_owned);
    span
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "what it is compared with may be absent"
)]
fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn spans_before_and_after_take_over_what_one_says() {
    let who = Identity {
        agent: some("agent"),
        workflow: some("workflow"),
        session: some("session"),
        user: some("user"),
        tenant: some("tenant"),
        thread: some("thread"),
    };
    let taken_over = Identity {
        agent: None,
        thread: None,
        ..who.clone()
    };
    let mut says = span(2, 1, "says", 0, 1);
    says.identity = who.clone();
    let mut elsewhere = span(9, 0, "elsewhere", 0, 1);
    elsewhere.trace_id = trace_id(2);
    let spans = [
        span(1, 0, "before", 0, 1),
        says,
        span(3, 2, "after", 0, 1),
        elsewhere,
    ];
    let expected = [taken_over.clone(), who, taken_over, Identity::default()];

    let dir = tempfile::tempdir().expect("a folder");
    insert(&mut writer(&dir), &spans);
    assert_eq!(stored(&dir), expected, "in one transaction");

    // Each in a process of its own: nothing is remembered but what is written.
    let dir = tempfile::tempdir().expect("a folder");
    for span in &spans {
        insert(&mut writer(&dir), std::slice::from_ref(span));
    }
    assert_eq!(stored(&dir), expected, "after restarts");
}

#[test]
fn where_two_disagree_nothing_is_taken_over_from_then_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut writer = writer(&dir);
    insert(
        &mut writer,
        &[of_workflow(1, None), of_workflow(2, Some("a"))],
    );
    let mut other = of_workflow(3, Some("b"));
    other.identity.session = some("session");
    insert(&mut writer, &[other, of_workflow(4, None)]);
    drop(writer);
    insert(
        &mut self::writer(&dir),
        &[of_workflow(5, None), of_workflow(6, Some("a"))],
    );
    let expected = [some("a"), some("a"), some("b"), None, None, some("a")];
    assert_eq!(workflows(&dir), expected);
    let sessions: Vec<_> = stored(&dir).into_iter().map(|who| who.session).collect();
    assert!(
        sessions.iter().all(|session| *session == some("session")),
        "{sessions:?}"
    );
}

#[test]
fn where_two_disagree_at_once_nobody_takes_over_either() {
    let dir = tempfile::tempdir().expect("a folder");
    let spans = [
        of_workflow(1, None),
        of_workflow(2, Some("a")),
        of_workflow(3, Some("b")),
    ];
    insert(&mut writer(&dir), &spans);
    assert_eq!(workflows(&dir), [None, some("a"), some("b")]);
}

#[test]
fn what_a_span_says_in_the_place_of_its_stand_in_counts() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut stand_in = of_workflow(1, None);
    let mark = (attribute::STAND_IN.to_owned(), Value::Bool(true));
    stand_in.attributes.0.push(mark);
    let mut writer = writer(&dir);
    insert(&mut writer, &[stand_in, of_workflow(2, None)]);
    insert(&mut writer, &[of_workflow(1, Some("a"))]);
    assert_eq!(workflows(&dir), [some("a"), some("a")]);
    // One that is there already says nothing new, whatever it says.
    insert(
        &mut writer,
        &[of_workflow(2, Some("b")), of_workflow(3, None)],
    );
    assert_eq!(workflows(&dir), [some("a"), some("a"), some("a")]);
}

#[test]
fn a_failed_transaction_has_taught_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut writer = writer(&dir);
    insert(&mut writer, &[of_workflow(1, None)]);
    insert_and_fail(&mut writer, &[of_workflow(2, Some("lost"))]);
    insert(&mut writer, &[of_workflow(3, None)]);
    assert_eq!(workflows(&dir), [None, None]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// In whatever order and transactions spans come: what one said it keeps, nobody has what nobody said, and where all
    /// who speak agree everybody has it.
    #[test]
    fn no_order_gives_anybody_a_wrong_value(
        said in prop::collection::vec((0_u8..2, prop::option::weighted(0.3, 0_u8..2)), 1..12),
        size in 1_usize..5,
    ) {
        let name = |value: u8| format!("w{value}");
        let spans: Vec<_> = said.iter().zip(1..).map(|((trace, value), id)| {
            let mut span = of_workflow(id, value.map(name).as_deref());
            span.trace_id = trace_id(trace + 1);
            span
        }).collect();
        let dir = tempfile::tempdir().expect("a folder");
        let mut writer = writer(&dir);
        for step in spans.chunks(size) {
            insert(&mut writer, step);
        }
        for (found, (trace, value)) in workflows(&dir).into_iter().zip(&said) {
            let mut spoken: Vec<_> = said.iter().filter(|(of, _)| of == trace).filter_map(|(_, value)| *value).collect();
            spoken.sort_unstable();
            spoken.dedup();
            match (value, spoken.as_slice()) {
                (Some(value), _) => prop_assert_eq!(found, Some(name(*value))),
                (None, []) => prop_assert_eq!(found, None),
                (None, [all]) => prop_assert_eq!(found, Some(name(*all))),
                (None, _) => prop_assert!(found.is_none_or(|found| spoken.iter().any(|value| name(*value) == found))),
            }
        }
    }
}
