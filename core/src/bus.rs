//! The event bus: publish = stamp, keep where a stream wants it, offer to each mailbox.
//!
//! Reading the routing table takes no lock, so a stuck subscriber holds up only those who publish to it, and those only
//! for [`BusConfig::publish_wait_ms`]. Changing it copies the changed paths and swaps the table.

use std::sync::Arc;

use arc_swap::ArcSwap;
use loom_proto::topic::validate_pattern;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::config::BusConfig;
use crate::error::{PublishError, SubscribeError};
use crate::event::{Event, EventError};
use crate::instrument::{Tracer, current_context};
use crate::ledger::{AccountId, Ledger, LedgerReport, LedgerSnapshot};
use crate::mailbox::{Doorbell, Mailbox, Offer};
use crate::routing::RoutingTable;
use crate::stream::{Stream, StreamError};
use crate::subscriber::{Subscriber, Subscription};

mod groups;
mod moving;
mod published;
mod routes;
mod waiting;

pub use groups::Fate;
use groups::Groups;
pub use moving::{ActiveGroup, GroupView, ResetError};
pub use published::Published;
use routes::Routes;
pub use waiting::Waiting;

/// A handle on the bus; clones are the same bus.
#[derive(Clone, Debug)]
pub struct EventBus {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: BusConfig,
    table: Arc<ArcSwap<RoutingTable>>,
    /// Held while a new table is made; publishers do not know it.
    change: Mutex<()>,
    tracer: Tracer,
    ledger: Arc<Ledger>,
    streams: Vec<Arc<Stream>>,
    groups: Groups,
}

/// Publishes for one producer. It remembers the route of each topic, so that a steady stream of events is not routed
/// anew each time.
#[derive(Debug)]
pub struct Publisher {
    bus: EventBus,
    routes: Routes,
}

/// How far a publish has come without waiting.
#[derive(Debug)]
pub enum Progress {
    /// Every mailbox has answered.
    Done(Published),
    /// Something is full: go on with [`Waiting::finish`].
    Waiting(Waiting),
}

// ---- EventBus ----

impl EventBus {
    /// A bus that records its spans with `tracer` and keeps nothing.
    pub fn new(config: BusConfig, tracer: Tracer) -> Self {
        Self::over(config, tracer, Vec::new())
    }

    /// A bus that keeps the events of these streams.
    ///
    /// # Errors
    /// Two streams want the same topics.
    pub fn with_streams(
        config: BusConfig,
        tracer: Tracer,
        streams: Vec<Stream>,
    ) -> Result<Self, StreamError> {
        for (index, stream) in streams.iter().enumerate() {
            for other in &streams[..index] {
                stream.check_apart_from(other)?;
            }
        }
        Ok(Self::over(
            config,
            tracer,
            streams.into_iter().map(Arc::new).collect(),
        ))
    }

    fn over(config: BusConfig, tracer: Tracer, streams: Vec<Arc<Stream>>) -> Self {
        let ledger = Arc::new(Ledger::new(config.ledger_topics));
        Self {
            shared: Arc::new(Shared {
                config,
                table: Arc::default(),
                change: Mutex::new(()),
                tracer,
                ledger,
                streams,
                groups: Groups::default(),
            }),
        }
    }

    /// The streams, in the order in which they were given.
    pub fn streams(&self) -> &[Arc<Stream>] {
        &self.shared.streams
    }

    /// Records its spans.
    pub(crate) fn tracer(&self) -> &Tracer {
        &self.shared.tracer
    }

    /// A handle for one producer.
    pub fn publisher(&self) -> Publisher {
        Publisher {
            bus: self.clone(),
            routes: Routes::new(&self.shared.table),
        }
    }

    /// Publishes one event. Its parent is the context that the event carries, else the span that the calling code runs
    /// in. Who publishes often keeps a [`Publisher`].
    ///
    /// # Errors
    /// The event was not taken.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the deliveries that wait for room, and counts them.
    pub async fn publish(&self, event: Event) -> Result<Published, PublishError> {
        let mut published = self.publish_open(event).await?;
        published.end(&self.shared.tracer, &Ok(()));
        Ok(published)
    }

    /// Publishes one event and waits until it counts.
    ///
    /// # Errors
    /// The event was not taken, or the stream that should keep it could not.
    ///
    /// # Cancel safety
    /// Dropping the future may leave the event kept, under a span that is not told.
    pub async fn publish_and_commit(&self, event: Event) -> Result<Published, PublishError> {
        let mut published = self.publish_open(event).await?;
        let kept = published.committed().await;
        published.end(&self.shared.tracer, &kept);
        kept.map(|()| published)
    }

