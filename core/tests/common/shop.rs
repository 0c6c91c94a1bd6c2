//! A bus with a stream of orders and one of dead letters, and workers that share a group.

#![allow(dead_code, reason = "each test crate uses a part of it")]

use std::sync::Arc;
use std::time::Duration;

use loom_core::{
    Acknowledged, Attempt, BusConfig, Event, EventBus, GroupConfig, GroupMember, Journal, Stream,
    StreamConfig, SubscribeError, Tracer, Verdict,
};
use loom_proto::v1;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::held_journal::HeldJournal;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const NO_REST: Verdict = Verdict::Retry(Some(Duration::ZERO));

/// A bus whose journal commits at once when it is told to publish.
pub(crate) struct Shop {
    pub(crate) bus: EventBus,
    pub(crate) orders: Arc<HeldJournal>,
    pub(crate) dead: Arc<HeldJournal>,
}

pub(crate) struct Worker {
    pub(crate) member: GroupMember,
    pub(crate) bell: Arc<Notify>,
}

impl Shop {
    pub(crate) fn open() -> Self {
        Self::over(HeldJournal::new(10_000))
    }

    pub(crate) fn over(orders: Arc<HeldJournal>) -> Self {
        Self::between(orders, HeldJournal::new(10_000))
    }

    pub(crate) fn between(orders: Arc<HeldJournal>, dead: Arc<HeldJournal>) -> Self {
        Self::traced(orders, dead, Tracer::off())
    }

    pub(crate) fn traced(orders: Arc<HeldJournal>, dead: Arc<HeldJournal>, tracer: Tracer) -> Self {
        let stream = |name: &str, topic: &str, journal: &Arc<HeldJournal>| {
            let config = StreamConfig::new(name, &[topic]);
            Stream::open(config, Arc::clone(journal) as Arc<dyn Journal>).expect("valid")
        };
        let streams = vec![
            stream("orders", "orders.>", &orders),
            stream("dlq", "dlq.>", &dead),
        ];
        let config = BusConfig {
            groups: GroupConfig {
                first_rest: Duration::from_millis(1),
                save_interval: Duration::from_millis(1),
                max_groups: 4,
                ..GroupConfig::default()
            },
            ..BusConfig::default()
        };
        let bus = EventBus::with_streams(config, tracer, streams).expect("apart");
        Self { bus, orders, dead }
    }

    pub(crate) async fn order(&self, topic: &str, thread_id: &str, payload: &str) {
        let event = v1::Event {
            topic: topic.to_owned(),
            payload: payload.to_owned().into(),
            envelope: Some(v1::Envelope {
                thread_id: thread_id.to_owned(),
                ..v1::Envelope::default()
            }),
            ..v1::Event::default()
        };
        let published = self
            .bus
            .publish(Event::new(event).expect("valid"))
            .await
            .expect("taken");
        self.orders.commit();
        published
            .stored
            .expect("it is kept")
            .committed()
            .await
            .expect("committed");
    }

    /// Waits for a dead letter, and keeps it.
    pub(crate) async fn letter_is_kept(&self) {
        timeout(PATIENCE, async {
            while self.dead.waiting() == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("its letter is written");
        self.dead.commit();
    }

    pub(crate) fn worker_in(&self, group: &str, pattern: &str) -> Result<Worker, SubscribeError> {
        let wanted = Acknowledged {
            group: group.to_owned(),
            max_attempts: 3,
            ..Acknowledged::default()
        };
        self.worker_as(&wanted, pattern)
    }

    pub(crate) fn worker_as(
        &self,
        wanted: &Acknowledged,
        pattern: &str,
    ) -> Result<Worker, SubscribeError> {
        let bell = Arc::new(Notify::new());
        let member = self.bus.join(pattern, wanted, &bell)?;
        Ok(Worker { member, bell })
    }

    pub(crate) fn worker(&self) -> Worker {
        self.worker_in("workers", "orders.>").expect("a member")
    }
}

impl Worker {
    /// Waits until it has so many in hand.
    pub(crate) async fn takes(&mut self, count: usize) -> Vec<Attempt> {
        let mut taken = Vec::new();
        timeout(PATIENCE, async {
            loop {
                self.member.take(count - taken.len(), &mut taken);
                if taken.len() == count {
                    return;
                }
                self.bell.notified().await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("only {} of {count}", taken.len()));
        taken
    }

    pub(crate) async fn takes_one(&mut self) -> Attempt {
        self.takes(1).await.remove(0)
    }

    pub(crate) fn settle(&self, attempt: &Attempt, verdict: Verdict) {
        let why = || "no stock".to_owned();
        self.member
            .settle(attempt.offset, attempt.number, verdict, why);
    }
}

pub(crate) fn text(attempt: &Attempt) -> String {
    let payload = attempt.event.decode().expect("valid").payload;
    String::from_utf8(payload.to_vec()).expect("text")
}
