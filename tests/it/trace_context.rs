//! What the W3C text demands of a receiver, seen from outside: every event is delivered, and traced as it should be.

use loom_proto::EventId;
use loom_proto::trace_context::TraceContext;
use loom_tests::agent::{RawAgent, event, hello};
use loom_tests::server::{Options, TestServer};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Publishes one event with this traceparent; returns what was delivered.
async fn delivered(server: &TestServer, event: loom_proto::v1::Event) -> loom_proto::v1::Delivery {
    // Ids of their own: the agents of an earlier call may not have been missed yet.
    let [listener, publisher] =
        ["listener", "publisher"].map(|role| format!("{role}-{}", EventId::now()));
    let mut listener =
        RawAgent::connect(server.bridge_addr(), hello(&listener, &["context.*"])).await;
    let mut publisher = RawAgent::connect(server.bridge_addr(), hello(&publisher, &[])).await;
    publisher.publish(vec![event]).await;
    let ack = publisher.ack().await;
    assert_eq!((ack.through, ack.rejected.len()), (1, 0));
    listener.delivery().await
}

/// The context that the handler of the event continues.
async fn continued(server: &TestServer, traceparent: &str) -> TraceContext {
    let delivery = delivered(server, event("context.test", traceparent)).await;
    assert_eq!(
        delivery.event.expect("an event").payload,
        b"payload".as_slice()
    );
    TraceContext::parse(delivery.traceparent.as_bytes()).expect("a delivery has a good context")
}

#[tokio::test]
async fn a_valid_context_is_continued() {
    let server = TestServer::start();
    let context = continued(&server, &format!("00-{TRACE}-{PARENT}-01")).await;
    assert_eq!(context.trace_id.to_string(), TRACE);
    let trace = server.trace(TRACE, 3).await;
    assert_eq!(trace.only("bridge.publish").parent.as_deref(), Some(PARENT));
    assert_eq!(
        trace.only("bridge.forward").span_id,
        context.span_id.to_string()
    );
}

#[tokio::test]
async fn the_random_flag_is_passed_on_and_unknown_flags_are_not() {
    let server = TestServer::start();
    let context = continued(&server, &format!("00-{TRACE}-{PARENT}-03")).await;
    assert_eq!(context.flags.0, 3);
    let context = continued(&server, &format!("00-{TRACE}-{PARENT}-ff")).await;
    assert_eq!(context.flags.0, 3);
}

#[tokio::test]
async fn a_future_version_is_read_as_far_as_it_is_known() {
    let server = TestServer::start();
    for future in [
        format!("01-{TRACE}-{PARENT}-01"),
        format!("cc-{TRACE}-{PARENT}-01-what-comes-later"),
    ] {
        let context = continued(&server, &future).await;
        assert_eq!(context.trace_id.to_string(), TRACE, "{future}");
    }
}

#[tokio::test]
async fn an_event_without_context_begins_a_trace() {
    let server = TestServer::start();
    let context = continued(&server, "").await;
    assert!(context.is_sampled());
    let trace = server.trace(&context.trace_id.to_string(), 3).await;
    trace.assert_chain(&[
        ("bridge.publish", "loom"),
        ("EventBus.publish", "loom"),
        ("bridge.forward", "loom"),
    ]);
}

#[tokio::test]
async fn an_invalid_context_begins_a_trace_and_is_counted_by_its_reason() {
    let server = TestServer::start();
    let upper = TRACE.to_uppercase();
    for (traceparent, reason) in [
        ("nonsense".to_owned(), "length"),
        (format!("00-{TRACE}-{PARENT}-01-more"), "length"),
        (format!("00-{TRACE}-{PARENT}-01").repeat(20), "length"),
        (format!("00_{TRACE}-{PARENT}-01"), "form"),
        (format!("cc-{TRACE}-{PARENT}-01.later"), "form"),
        (format!("00-{upper}-{PARENT}-01"), "hex"),
        (format!("00-{TRACE}-{PARENT}-0x"), "hex"),
        (format!("ff-{TRACE}-{PARENT}-01"), "version"),
        (
            format!("00-{}-{PARENT}-01", "0".repeat(32)),
            "zero_trace_id",
        ),
        (format!("00-{TRACE}-{}-01", "0".repeat(16)), "zero_span_id"),
    ] {
        let counter = format!("loom_trace_invalid_context_total{{reason=\"{reason}\"}}");
        let before = server.metric(&counter).await;
        let context = continued(&server, &traceparent).await;
        assert_ne!(context.trace_id.to_string(), TRACE, "{traceparent}");
        assert_eq!(server.metric(&counter).await, before + 1, "{traceparent}");
        let trace = server.trace(&context.trace_id.to_string(), 3).await;
        assert!(trace.chain()[0].parent.is_none());
    }
}