    /// Publishes as far as the mailboxes go; the span may still be open.
    async fn publish_open(&self, mut event: Event) -> Result<Published, PublishError> {
        self.shared.tracer.room().await;
        if event.trace().is_none() {
            event.set_trace(current_context());
        }
        match self.publish_now(event)? {
            Progress::Done(published) => Ok(published),
            Progress::Waiting(waiting) => waiting.finish().await,
        }
    }

    fn publish_now(&self, event: Event) -> Result<Progress, PublishError> {
        let mut mailboxes = Vec::new();
        self.shared
            .table
            .load()
            .matches(event.topic(), &mut mailboxes);
        let stream = self.stream_of(event.topic());
        let account = self.shared.ledger.account(event.topic());
        self.begin(event, account, stream, &mailboxes)
    }

    /// The stream that keeps the events of a topic.
    pub fn stream_of(&self, topic: &str) -> Option<&Arc<Stream>> {
        let mut streams = self.shared.streams.iter();
        streams.find(|stream| stream.wants(topic))
    }

    /// Makes all subscriptions in one step: there is no moment in which only some of them exist.
    ///
    /// # Errors
    /// The first pattern that is not valid; none of them exists then.
    pub fn subscribe(&self, subscriptions: &[Subscription]) -> Result<Subscriber, SubscribeError> {
        let doorbell = Arc::new(Doorbell::default());
        let mailboxes = subscriptions
            .iter()
            .zip(0..)
            .map(|(subscription, slot)| self.mailbox(subscription, &doorbell, slot))
            .collect::<Result<Vec<_>, _>>()?;
        self.change_table(|table| mailboxes.iter().for_each(|mailbox| table.insert(mailbox)));
        Ok(Subscriber::new(self.clone(), doorbell, mailboxes))
    }

    /// Ends subscriptions; an event that is being routed now may still be offered and is counted as lost.
    pub(crate) fn unsubscribe(&self, mailboxes: &[Arc<Mailbox>]) {
        self.change_table(|table| mailboxes.iter().for_each(|mailbox| table.remove(mailbox)));
        for mailbox in mailboxes {
            mailbox.close();
        }
    }

    /// How many subscriptions want a topic now.
    pub fn matching(&self, topic: &str) -> usize {
        let mut mailboxes = Vec::new();
        self.shared.table.load().matches(topic, &mut mailboxes);
        mailboxes.len()
    }

    /// What the books say in total.
    pub fn stats(&self) -> LedgerSnapshot {
        self.report().total
    }

    /// What the books say, topic by topic.
    pub fn report(&self) -> LedgerReport {
        self.shared.ledger.report(|in_flight| {
            let table = self.shared.table.load();
            table.for_each(&mut |mailbox| mailbox.count(in_flight));
            for group in self.groups() {
                group.count(in_flight);
            }
        })
    }

    /// The books themselves, for those who carry deliveries on.
    pub fn ledger(&self) -> &Ledger {
        &self.shared.ledger
    }

    /// The limits.
    pub fn config(&self) -> &BusConfig {
        &self.shared.config
    }

    fn mailbox(
        &self,
        subscription: &Subscription,
        doorbell: &Arc<Doorbell>,
        slot: u32,
    ) -> Result<Arc<Mailbox>, SubscribeError> {
        let Subscription {
            id,
            pattern,
            qos,
            capacity,
            acknowledged: _,
        } = subscription;
        validate_pattern(pattern).map_err(|source| SubscribeError::Pattern {
            pattern: pattern.clone(),
            source,
        })?;
        let limit = self.shared.config.capacity(*qos);
        let capacity = if *capacity == 0 {
            limit
        } else {
            limit.min(*capacity)
        };
        let (pattern, ledger) = (pattern.as_str().into(), Arc::clone(&self.shared.ledger));
        Ok(Arc::new(Mailbox::new(
            *id,
            pattern,
            *qos,
            capacity,
            Arc::clone(doorbell),
            slot,
            ledger,
        )))
    }

    fn change_table(&self, change: impl FnOnce(&mut RoutingTable)) {
        let _one_at_a_time = self.shared.change.lock();
        let mut table = RoutingTable::clone(&self.shared.table.load());
        table.generation += 1;
        change(&mut table);
        self.shared.table.store(Arc::new(table));
    }

