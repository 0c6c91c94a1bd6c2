use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::journal::{Stage, Tried};

const PATIENCE: Patience = Patience {
    max_attempts: 3,
    timeout: Duration::from_secs(30),
    first_rest: Duration::from_secs(1),
    longest_rest: Duration::from_secs(10),
};

fn event() -> Arc<Event> {
    let mut event = Event::on("orders.new", "x").expect("valid");
    event.set_trace(Some(loom_telemetry::ids::new_root(true)));
    Arc::new(event)
}

fn offsets(attempts: &[Attempt]) -> Vec<(u64, u32)> {
    attempts
        .iter()
        .map(|attempt| (attempt.offset, attempt.number))
        .collect()
}

fn take(window: &mut Window, member: u64, max: usize, now: Instant) -> Vec<(u64, u32)> {
    let mut taken = Vec::new();
    window.take(member, max, now, &mut taken);
    offsets(&taken)
}

#[test]
fn a_thread_waits_for_its_oldest_event_and_nobody_else_does() {
    let now = Instant::now();
    let mut window = Window::new(10, PATIENCE);
    for thread in [7, 7, 0, 8, 7] {
        window.push(event(), thread);
    }
    assert_eq!(take(&mut window, 1, 9, now), [(10, 1), (12, 1), (13, 1)]);
    assert!(matches!(
        window.settle(1, 10, 1, Verdict::Retry(None), now),
        Settled::Again
    ));
    assert_eq!(take(&mut window, 1, 9, now), [], "its thread rests with it");
    let later = now + Duration::from_secs(2);
    assert!(window.due().expect("it rests") <= later);
    window.pass(later);
    assert_eq!(take(&mut window, 2, 9, later), [(10, 2)]);
    window.settle(2, 10, 2, Verdict::Ack, later);
    assert_eq!(take(&mut window, 1, 9, later), [(11, 1)]);
    assert_eq!(window.floor(), 11);
    window.settle(1, 12, 1, Verdict::Ack, later);
    window.settle(1, 13, 1, Verdict::Ack, later);
    assert_eq!(window.settled_ranges(), std::slice::from_ref(&(12..14)));
    window.settle(1, 11, 1, Verdict::Ack, later);
    assert_eq!((window.floor(), window.settled_ranges()), (14, vec![]));
}

#[test]
fn after_the_last_attempt_or_a_reject_it_is_dead_until_it_is_buried() {
    let now = Instant::now();
    let mut window = Window::new(0, PATIENCE);
    window.push(event(), 1);
    window.push(event(), 1);
    window.push(event(), 0);
    take(&mut window, 1, 9, now);
    assert!(matches!(
        window.settle(1, 2, 1, Verdict::Reject, now),
        Settled::Dead
    ));
    for attempt in 1..PATIENCE.max_attempts {
        let retry = Verdict::Retry(Some(Duration::ZERO));
        assert!(matches!(
            window.settle(1, 0, attempt, retry, now),
            Settled::Again
        ));
        window.pass(now);
        assert_eq!(take(&mut window, 1, 9, now), [(0, attempt + 1)]);
    }
    let last = PATIENCE.max_attempts;
    assert!(matches!(
        window.settle(1, 0, last, Verdict::Retry(None), now),
        Settled::Dead
    ));
    assert_eq!(
        take(&mut window, 1, 9, now),
        [],
        "its thread waits for the dead letter"
    );
    assert_eq!(window.floor(), 0);
    window.buried(0);
    window.buried(0);
    assert_eq!(take(&mut window, 1, 9, now), [(1, 1)]);
    assert_eq!(window.floor(), 1);
}

#[test]
fn a_member_that_leaves_gives_back_and_its_late_words_are_stale() {
    let now = Instant::now();
    let mut window = Window::new(0, PATIENCE);
    (0..4).for_each(|_| window.push(event(), 0));
    assert_eq!(take(&mut window, 1, 2, now), [(0, 1), (1, 1)]);
    assert_eq!(take(&mut window, 2, 1, now), [(2, 1)]);
    assert_eq!(window.leave(1).len(), 2);
    assert!(matches!(
        window.settle(1, 0, 1, Verdict::Ack, now),
        Settled::Stale
    ));
    assert_eq!(take(&mut window, 2, 9, now), [(0, 2), (1, 2), (3, 1)]);
    assert!(
        matches!(window.settle(2, 0, 1, Verdict::Ack, now), Settled::Stale),
        "another attempt"
    );
    assert!(matches!(
        window.settle(2, 0, 2, Verdict::Ack, now),
        Settled::Done
    ));
    assert!(
        matches!(window.settle(2, 0, 2, Verdict::Ack, now), Settled::Stale),
        "twice"
    );
    assert!(
        matches!(window.settle(2, 99, 1, Verdict::Ack, now), Settled::Stale),
        "never there"
    );
}

