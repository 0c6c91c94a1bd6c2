use super::*;
use crate::model::Event;
use crate::testing::{BASE, MS, span};

fn with<const N: usize>(name: &str, said: [(&str, Value); N]) -> Span {
    Span {
        attributes: said.into_iter().collect(),
        ..span(1, 0, name, 0, 2_000)
    }
}

fn measured<const N: usize>(said: [(&str, Value); N]) -> Option<Measures> {
    measure(&with("chat", said), &Prices::own().expect("readable"))
}

#[test]
fn a_call_of_a_model_with_all_that_it_can_say() {
    let call = measured([
        ("gen_ai.operation.name", Value::from("chat")),
        ("gen_ai.provider.name", Value::from("openai")),
        ("gen_ai.request.model", Value::from("gpt-4o-mini")),
        (
            "gen_ai.response.model",
            Value::from("gpt-4o-mini-2024-07-18"),
        ),
        ("gen_ai.usage.input_tokens", Value::Int(1_000)),
        ("gen_ai.usage.cache_read.input_tokens", Value::Int(400)),
        ("gen_ai.usage.output_tokens", Value::Double(100.0)),
        ("gen_ai.response.time_to_first_chunk", Value::Double(0.25)),
    ]);
    let call = call.expect("a call");
    let cost = call.cost_usd.expect("a known model");
    // 600 at 0.15, 400 at 0.075 and 100 at 0.60 USD a million.
    assert!((cost - 0.000_18).abs() < 1e-12, "{cost}");
    let expected = Measures {
        kind: Kind::ModelCall,
        operation: Some("chat".to_owned()),
        duration_ns: Some(2_000 * MS),
        provider: Some("openai".to_owned()),
        model: Some("gpt-4o-mini-2024-07-18".to_owned()),
        ttft_ms: Some(250.0),
        prompt_tokens: Some(1_000),
        completion_tokens: Some(100),
        total_tokens: Some(1_100),
        cost_usd: Some(cost),
        phases: Attributes::default(),
    };
    assert_eq!(call, expected);
}

#[test]
fn what_a_call_does_not_say_is_unknown() {
    let call = measured([("gen_ai.request.model", Value::from("m"))]).expect("a call");
    assert_eq!(call.model.as_deref(), Some("m"));
    let unknown = (
        call.operation,
        call.provider,
        call.ttft_ms,
        call.prompt_tokens,
    );
    assert_eq!(unknown, (None, None, None, None));
    assert_eq!(
        (call.completion_tokens, call.total_tokens, call.cost_usd),
        (None, None, None)
    );
    // What cannot be a count is none.
    for value in [
        Value::Int(-1),
        Value::Double(0.5),
        Value::from("7"),
        Value::Double(f64::NAN),
    ] {
        let call = measured([
            ("gen_ai.operation.name", Value::from("chat")),
            ("gen_ai.usage.input_tokens", value),
            ("gen_ai.usage.output_tokens", Value::Int(1)),
        ]);
        let call = call.expect("a call");
        assert_eq!((call.prompt_tokens, call.total_tokens), (None, None));
    }
}

#[test]
fn only_calls_of_models_are_calls() {
    let operation = |name| {
        [
            ("gen_ai.operation.name", Value::from(name)),
            ("gen_ai.usage.input_tokens", Value::Int(1)),
        ]
    };
    for name in ["chat", "text_completion", "embeddings", "generate_content"] {
        assert!(measured(operation(name)).is_some(), "{name}");
    }
    // An agent's span sums up those of the calls below it.
    for name in ["invoke_agent", "execute_tool", "invoke_workflow"] {
        assert_eq!(measured(operation(name)), None, "{name}");
    }
    let kind = |name| {
        [
            ("openinference.span.kind", Value::from(name)),
            ("gen_ai.request.model", Value::from("m")),
        ]
    };
    let operation = |name| measured(kind(name)).and_then(|call| call.operation);
    assert_eq!(operation("LLM").as_deref(), Some("chat"));
    assert_eq!(operation("EMBEDDING").as_deref(), Some("embeddings"));
    assert_eq!(measured(kind("CHAIN")), None);
    assert_eq!(
        measured([("http.request.method", Value::from("POST"))]),
        None
    );
}

#[test]
fn an_unknown_price_is_none_and_counted_where_there_are_tokens() {
    let call = |model| {
        measured([
            ("gen_ai.operation.name", Value::from("chat")),
            ("gen_ai.provider.name", Value::from("openai")),
            ("gen_ai.request.model", Value::from(model)),
            ("gen_ai.usage.input_tokens", Value::Int(10)),
            ("gen_ai.usage.output_tokens", Value::Int(10)),
        ])
        .expect("a call")
    };
    assert!(call("model-of-mine").is_unpriced());
    assert_eq!(call("model-of-mine").cost_usd, None);
    assert!(!call("gpt-4o-mini").is_unpriced());
    let silent = measured([("gen_ai.operation.name", Value::from("chat"))]).expect("a call");
    assert!(!silent.is_unpriced(), "there is nothing to price");
}

#[test]
fn the_first_token_is_told_in_three_ways() {
    let mut call = with("chat", [("gen_ai.operation.name", Value::from("chat"))]);
    let ttft = |span: &Span| measure(span, &Prices::default()).expect("a call").ttft_ms;
    assert_eq!(ttft(&call), None);
    for (name, at_ms) in [
        ("other", 1),
        ("llm.content.completion.chunk", 40),
        ("llm.content.completion.chunk", 90),
    ] {
        call.events.push(Event {
            time_ns: BASE + at_ms * MS,
            name: name.to_owned(),
            attributes: Attributes::default(),
            dropped_attributes: 0,
        });
    }
    assert_eq!(ttft(&call), Some(40.0));
    let said = (
        "gen_ai.response.time_to_first_chunk".to_owned(),
        Value::Double(0.03),
    );
    call.attributes.0.push(said);
    assert_eq!(ttft(&call), Some(30.0));
    call.attributes
        .0
        .push(("loom.llm.ttft_ms".to_owned(), Value::Double(20.0)));
    assert_eq!(ttft(&call), Some(20.0));
}

#[test]
fn a_handler_tells_its_phases() {
    let handler = with(
        "agent.on_event",
        [
            ("topic", Value::from("orders.new")),
            ("gen_ai.operation.name", Value::from("invoke_agent")),
            ("loom.phase.llm_processing_ms", Value::Double(12.5)),
            ("loom.phase.mine_ms", Value::Int(3)),
            ("loom.phase.wrong_ms", Value::from("long")),
            ("loom.phase", Value::from("x")),
        ],
    );
    let measures = measure(&handler, &Prices::default()).expect("a handler");
    assert_eq!(measures.kind, Kind::Handler);
    assert_eq!(measures.operation.as_deref(), Some("orders.new"));
    let phases = [
        ("llm_processing_ms", Value::Double(12.5)),
        ("mine_ms", Value::Int(3)),
    ];
    assert_eq!(measures.phases, phases.into_iter().collect());
    assert_eq!(measures.duration_ns, Some(2_000 * MS));

    let lost = with("agent.on_action", [("loom.stand_in", Value::Bool(true))]);
    let measures = measure(&lost, &Prices::default()).expect("a handler");
    assert_eq!(
        (measures.duration_ns, measures.phases),
        (None, Attributes::default()),
        "nobody knows"
    );
}
