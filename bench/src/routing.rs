//! How long it takes to find the subscriptions of a topic among ten thousand.

use std::hint::black_box;
use std::time::Instant;

use loom_core::{BusConfig, Event, EventBus, Subscriber, Subscription, Tracer};

use crate::figure::Finding;

const SUBSCRIPTIONS: usize = 10_000;
const LOOKUPS: u32 = 200_000;
/// Topics that take turns, so that no single path stays in the cache of the processor.
const TOPICS: usize = 64;

/// Ten thousand patterns of four levels, each with a wildcard: `*` in the middle or `>` at the end.
pub(crate) struct Routing {
    bus: EventBus,
    _subscriber: Subscriber,
    topics: Vec<String>,
}

impl Routing {
    /// Makes the table.
    ///
    /// # Errors
    /// A pattern is not valid.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let bus = EventBus::new(BusConfig::default(), Tracer::off());
        let patterns: Vec<_> = (0..SUBSCRIPTIONS).map(pattern).collect();
        let subscriber = bus.subscribe(&patterns)?;
        let topics = (0..TOPICS)
            .map(|n| n * (SUBSCRIPTIONS / TOPICS))
            .map(|n| format!("site{}.line{}.sensor{n}.data", n % 10, n % 100))
            .collect();
        Ok(Self {
            bus,
            _subscriber: subscriber,
            topics,
        })
    }

    /// Nanoseconds to walk the table, as for the first event of a topic.
    pub(crate) fn uncached(&self) -> Finding {
        let begin = Instant::now();
        let mut matched = 0;
        for topic in self.topics.iter().cycle().take(LOOKUPS as usize) {
            matched += black_box(self.bus.matching(black_box(topic)));
        }
        per_lookup(begin, matched)
    }

    /// Nanoseconds by a publisher's remembered route, as for every further event of a topic.
    ///
    /// # Errors
    /// A topic is not valid.
    pub(crate) fn cached(&self) -> anyhow::Result<Finding> {
        let mut publisher = self.bus.publisher();
        let topics = self
            .topics
            .iter()
            .map(|topic| Event::check_topic(topic))
            .collect::<Result<Vec<_>, _>>()?;
        let begin = Instant::now();
        let mut matched = 0;
        for topic in topics.iter().cycle().take(LOOKUPS as usize) {
            matched += black_box(publisher.matching(black_box(topic)));
        }
        Ok(per_lookup(begin, matched))
    }
}

fn pattern(n: usize) -> Subscription {
    let (site, line) = (n % 10, n % 100);
    Subscription::to(&if n.is_multiple_of(2) {
        format!("site{site}.*.sensor{n}.data")
    } else {
        format!("site{site}.line{line}.sensor{n}.>")
    })
}

fn per_lookup(begin: Instant, matched: usize) -> Finding {
    let mean = matched as f64 / f64::from(LOOKUPS);
    Finding {
        value: begin.elapsed().as_nanos() as f64 / f64::from(LOOKUPS),
        note: Some(format!("{mean:.1} matches each")),
    }
}