#[test]
fn an_attempt_that_takes_too_long_is_over() {
    let now = Instant::now();
    let mut window = Window::new(0, PATIENCE);
    window.push(event(), 0);
    take(&mut window, 1, 1, now);
    assert!(window.pass(now + Duration::from_secs(29)).is_empty());
    let late = window.pass(now + Duration::from_secs(30));
    assert!(
        matches!(
            &late[..],
            [Late {
                member: 1,
                offset: 0,
                attempt: 1,
                settled: Settled::Again
            }]
        ),
        "{late:?}"
    );
    assert!(matches!(
        window.settle(1, 0, 1, Verdict::Ack, now),
        Settled::Stale
    ));
}

#[test]
fn rests_double_and_have_an_end() {
    let rest = |attempt| PATIENCE.rest(5, attempt).as_secs_f64();
    for (attempt, expected) in [(1, 1.0), (2, 2.0), (3, 4.0), (9, 10.0), (u32::MAX, 10.0)] {
        let rest = rest(attempt);
        assert!(
            (expected * 0.8..=expected * 1.2).contains(&rest),
            "{attempt}: {rest}"
        );
    }
    let rests: BTreeSet<_> = (0..50).map(|offset| PATIENCE.rest(offset, 1)).collect();
    assert!(rests.len() > 40, "they are spread");
}

#[test]
fn an_attempt_knows_the_one_before_that_was_sent() {
    let now = Instant::now();
    let mut window = Window::new(0, PATIENCE);
    let event = event();
    let trace = event.trace().expect("it has one");
    window.push(event, 0);
    let attempt = |window: &mut Window, number: u32| {
        let mut taken = Vec::new();
        window.take(1, 1, now, &mut taken);
        assert_eq!(taken[0].number, number);
        taken[0].previous
    };
    let fail = |window: &mut Window, number: u32| {
        let settled = window.settle(1, 0, number, Verdict::Retry(Some(Duration::ZERO)), now);
        window.failed(0, format!("no {number}"), u64::from(number));
        window.pass(now);
        settled
    };
    assert_eq!(attempt(&mut window, 1), None);
    window.forwarded(0, 1, SpanId([1; 8]));
    fail(&mut window, 1);
    let first = TraceContext {
        span_id: SpanId([1; 8]),
        ..trace
    };
    assert_eq!(attempt(&mut window, 2), Some(first));
    // The second was lost before its delivery was written.
    fail(&mut window, 2);
    assert_eq!(attempt(&mut window, 3), Some(first));
    window.forwarded(0, 3, SpanId([3; 8]));
    assert!(window.dead(0).is_none(), "not yet");
    assert!(matches!(fail(&mut window, 3), Settled::Dead));
    let (_, history) = window.dead(0).expect("it is");
    let told = history.attempts().iter();
    let told: Vec<_> = told
        .map(|a| (a.number, &*a.error, a.span.0[0], a.unix_nano))
        .collect();
    assert_eq!(
        told,
        [(1, "no 1", 1, 1), (2, "no 2", 0, 2), (3, "no 3", 3, 3)]
    );
}

#[test]
fn a_delivery_that_is_written_too_late_is_told_all_the_same() {
    let now = Instant::now();
    let mut window = Window::new(0, PATIENCE);
    window.push(event(), 0);
    take(&mut window, 1, 1, now);
    let late = now + PATIENCE.timeout;
    assert_eq!(window.pass(late).len(), 1);
    window.failed(0, "it took too long".to_owned(), 1);
    window.forwarded(0, 1, SpanId([1; 8]));
    window.pass(late + PATIENCE.longest_rest);
    let mut taken = Vec::new();
    window.take(1, 1, late, &mut taken);
    let previous = taken[0].previous.map(|context| context.span_id);
    assert_eq!(previous, Some(SpanId([1; 8])));
}

