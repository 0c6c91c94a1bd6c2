//! The routes that a publisher remembers.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustc_hash::FxHashMap;

use super::EventBus;
use crate::ledger::AccountId;
use crate::mailbox::Mailbox;
use crate::routing::RoutingTable;
use crate::stream::Stream;

/// See the module.
#[derive(Debug)]
pub(super) struct Routes {
    table: arc_swap::Cache<Arc<ArcSwap<RoutingTable>>, Arc<RoutingTable>>,
    known: Vec<Route>,
    /// Where in `known` the route of a topic is.
    places: FxHashMap<Arc<str>, usize>,
}

/// Where the events of a topic go, and where they are booked.
#[derive(Debug)]
pub(super) struct Route {
    generation: u64,
    pub(super) account: AccountId,
    pub(super) stream: Option<Arc<Stream>>,
    pub(super) mailboxes: Vec<Arc<Mailbox>>,
}

impl Routes {
    pub(super) fn new(table: &Arc<ArcSwap<RoutingTable>>) -> Self {
        Self {
            table: arc_swap::Cache::new(Arc::clone(table)),
            known: Vec::new(),
            places: FxHashMap::default(),
        }
    }

    /// A topic as it was given when its route was remembered.
    pub(super) fn topic(&self, text: &str) -> Option<&Arc<str>> {
        self.places.get_key_value(text).map(|(topic, _)| topic)
    }

    /// The route of a topic, as the routing table is now.
    pub(super) fn find(&mut self, bus: &EventBus, topic: &Arc<str>) -> &Route {
        let place = self.place(bus, topic);
        &self.known[place]
    }

    fn place(&mut self, bus: &EventBus, topic: &Arc<str>) -> usize {
        let table = self.table.load();
        let known = self.places.get(topic).copied();
        if let Some(place) = known
            && self.known[place].generation == table.generation
        {
            return place;
        }
        let mut mailboxes = Vec::new();
        table.matches(topic, &mut mailboxes);
        let route = Route {
            generation: table.generation,
            account: bus.shared.ledger.account(topic),
            stream: bus.stream_of(topic).cloned(),
            mailboxes,
        };
        if let Some(place) = known {
            self.known[place] = route;
            return place;
        }
        if self.known.len() >= bus.shared.config.cached_topics {
            self.known.clear();
            self.places.clear();
        }
        self.known.push(route);
        let place = self.known.len() - 1;
        self.places.insert(Arc::clone(topic), place);
        place
    }
}
