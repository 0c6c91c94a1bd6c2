//! Checks the credit of a connection under schedules that a machine by itself would hardly make; how, says the one of core.
//!
//! The checks were checked. Each of these faults was put in by hand, and found within the schedules of `make test`: not waking
//! outbound in `Link::add_credit`; taking the credit out in `Link::take`, as the control messages are.

#[expect(dead_code, reason = "the library uses the rest")]
mod link;
#[path = "../../core/src/model/sync.rs"]
#[expect(dead_code, unused_imports, reason = "core uses the rest")]
mod sync;

use std::sync::Arc;

use shuttle::future::block_on;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner, thread};

use link::{Control, End, Link};

/// How many schedules a check tries, half of them of either kind.
const SCHEDULES: usize = 2_000;
/// Places at which a schedule by priorities lets somebody overtake.
const OVERTAKINGS: usize = 3;

fn check(run: impl Fn() + Send + Sync + Copy + 'static) {
    let schedules = std::env::var("LOOM_SCHEDULES").map_or(SCHEDULES, |text| {
        text.parse().expect("LOOM_SCHEDULES is a number")
    });
    let half = schedules.div_ceil(2);
    Runner::new(RandomScheduler::new(half), Config::new()).run(run);
    Runner::new(PctScheduler::new(OVERTAKINGS, half), Config::new()).run(run);
}

/// Looks for something to do as outbound does, until there is.
fn look(link: &Link) -> (Control, u32, Option<End>) {
    loop {
        let (control, credit, end) = link.take();
        if !control.is_empty() || credit > 0 || end.is_some() {
            return (control, credit, end);
        }
        block_on(link.outbound_woken());
    }
}

#[test]
fn credit_is_neither_lost_nor_spent_twice() {
    check(|| {
        let link = Arc::new(Link::new(1));
        let agent = thread::spawn({
            let link = Arc::clone(&link);
            move || (1..=3).for_each(|credit| link.add_credit(credit))
        });
        let mut sent = 0;
        while sent < 7 {
            let (_, credit, _) = look(&link);
            // A frame seldom takes all of it.
            let deliveries = credit.min(2);
            link.spend_credit(deliveries);
            sent += deliveries;
        }
        agent.join().expect("no panic");
        assert_eq!((sent, link.take().1), (7, 0));
    });
}

#[test]
fn an_acknowledgement_and_the_end_are_seen() {
    check(|| {
        let link = Arc::new(Link::new(0));
        let inbound = thread::spawn({
            let link = Arc::clone(&link);
            move || {
                link.acknowledge(1, &mut Vec::new(), false);
                link.acknowledge(2, &mut Vec::new(), true);
                block_on(link.ended());
            }
        });
        let mut through = 0;
        while through < 2 {
            let (control, ..) = look(&link);
            assert!(control.acked_through >= through);
            through = through.max(control.acked_through);
        }
        link.end(End::Clean);
        inbound.join().expect("no panic");
        assert!(matches!(look(&link).2, Some(End::Clean)));
    });
}
