use std::convert::Infallible;

use proptest::prelude::*;

use super::*;
use crate::model::{Identity, SpanId, TraceId};

/// Shapes by their number, as the database has them.
#[derive(Default)]
struct Stored(Vec<String>);

impl Stored {
    fn id(&mut self, json: &str) -> i64 {
        let found = self.0.iter().position(|known| known == json);
        let at = found.unwrap_or_else(|| {
            self.0.push(json.to_owned());
            self.0.len() - 1
        });
        i64::try_from(at).expect("few")
    }

    fn pack(&mut self, shapes: &mut Shapes, attributes: &Attributes, known: &Known<'_>) -> Packed {
        let packed = shapes.pack(attributes, known, |json| Ok::<_, Infallible>(self.id(json)));
        packed.expect("cannot fail")
    }

    fn unpack(&self, packed: &Packed, known: &Known<'_>) -> Attributes {
        let own = packed.own.as_deref();
        let Some(shape) = packed.shape else {
            return serde_json::from_str(own.expect("all of them")).expect("own JSON");
        };
        let shape =
            Shape::from_json(&self.0[usize::try_from(shape).expect("an index")]).expect("own JSON");
        let own: Vec<Value> =
            own.map_or_else(Vec::new, |own| serde_json::from_str(own).expect("own JSON"));
        shape
            .attributes(&own, |column| Ok(known.value(column)))
            .expect("readable")
    }
}

fn who() -> Identity {
    Identity {
        agent: Some("agent".to_owned()),
        session: Some("session".to_owned()),
        ..Identity::default()
    }
}

fn known(who: &Identity) -> Known<'_> {
    Known {
        trace_id: TraceId::from_bytes(&[7; 16]).expect("not zero"),
        span_id: SpanId::from_bytes(&[8; 8]).expect("not zero"),
        event: Some("01890f3e-7b4a-7cc2-98c9-00000000abcd"),
        who,
    }
}

fn of(pairs: &[(&str, &str)]) -> Attributes {
    pairs
        .iter()
        .map(|(key, text)| (*key, Value::from(*text)))
        .collect()
}

#[test]
fn what_columns_and_shape_say_is_not_listed() {
    let (mut stored, mut shapes, who) = (Stored::default(), Shapes::default(), who());
    let known = known(&who);
    let trace = "07".repeat(16);
    let attributes = of(&[
        ("agent.id", "agent"),
        ("topic", "sensor.data"),
        ("trace_id", &trace),
        ("span_id", "0808080808080808"),
        ("event_id", "01890f3e-7b4a-7cc2-98c9-00000000abcd"),
        ("messaging.destination.name", "sensor.data"),
        ("long", &"x".repeat(CONSTANT_BYTES + 1)),
    ]);
    let first = stored.pack(&mut shapes, &attributes, &known);
    assert_eq!(first.shape, None, "its keys may never come again");
    stored.pack(&mut shapes, &attributes, &known);
    let again = stored.pack(&mut shapes, &attributes, &known);
    assert_eq!(again.own, Some(format!("[\"{}\"]", "x".repeat(65))));
    assert_eq!(
        stored.0,
        [
            r#"[["agent.id",2,"agent"],["topic",1,"sensor.data"],["trace_id",2,"trace"],["span_id",2,"span"],["event_id",2,"event"],["messaging.destination.name",1,"sensor.data"],["long",0,0]]"#
        ]
    );
    for packed in [first, again] {
        assert_eq!(stored.unpack(&packed, &known), attributes);
    }
}

#[test]
fn what_varies_is_listed_in_the_end() {
    let (mut stored, mut shapes, who) = (Stored::default(), Shapes::default(), who());
    let known = known(&who);
    for number in 0..1_000 {
        let path = format!("/items/{number}");
        let attributes = of(&[("method", ["GET", "PUT"][number % 2]), ("path", &path)]);
        let packed = stored.pack(&mut shapes, &attributes, &known);
        assert_eq!(stored.unpack(&packed, &known), attributes);
    }
    assert!(stored.0.len() <= SHAPES_PER_KEYS + 4, "{}", stored.0.len());
    let last = stored.0.last().expect("some");
    assert!(
        last.contains(r#"["method",1,"#) && last.contains(r#"["path",0,0]"#),
        "{last}"
    );
}

#[test]
fn keys_that_are_made_up_get_no_shapes() {
    let (mut stored, mut shapes, who) = (Stored::default(), Shapes::default(), who());
    let known = known(&who);
    for number in 0..10 * KEYS {
        let attributes = of(&[(&format!("key {number}"), "x")]);
        assert_eq!(stored.pack(&mut shapes, &attributes, &known).shape, None);
    }
    assert!(shapes.once.len() <= KEYS);
}

proptest! {
    #[test]
    fn whatever_is_packed_comes_back(
        spans in prop::collection::vec(
            prop::collection::vec(("[ab]{0,2}", prop_oneof![
                "[xy]{0,3}".prop_map(Value::String),
                Just(Value::from("agent")),
                Just(Value::from("session")),
                Just(Value::from("0808080808080808")),
                any::<bool>().prop_map(Value::Bool),
                any::<i64>().prop_map(Value::Int),
                Just(Value::Double(1.0)),
                Just(Value::Empty),
                Just(Value::Bytes(vec![0, 255])),
                Just(Value::Array(vec![Value::from("x"), Value::Empty])),
            ]), 0..4),
            0..40,
        )
    ) {
        let (mut stored, mut shapes, who) = (Stored::default(), Shapes::default(), who());
        let known = known(&who);
        for pairs in spans {
            let attributes: Attributes = pairs.into_iter().collect();
            let packed = stored.pack(&mut shapes, &attributes, &known);
            prop_assert_eq!(stored.unpack(&packed, &known), attributes);
        }
    }
}