#[test]
fn a_slot_stays_small() {
    // A group remembers up to 65,536 of them.
    assert!(size_of::<Slot>() <= 56, "{}", size_of::<Slot>());
}

#[derive(Clone, Debug)]
enum Step {
    Push(u64),
    Skip,
    Take { member: u64, max: usize },
    Forward(usize),
    Settle { which: usize, verdict: u8 },
    Leave(u64),
    Pass(u64),
    Bury,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_u64).prop_map(Step::Push),
        1 => Just(Step::Skip),
        4 => (1..4_u64, 0..4_usize).prop_map(|(member, max)| Step::Take { member, max }),
        3 => any::<usize>().prop_map(Step::Forward),
        5 => (any::<usize>(), 0..4_u8).prop_map(|(which, verdict)| Step::Settle { which, verdict }),
        1 => (1..4_u64).prop_map(Step::Leave),
        2 => (0..40_u64).prop_map(Step::Pass),
        2 => Just(Step::Bury),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    /// Whatever happens in whatever order: nothing is forgotten or in two hands, threads keep their order, and in the end
    /// everything can be settled.
    #[test]
    fn every_event_is_settled_once_and_in_the_order_of_its_thread(steps in prop::collection::vec(step(), 0..120)) {
        let mut now = Instant::now();
        let mut window = Window::new(0, PATIENCE);
        let mut threads: BTreeMap<u64, u64> = BTreeMap::new();
        let mut in_hand: BTreeMap<u64, (u64, u32)> = BTreeMap::new();
        let mut dead: Vec<u64> = Vec::new();
        let mut settled: BTreeSet<u64> = BTreeSet::new();
        // The span of each attempt that was sent, by offset and number.
        let mut spans: BTreeMap<(u64, u32), SpanId> = BTreeMap::new();
        let mut begun: BTreeMap<u64, u32> = BTreeMap::new();
        let note = |outcome: Settled, offset: u64, window: &mut Window, dead: &mut Vec<u64>, settled: &mut BTreeSet<u64>| match outcome {
            Settled::Done => assert!(settled.insert(offset), "{offset} twice"),
            Settled::Dead => {
                window.failed(offset, String::new(), 0);
                dead.push(offset);
            }
            Settled::Again => window.failed(offset, String::new(), 0),
            Settled::Stale => {}
        };
        // At the end: everybody takes, acknowledges and buries until nothing is left.
        let end = (0..400).flat_map(|_| [
            Step::Pass(40),
            Step::Take { member: 1, max: 9 },
            Step::Settle { which: 0, verdict: 0 },
            Step::Bury,
        ]);
        for step in steps.into_iter().chain(end) {
            match step {
                Step::Push(thread) => {
                    threads.insert(window.next(), thread);
                    window.push(event(), thread);
                }
                Step::Skip => {
                    settled.insert(window.next());
                    window.skip();
                }
                Step::Take { member, max } => {
                    let mut taken = Vec::new();
                    window.take(member, max, now, &mut taken);
                    prop_assert!(taken.len() <= max);
                    for attempt in taken {
                        let thread = threads[&attempt.offset];
                        let older = threads.range(..attempt.offset).filter(|(_, of)| **of == thread);
                        if thread != 0 {
                            for (offset, _) in older {
                                prop_assert!(settled.contains(offset), "{offset} is before {}", attempt.offset);
                            }
                        }
                        prop_assert!((1..=PATIENCE.max_attempts).contains(&attempt.number));
                        let last = begun.insert(attempt.offset, attempt.number).unwrap_or_default();
                        prop_assert_eq!(attempt.number, last + 1);
                        let mut before = spans.range((attempt.offset, 0)..(attempt.offset, attempt.number));
                        prop_assert_eq!(
                            attempt.previous.map(|context| context.span_id),
                            before.next_back().map(|(_, span)| *span)
                        );
                        prop_assert_eq!(in_hand.insert(attempt.offset, (member, attempt.number)), None);
                    }
                }
                Step::Forward(which) => {
                    let Some((offset, (_, attempt))) = (!in_hand.is_empty())
                        .then(|| in_hand.iter().nth(which % in_hand.len()).map(|(o, m)| (*o, *m)))
                        .flatten() else { continue };
                    let span = loom_telemetry::ids::new_span_id();
                    spans.insert((offset, attempt), span);
                    window.forwarded(offset, attempt, span);
                }
                Step::Settle { which, verdict } => {
                    let Some((offset, (member, attempt))) = (!in_hand.is_empty())
                        .then(|| in_hand.iter().nth(which % in_hand.len()).map(|(o, m)| (*o, *m)))
                        .flatten() else { continue };
                    let verdict = [Verdict::Ack, Verdict::Ack, Verdict::Retry(None), Verdict::Reject][usize::from(verdict)];
                    in_hand.remove(&offset);
                    let outcome = window.settle(member, offset, attempt, verdict, now);
                    prop_assert!(!matches!(outcome, Settled::Stale));
                    note(outcome, offset, &mut window, &mut dead, &mut settled);
                }
                Step::Leave(member) => {
                    for (offset, outcome) in window.leave(member) {
                        prop_assert_eq!(in_hand.remove(&offset).map(|(of, _)| of), Some(member));
                        note(outcome, offset, &mut window, &mut dead, &mut settled);
                    }
                    prop_assert!(in_hand.values().all(|(of, _)| *of != member));
                }
                Step::Pass(seconds) => {
                    now += Duration::from_secs(seconds);
                    for Late { member, offset, attempt, settled: outcome } in window.pass(now) {
                        prop_assert_eq!(in_hand.remove(&offset), Some((member, attempt)));
                        note(outcome, offset, &mut window, &mut dead, &mut settled);
                    }
                }
                Step::Bury => if let Some(offset) = dead.pop() {
                    let (_, history) = window.dead(offset).expect("it is to be buried");
                    let told: Vec<_> = history.attempts().iter().map(|attempt| attempt.number).collect();
                    prop_assert_eq!(told, (1..=begun[&offset]).collect::<Vec<_>>());
                    for attempt in history.attempts() {
                        let span = spans.get(&(offset, attempt.number)).copied().unwrap_or_default();
                        prop_assert_eq!(attempt.span, span);
                    }
                    window.buried(offset);
                    prop_assert!(window.dead(offset).is_none());
                    prop_assert!(settled.insert(offset));
                },
                Step::Reopen => {
                    dead.clear();
                    let mut tried: BTreeMap<u64, Tried> = window
                        .tried(now, 0, usize::MAX)
                        .into_iter()
                        .map(|tried| (tried.offset, tried))
                        .collect();
                    let mut reopened = Window::new(window.floor(), PATIENCE);
                    for offset in window.floor()..window.next() {
                        let Some(event) = window.event(offset).cloned() else {
                            reopened.skip();
                            continue;
                        };
                        let thread = threads[&offset];
                        let Some(tried) = tried.remove(&offset) else {
                            reopened.push(event, thread);
                            continue;
                        };
                        let stage = tried.stage;
                        prop_assert_eq!(stage == Stage::InHand, in_hand.remove(&offset).is_some());
                        match reopened.push_tried(event, thread, tried, now, 0) {
                            outcome if stage == Stage::InHand => note(outcome, offset, &mut reopened, &mut dead, &mut settled),
                            Settled::Dead => dead.push(offset),
                            outcome => prop_assert_eq!(outcome, Settled::Again),
                        }
                    }
                    prop_assert!(tried.is_empty() && in_hand.is_empty());
                    prop_assert_eq!(reopened.due(), window.rests.peek().map(|Reverse(rest)| rest.at), "rests go on");
                    window = reopened;
                }
            }
            let floor = (0..window.next()).find(|offset| !settled.contains(offset)).unwrap_or(window.next());
            prop_assert_eq!(window.floor(), floor);
            let above: BTreeSet<u64> = window.settled_ranges().into_iter().flatten().collect();
            prop_assert_eq!(above, settled.range(floor..).copied().collect::<BTreeSet<_>>());
            prop_assert!(window.deadlines.len() <= 2 * window.slots.len() + 64);
        }
        prop_assert_eq!(window.floor(), window.next(), "everything came to its end");
        prop_assert_eq!((window.size(), window.threads.len(), window.ready.len()), ((0, 0), 0, 0));
    }
}
