//! The books add up, whatever is done to the bus: on the account of each topic, and by what an observer has counted himself.

use std::collections::BTreeMap;
use std::time::Duration;

use loom_core::bus::{Progress, Waiting};
use loom_core::ledger::INBOXES;
use loom_core::{
    BusConfig, Delivery, DropReason, Event, EventBus, LedgerReport, LedgerSnapshot, Publisher, Qos,
    Subscriber, Subscription, Tracer,
};
use loom_proto::topic::is_inbox;
use proptest::prelude::*;
use proptest::sample::Index;
use tokio::time::timeout;

type Figures = BTreeMap<String, u64>;

const PATIENCE: Duration = Duration::from_secs(20);
const TOPICS: [&str; 6] = ["a", "b", "c.x", "c.y", "_inbox.one", "_inbox.two"];
const PATTERNS: [&str; 7] = ["a", "b", "*", "c.*", "c.>", "_inbox.one", ">"];

#[derive(Clone, Debug)]
enum Step {
    Subscribe(Vec<(&'static str, Qos)>),
    Leave(Index),
    Publish(&'static str),
    Take(Index, usize),
    /// What was taken last does not arrive.
    Lose(Index),
    /// A publisher that waits for room looks once more, and gives up if there is none.
    GoOn(Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<Index>;
    let qos = prop::sample::select(Qos::ALL.to_vec());
    let pattern = prop::sample::select(&PATTERNS[..]);
    let subscriptions = prop::collection::vec((pattern, qos), 1..4);
    let step = prop_oneof![
        2 => subscriptions.prop_map(Step::Subscribe),
        1 => index().prop_map(Step::Leave),
        8 => prop::sample::select(&TOPICS[..]).prop_map(Step::Publish),
        4 => (index(), 0..5_usize).prop_map(|(who, max)| Step::Take(who, max)),
        1 => index().prop_map(Step::Lose),
        2 => index().prop_map(Step::GoOn),
    ];
    prop::collection::vec(step, 0..80)
}

/// A bus, and what an observer knows of it.
struct Room {
    bus: EventBus,
    publisher: Publisher,
    subscribers: Vec<(Subscriber, Vec<Delivery>)>,
    waiting: Vec<Waiting>,
    events: Figures,
    taken: Figures,
    lost: u64,
}

impl Room {
    fn new() -> Self {
        let bus = EventBus::new(
            BusConfig {
                realtime_capacity: 2,
                batched_capacity: 2,
                background_capacity: 3,
                ..BusConfig::default()
            },
            Tracer::off(),
        );
        Self {
            publisher: bus.publisher(),
            bus,
            subscribers: Vec::new(),
            waiting: Vec::new(),
            events: BTreeMap::new(),
            taken: BTreeMap::new(),
            lost: 0,
        }
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Subscribe(wanted) => {
                let wanted: Vec<_> = wanted
                    .iter()
                    .map(|(pattern, qos)| subscription_of(pattern, *qos))
                    .collect();
                let subscriber = self.bus.subscribe(&wanted).expect("valid");
                self.subscribers.push((subscriber, Vec::new()));
            }
            Step::Publish(topic) => self.publish(topic),
            Step::Leave(who) if !self.subscribers.is_empty() => {
                self.subscribers
                    .swap_remove(who.index(self.subscribers.len()));
            }
            Step::Take(who, max) if !self.subscribers.is_empty() => {
                let at = who.index(self.subscribers.len());
                let (subscriber, taken) = &mut self.subscribers[at];
                taken.clear();
                subscriber.try_recv_many(taken, *max);
                for delivery in taken {
                    *self
                        .taken
                        .entry(account(delivery.event.topic()))
                        .or_default() += 1;
                }
            }
            Step::Lose(who) if !self.subscribers.is_empty() => {
                let at = who.index(self.subscribers.len());
                let taken = std::mem::take(&mut self.subscribers[at].1);
                self.lost += taken.len() as u64;
                let ledger = self.bus.ledger();
                ledger.undelivered(DropReason::ConnectionLost, &taken);
                for delivery in taken {
                    *self
                        .taken
                        .entry(account(delivery.event.topic()))
                        .or_default() -= 1;
                }
            }
            Step::GoOn(who) if !self.waiting.is_empty() => {
                let waiting = self.waiting.swap_remove(who.index(self.waiting.len()));
                // Time stands still, so that the publisher looks once and gives up.
                drop(timeout(Duration::ZERO, waiting.finish()).await);
            }
            _ => {}
        }
    }

    fn publish(&mut self, topic: &str) {
        let event = Event::on(topic, "").expect("valid");
        if let Progress::Waiting(waiting) = self.publisher.publish_now(event).expect("taken") {
            self.waiting.push(waiting);
        }
        *self.events.entry(account(topic)).or_default() += 1;
    }

    fn check(&self) {
        let report = self.bus.report();
        assert!(
            report.is_balanced() && report.total.is_balanced(),
            "{report:#?}"
        );
        assert!(report.is_quiet);
        assert_eq!(
            of(&report, |account| account.events),
            self.events,
            "{report:#?}"
        );
        let mut taken = self.taken.clone();
        taken.retain(|_, deliveries| *deliveries > 0);
        assert_eq!(
            of(&report, |account| account.delivered),
            taken,
            "{report:#?}"
        );
        assert_eq!(
            report.total.dropped[DropReason::ConnectionLost as usize],
            self.lost
        );
        assert_eq!(self.bus.stats(), report.total);
    }
}

fn subscription_of(pattern: &str, qos: Qos) -> Subscription {
    Subscription {
        qos,
        ..Subscription::to(pattern)
    }
}

/// The accounts on which a figure is not 0.
fn of(report: &LedgerReport, figure: fn(&LedgerSnapshot) -> u64) -> Figures {
    let figures = report.topics.iter();
    figures
        .map(|(topic, account)| (topic.to_string(), figure(account)))
        .filter(|(_, figure)| *figure > 0)
        .collect()
}

/// The name of a topic's account.
fn account(topic: &str) -> String {
    let name = if is_inbox(topic) { INBOXES } else { topic };
    name.to_owned()
}

proptest! {
    #[test]
    fn the_books_add_up_after_each_step(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let mut room = Room::new();
            for step in &steps {
                room.step(step).await;
                room.check();
            }
            room.waiting.clear();
            room.subscribers.clear();
            room.check();
            prop_assert_eq!(room.bus.stats().in_flight, 0);
            Ok(())
        })?;
    }
}

/// What is booked while others book is not lost either; the books of a busy moment may not fit, those of a quiet one do.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_books_add_up_after_a_crowd_has_gone() {
    const PUBLISHERS: usize = 4;
    const EVENTS: u64 = 2_000;
    let bus = EventBus::new(BusConfig::default(), Tracer::off());
    let mut realtime = bus
        .subscribe(&[subscription_of(">", Qos::Realtime)])
        .expect("valid");
    let mut batched = bus
        .subscribe(&[subscription_of("crowd.*", Qos::Batched)])
        .expect("valid");
    let mut crowd = tokio::task::JoinSet::new();
    for number in 0..PUBLISHERS {
        let mut publisher = bus.publisher();
        crowd.spawn(async move {
            for _ in 0..EVENTS {
                for topic in [format!("crowd.{number}"), "crowd.all".to_owned()] {
                    let event = Event::on(&topic, "").expect("valid");
                    publisher.publish(event).await.expect("taken");
                }
            }
        });
    }
    let taking = tokio::spawn(async move {
        let (mut some, mut more) = (Vec::new(), Vec::new());
        loop {
            tokio::select! {
                _ = batched.recv_many(&mut some, 7) => {}
                _ = realtime.recv_many(&mut more, 7) => {}
            }
            if some.len() as u64 == 2 * EVENTS * PUBLISHERS as u64 {
                return;
            }
        }
    });
    crowd.join_all().await;
    timeout(PATIENCE, taking)
        .await
        .expect("in time")
        .expect("no panic");
    let report = bus.report();
    assert!(report.is_balanced() && report.is_quiet, "{report:#?}");
    assert_eq!(report.total.events, 2 * EVENTS * PUBLISHERS as u64);
    let all = report.of("crowd.all").expect("an account");
    assert_eq!(all.published, 2 * EVENTS * PUBLISHERS as u64);
}