#[tokio::test]
async fn an_unsampled_context_is_passed_on_and_nothing_is_recorded() {
    let server = TestServer::start();
    let before = server.stats().await.spans.unwrap_or_default();
    let context = continued(&server, &format!("00-{TRACE}-{PARENT}-00")).await;
    assert_eq!(
        (context.trace_id.to_string().as_str(), context.is_sampled()),
        (TRACE, false)
    );
    let after = server.stats().await.spans.unwrap_or_default();
    assert_eq!(
        after.recorded - before.recorded,
        after.sampled_out - before.sampled_out,
        "the others went nowhere"
    );
    assert!(after.sampled_out > before.sampled_out);
}

#[tokio::test]
async fn tracestate_and_baggage_travel_and_bad_ones_do_not_harm_the_trace() {
    let server = TestServer::start();
    let with = |tracestate: &str, baggage: &str| {
        let mut event = event("context.test", &format!("00-{TRACE}-{PARENT}-01"));
        let envelope = event.envelope.get_or_insert_default();
        tracestate.clone_into(&mut envelope.tracestate);
        baggage.clone_into(&mut envelope.baggage);
        event
    };
    let envelope = |delivery: loom_proto::v1::Delivery| {
        delivery
            .event
            .and_then(|event| event.envelope)
            .expect("one")
    };
    let good = delivered(&server, with("vendor=1,other=2", "user_id=7")).await;
    let kept = envelope(good);
    assert_eq!(
        (kept.tracestate.as_str(), kept.baggage.as_str()),
        ("vendor=1,other=2", "user_id=7")
    );

    let bad = delivered(&server, with("no equals sign", &"x".repeat(9000))).await;
    let context = TraceContext::parse(bad.traceparent.as_bytes()).expect("a good context");
    assert_eq!(
        context.trace_id.to_string(),
        TRACE,
        "a bad tracestate does not make the traceparent bad"
    );
    let kept = envelope(bad);
    assert_eq!((kept.tracestate.as_str(), kept.baggage.as_str()), ("", ""));
}

#[tokio::test]
async fn a_context_in_the_metadata_is_read_where_the_envelope_has_none() {
    let server = TestServer::start();
    let mut by_key = event("context.test", "");
    by_key
        .metadata
        .insert("traceparent".to_owned(), format!("00-{TRACE}-{PARENT}-01"));
    let delivery = delivered(&server, by_key).await;
    let context = TraceContext::parse(delivery.traceparent.as_bytes()).expect("a good context");
    assert_eq!(context.trace_id.to_string(), TRACE);
}

#[tokio::test]
async fn one_event_for_several_subscribers_is_one_tree() {
    let server = TestServer::start();
    let mut listeners = Vec::new();
    for number in 0..4 {
        let hello = hello(&format!("listener-{number}"), &["context.*"]);
        listeners.push(RawAgent::connect(server.bridge_addr(), hello).await);
    }
    let publisher = RawAgent::connect(server.bridge_addr(), hello("publisher", &[])).await;
    publisher
        .publish(vec![event(
            "context.test",
            &format!("00-{TRACE}-{PARENT}-01"),
        )])
        .await;
    let mut contexts = Vec::new();
    for listener in &mut listeners {
        contexts.push(listener.delivery().await.traceparent);
    }
    contexts.dedup();
    assert_eq!(contexts.len(), 4, "each attempt has a span of its own");
    let trace = server.trace(TRACE, 6).await;
    let publish = &trace.only("EventBus.publish").span_id;
    let forwards: Vec<_> = trace
        .spans
        .iter()
        .filter(|span| span.name == "bridge.forward")
        .collect();
    assert_eq!(forwards.len(), 4);
    assert!(
        forwards
            .iter()
            .all(|forward| forward.parent.as_ref() == Some(publish))
    );
}

#[tokio::test]
async fn a_server_that_records_nothing_hands_contexts_on() {
    for (settings, environment) in [
        ("[telemetry]\nrecord = false", Vec::new()),
        (
            "",
            vec![("OTEL_SDK_DISABLED".to_owned(), "true".to_owned())],
        ),
    ] {
        let settings = settings.to_owned();
        let server = TestServer::with(Options {
            settings,
            environment,
            ..Options::default()
        });
        let context = continued(&server, &format!("00-{TRACE}-{PARENT}-01")).await;
        assert_eq!(context.to_string(), format!("00-{TRACE}-{PARENT}-01"));
        assert_eq!(server.stats().await.spans.unwrap_or_default().recorded, 0);
    }
}

#[tokio::test]
async fn the_sampler_of_the_environment_decides_at_a_root() {
    let environment = vec![(
        "OTEL_TRACES_SAMPLER".to_owned(),
        "parentbased_always_off".to_owned(),
    )];
    let server = TestServer::with(Options {
        environment,
        ..Options::default()
    });
    assert!(!continued(&server, "").await.is_sampled());
    assert!(
        continued(&server, &format!("00-{TRACE}-{PARENT}-01"))
            .await
            .is_sampled()
    );
    server.trace(TRACE, 3).await;
}
