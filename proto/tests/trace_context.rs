//! W3C Trace Context, level 2: the cases of the text, good and bad.

use loom_proto::trace_context::{InvalidContext, TraceContext, TraceFlags, tracestate_is_valid};
use proptest::prelude::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn parse(text: &str) -> Result<TraceContext, InvalidContext> {
    text.parse()
}

#[test]
fn a_valid_header_is_read_and_printed() {
    let text = format!("00-{TRACE}-{SPAN}-01");
    let context = parse(&text).expect("valid");
    assert_eq!(context.trace_id.to_string(), TRACE);
    assert_eq!(context.span_id.to_string(), SPAN);
    assert!(context.is_sampled());
    assert_eq!(context.to_string(), text);
}

#[test]
fn the_random_bit_is_passed_on_and_unknown_bits_are_not() {
    assert_eq!(
        parse(&format!("00-{TRACE}-{SPAN}-03"))
            .expect("valid")
            .flags,
        TraceFlags(3)
    );
    assert_eq!(
        parse(&format!("00-{TRACE}-{SPAN}-ff"))
            .expect("valid")
            .flags,
        TraceFlags(3)
    );
    assert_eq!(TraceFlags(3).with_sampled(false), TraceFlags::RANDOM);
}

#[test]
fn future_versions_are_read_as_version_00() {
    for tail in ["", "-", "-what-the-future-brings"] {
        let context = parse(&format!("cc-{TRACE}-{SPAN}-01{tail}")).expect("valid");
        assert_eq!(context.to_string(), format!("00-{TRACE}-{SPAN}-01"));
    }
    assert_eq!(
        parse(&format!("cc-{TRACE}-{SPAN}-01.more")),
        Err(InvalidContext::Form)
    );
}

#[test]
fn bad_headers_are_refused_with_their_reason() {
    let upper = TRACE.to_uppercase();
    let zero = "0".repeat(32);
    for (text, reason) in [
        (String::new(), InvalidContext::Length),
        (format!("00-{TRACE}-{SPAN}"), InvalidContext::Length),
        (format!("00-{TRACE}-{SPAN}-01-more"), InvalidContext::Length),
        (
            format!("cc-{TRACE}-{SPAN}-01-{}", "x".repeat(600)),
            InvalidContext::Length,
        ),
        (format!("ff-{TRACE}-{SPAN}-01"), InvalidContext::Version),
        (format!("00-{upper}-{SPAN}-01"), InvalidContext::Hex),
        (format!("00-{TRACE}-{SPAN}-0A"), InvalidContext::Hex),
        (format!("+0-{TRACE}-{SPAN}-01"), InvalidContext::Hex),
        (format!("00-{zero}-{SPAN}-01"), InvalidContext::ZeroTraceId),
        (
            format!("00-{TRACE}-0000000000000000-01"),
            InvalidContext::ZeroSpanId,
        ),
        (format!("00_{TRACE}-{SPAN}-01"), InvalidContext::Form),
        (format!("00-{TRACE}{SPAN}--01"), InvalidContext::Form),
    ] {
        assert_eq!(parse(&text), Err(reason), "{text}");
    }
}

#[test]
fn tracestate_limits() {
    assert!(tracestate_is_valid(b""));
    assert!(tracestate_is_valid(b"vendor=1, other@tenant=2,,"));
    assert!(!tracestate_is_valid(b"no-value"));
    assert!(!tracestate_is_valid(b"=value"));
    assert!(!tracestate_is_valid("k=\u{e9}".as_bytes()));
    assert!(!tracestate_is_valid(&vec![b'x'; 513]));
    let members = |n: usize| vec!["k=v"; n].join(",");
    assert!(tracestate_is_valid(members(32).as_bytes()));
    assert!(!tracestate_is_valid(members(33).as_bytes()));
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(trace in prop::array::uniform16(any::<u8>()), span in prop::array::uniform8(any::<u8>()), flags in 0u8..4) {
        let mut context = TraceContext::default();
        context.trace_id.0 = trace;
        context.span_id.0 = span;
        context.flags = TraceFlags(flags);
        prop_assert_eq!(TraceContext::parse(&context.to_traceparent()).is_ok(), context.is_valid());
        if context.is_valid() {
            prop_assert_eq!(parse(&context.to_string()), Ok(context));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_never_give_zero_ids(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        if let Ok(context) = TraceContext::parse(&bytes) {
            prop_assert!(context.is_valid());
        }
    }

    #[test]
    fn one_changed_character_is_another_context_or_invalid(at in 0usize..55, to in any::<u8>()) {
        let original = format!("00-{TRACE}-{SPAN}-03").into_bytes();
        let mut changed = original.clone();
        changed[at] = to;
        if changed != original {
            // Version digits and unknown flag bits may change without changing the value; ids may not.
            let same = TraceContext::parse(&changed) == TraceContext::parse(&original);
            prop_assert!(!same || !(2..53).contains(&at));
        }
    }
}
