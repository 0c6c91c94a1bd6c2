//! What the view of the spans says, in SQL alone, is what was stored.

use proptest::prelude::*;

use crate::error::StoreError;
use crate::model::value::to_json;
use crate::model::{Attributes, Span, Value};
use crate::prices::Prices;
use crate::spool::Position;
use crate::store::{FILE, Writer, open_reader};
use crate::testing::{span, trace_id};

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[a\"\\\\ü\n]{0,3}".prop_map(Value::String),
        Just(Value::from("agent")),
        Just(Value::from("01890f3e-7b4a-7cc2-98c9-00000000abcd")),
        Just(Value::String(trace_id(1).to_string())),
        "[x]{60,70}".prop_map(Value::String),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        prop_oneof![Just(1.0), Just(-0.0), Just(1e300), Just(f64::INFINITY)]
            .prop_map(Value::Double),
        Just(Value::Empty),
        Just(Value::Bytes(vec![0, 255])),
        Just(Value::Array(vec![
            Value::from("x"),
            Value::Empty,
            Value::Double(2.0)
        ])),
        Just(Value::Map([("$x", Value::Int(1))].into_iter().collect())),
    ]
}

/// Spans one after the other, with keys that come again and again.
fn spans(attributes: Vec<Vec<(String, Value)>>) -> Vec<Span> {
    let spans = attributes.into_iter().enumerate().map(|(at, pairs)| {
        let mut span = span(at as u64 + 1, 0, "x", 0, 1);
        span.attributes = Attributes(pairs);
        span.identity.agent = Some("agent".to_owned());
        span
    });
    spans.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_view_says_what_was_stored(
        attributes in prop::collection::vec(
            prop::collection::vec(("a|event_id|event.id|k\"ey", values()), 0..3), 1..60)
    ) {
        let spans = spans(attributes);
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(FILE);
        let mut writer = Writer::open(&path, Prices::default()).expect("opens");
        let stored = writer.transaction::<_, StoreError>(|batch| {
            spans.iter().try_for_each(|span| batch.insert(span, 0))?;
            Ok((Position::default(), ()))
        });
        prop_assert_eq!(stored.expect("written").0.stored, spans.len() as u64);
        let conn = open_reader(&path).expect("opens");
        let mut statement = conn.prepare("SELECT attributes FROM spans ORDER BY id").expect("valid");
        let rows = statement.query_map([], |row| row.get::<_, String>(0));
        let said: Vec<String> = rows.and_then(Iterator::collect).expect("JSON");
        for (span, said) in spans.iter().zip(said) {
            prop_assert_eq!(said, to_json(&span.attributes));
        }
    }
}
