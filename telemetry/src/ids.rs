//! Random ids and the clock of spans.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{SystemTime, UNIX_EPOCH};

use loom_proto::trace_context::{SpanId, TraceContext, TraceFlags, TraceId};

/// A new trace: all of its id is random, and its flags say so. Its span id is that of the root span.
pub fn new_root(sampled: bool) -> TraceContext {
    let trace_id = TraceId((u128::from(random()) << 64 | u128::from(random())).to_be_bytes());
    TraceContext {
        trace_id,
        span_id: new_span_id(),
        flags: TraceFlags::RANDOM.with_sampled(sampled),
    }
}

/// A random span id.
pub fn new_span_id() -> SpanId {
    SpanId(random().to_be_bytes())
}

/// The id of the span that handles what the span `parent` hands over: the runtime knows it without having been told, so it
/// can say how that span ended when its process was lost.
///
/// One to one, like the finish of `SplitMix64` which it is: no two parents have the same handler.
pub fn handler_span_id(parent: SpanId) -> SpanId {
    let mixed = mix(u64::from_be_bytes(parent.0).wrapping_add(GOLDEN));
    // Zero is no id, and comes of one parent among all.
    SpanId(if mixed == 0 { GOLDEN } else { mixed }.to_be_bytes())
}

/// The id of the span that has handed over what the span `handler` handles: [`handler_span_id`] the other way round.
pub fn delivery_span_id(handler: SpanId) -> SpanId {
    let parent = unmix(u64::from_be_bytes(handler.0)).wrapping_sub(GOLDEN);
    SpanId(parent.to_be_bytes())
}

/// Nanoseconds since the Unix epoch.
pub fn now_unix_nano() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64)
}

/// A random number from 0 to below 1, for jitter.
#[cfg(feature = "export")]
pub(crate) fn random_fraction() -> f64 {
    (random() >> 11) as f64 / (1_u64 << 53) as f64
}

/// The golden ratio's fraction, in 64 bits.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finish of `SplitMix64`, one to one.
fn mix(number: u64) -> u64 {
    let mut mixed = number;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Undoes [`mix`]: each shift is undone by shifts, each product by the inverse of its odd factor.
fn unmix(mixed: u64) -> u64 {
    let mut number = mixed ^ (mixed >> 31) ^ (mixed >> 62);
    number = number.wrapping_mul(0x3196_42b2_d24d_8ec3);
    number = number ^ (number >> 27) ^ (number >> 54);
    number = number.wrapping_mul(0x96de_1b17_3f11_9089);
    number ^ (number >> 30) ^ (number >> 60)
}

thread_local! {
    static STATE: Cell<u64> = Cell::new(seed());
}

/// Not zero, so that an id never is.
fn random() -> u64 {
    STATE.with(|state| {
        loop {
            // SplitMix64 (Steele, Lea, Flood 2014): passes BigCrush, one addition of state, no lock.
            let next = state.get().wrapping_add(GOLDEN);
            state.set(next);
            let mixed = mix(next);
            if mixed != 0 {
                return mixed;
            }
        }
    })
}

/// `RandomState` is seeded by the operating system and differs for each call.
fn seed() -> u64 {
    RandomState::new().hash_one(now_unix_nano())
}

/// A forked child must not repeat its parent's ids: call this in the child.
pub fn reseed() {
    STATE.with(|state| state.set(seed()));
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_valid_and_do_not_repeat_across_threads() {
        let threads: Vec<_> = (0..4)
            .map(|_| std::thread::spawn(|| (0..10_000).map(|_| new_span_id()).collect::<Vec<_>>()))
            .collect();
        let ids: Vec<_> = threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("no panic"))
            .collect();
        assert!(ids.iter().all(|id| id.is_valid()));
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    }

    #[test]
    fn a_handler_s_id_is_its_parent_s_alone() {
        let parents: Vec<_> = (0..10_000).map(|_| new_span_id()).collect();
        let handlers: HashSet<_> = parents.iter().copied().map(handler_span_id).collect();
        assert_eq!(handlers.len(), parents.len());
        assert!(parents.iter().all(|parent| !handlers.contains(parent)));
        let zero = SpanId(GOLDEN.wrapping_neg().to_be_bytes());
        assert!(handler_span_id(zero).is_valid());
        for parent in parents {
            assert_eq!(delivery_span_id(handler_span_id(parent)), parent);
        }
    }

    #[test]
    fn a_root_says_that_its_trace_id_is_random() {
        assert_eq!(new_root(true).flags, TraceFlags(3));
        assert_eq!(new_root(false).flags, TraceFlags(2));
        assert!(new_root(false).is_valid());
    }
}