    /// The hot path, step by step.
    fn begin(
        &self,
        mut event: Event,
        account: AccountId,
        stream: Option<&Arc<Stream>>,
        mailboxes: &[Arc<Mailbox>],
    ) -> Result<Progress, PublishError> {
        let shared = &*self.shared;

        // An event that goes round in circles must end somewhere.
        let ttl = if event.ttl() == 0 {
            shared.config.default_ttl
        } else {
            event.ttl()
        };
        if event.hop() >= ttl {
            return Err(PublishError::Expired {
                hop: event.hop(),
                ttl,
            });
        }

        // Whoever handles the event next is a child of this span.
        let parent = event.trace();
        let span = shared.tracer.start(parent, false);
        event.set_published(&span, account);

        // A stream has it before anybody else, with the context under which it will be handled, also after a crash.
        let mut stored = None;
        if let Some(stream) = stream {
            stored = stream.append(&mut event)?;
            if stored.is_none() {
                event.set_trace(parent);
                return Ok(Progress::Waiting(Waiting::for_the_disk(
                    self, event, stream,
                )));
            }
        }
        if stored.as_ref().is_some_and(|stored| stored.is_duplicate) {
            let published = Published {
                matched: 0,
                lost: 0,
                trace: span.context(),
                stored,
                open: None,
            };
            return Ok(Progress::Done(published.with_span(
                span,
                &shared.tracer,
                &event,
            )));
        }

        // Booked before it is offered: a subscriber may have it before this line's end.
        let mut published = Published {
            matched: mailboxes.len() as u32,
            lost: 0,
            trace: span.context(),
            stored,
            open: None,
        };
        if mailboxes.is_empty() {
            match &published.stored {
                Some(_) => shared.ledger.published(account, 0),
                None => shared.ledger.filtered(account),
            }
            return Ok(Progress::Done(published.with_span(
                span,
                &shared.tracer,
                &event,
            )));
        }
        shared.ledger.published(account, mailboxes.len());

        // One event, shared by all who want it.
        let event = Arc::new(event);
        let mut full = Vec::new();
        for mailbox in mailboxes {
            match mailbox.offer(&event) {
                Offer::Taken => {}
                Offer::Closed => published.lost += 1,
                Offer::Full => full.push(Arc::clone(mailbox)),
            }
        }
        if full.is_empty() {
            return Ok(Progress::Done(published.with_span(
                span,
                &shared.tracer,
                &event,
            )));
        }

        // Backpressure: the publisher waits, nobody else.
        let waiting = Waiting::for_room(self, event, span, published, full);
        Ok(Progress::Waiting(waiting))
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.shared.config.publish_wait_ms
    }
}

// ---- Publisher ----

impl Publisher {
    /// Checks a topic and gives it the form in which the bus shares it; a topic that was seen before costs a look-up.
    ///
    /// # Errors
    /// Names the segment at fault.
    pub fn topic(&mut self, text: &str) -> Result<Arc<str>, EventError> {
        match self.routes.topic(text) {
            Some(topic) => Ok(Arc::clone(topic)),
            None => Event::check_topic(text),
        }
    }

    /// How many subscriptions want a topic now, by this publisher's remembered route.
    pub fn matching(&mut self, topic: &Arc<str>) -> usize {
        self.routes.find(&self.bus, topic).mailboxes.len()
    }

    /// Publishes as far as it goes without waiting; who does so [ends](Published::end) the span. [`Tracer::has_room`] tells whether its spans would be kept.
    ///
    /// # Errors
    /// The event was not taken.
    pub fn publish_now(&mut self, event: Event) -> Result<Progress, PublishError> {
        let route = self.routes.find(&self.bus, event.topic());
        let stream = route.stream.as_ref();
        self.bus
            .begin(event, route.account, stream, &route.mailboxes)
    }

    /// Publishes one event, and waits for room where it must.
    ///
    /// # Errors
    /// The event was not taken.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the deliveries that wait for room, and counts them.
    pub async fn publish(&mut self, event: Event) -> Result<Published, PublishError> {
        self.bus.shared.tracer.room().await;
        let mut published = match self.publish_now(event)? {
            Progress::Done(published) => published,
            Progress::Waiting(waiting) => waiting.finish().await?,
        };
        published.end(&self.bus.shared.tracer, &Ok(()));
        Ok(published)
    }
}
