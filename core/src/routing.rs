//! Which mailboxes want a topic: a trie of segments, copied along the changed path, read without a lock.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::mailbox::Mailbox;

/// An immutable snapshot. Subscribing makes a new one that shares all nodes but those on the changed paths.
#[derive(Clone, Debug, Default)]
pub(crate) struct RoutingTable {
    /// Grows with each change: what was routed by another generation must be routed again.
    pub(crate) generation: u64,
    root: Arc<Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// Patterns that end here.
    exact: Vec<Arc<Mailbox>>,
    /// Patterns that end with `>` below here.
    tail: Vec<Arc<Mailbox>>,
    /// `*`.
    any: Option<Arc<Node>>,
    named: FxHashMap<Box<str>, Arc<Node>>,
}

impl RoutingTable {
    /// Appends every mailbox whose pattern wants `topic`.
    pub(crate) fn matches(&self, topic: &str, into: &mut Vec<Arc<Mailbox>>) {
        self.root.matches(topic, into);
    }

    pub(crate) fn insert(&mut self, mailbox: &Arc<Mailbox>) {
        let (node, tail) = Self::walk(&mut self.root, mailbox.pattern());
        let node = Arc::make_mut(node);
        if tail {
            &mut node.tail
        } else {
            &mut node.exact
        }
        .push(Arc::clone(mailbox));
    }

    pub(crate) fn remove(&mut self, mailbox: &Arc<Mailbox>) {
        let mut segments: Vec<_> = mailbox.pattern().split('.').collect();
        let tail = segments.pop_if(|last| *last == ">").is_some();
        Arc::make_mut(&mut self.root).remove(&segments, tail, mailbox);
    }

    /// Every mailbox, in no order.
    pub(crate) fn for_each(&self, visit: &mut impl FnMut(&Arc<Mailbox>)) {
        self.root.for_each(visit);
    }

    /// The node of a pattern, made where it is missing, and whether the pattern ends with `>`.
    fn walk<'a>(root: &'a mut Arc<Node>, pattern: &str) -> (&'a mut Arc<Node>, bool) {
        let mut node = root;
        for segment in pattern.split('.') {
            node = match segment {
                ">" => return (node, true),
                "*" => Arc::make_mut(node).any.get_or_insert_default(),
                named => Arc::make_mut(node).named.entry(named.into()).or_default(),
            };
        }
        (node, false)
    }
}

impl Node {
    fn matches(&self, topic: &str, into: &mut Vec<Arc<Mailbox>>) {
        into.extend_from_slice(&self.tail);
        let (segment, rest) = match topic.split_once('.') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (topic, None),
        };
        for next in [self.named.get(segment), self.any.as_ref()]
            .into_iter()
            .flatten()
        {
            match rest {
                Some(rest) => next.matches(rest, into),
                None => into.extend_from_slice(&next.exact),
            }
        }
    }

    fn remove(&mut self, segments: &[&str], tail: bool, mailbox: &Arc<Mailbox>) {
        let Some((segment, rest)) = segments.split_first() else {
            let list = if tail {
                &mut self.tail
            } else {
                &mut self.exact
            };
            list.retain(|other| !Arc::ptr_eq(other, mailbox));
            return;
        };
        let next = if *segment == "*" {
            self.any.as_mut()
        } else {
            self.named.get_mut(*segment)
        };
        let Some(next) = next else { return };
        let next = Arc::make_mut(next);
        next.remove(rest, tail, mailbox);
        // Inboxes come and go for as long as the server runs: an empty node must not stay.
        if next.is_empty() {
            if *segment == "*" {
                self.any = None;
            } else {
                self.named.remove(*segment);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.tail.is_empty() && self.any.is_none() && self.named.is_empty()
    }

    fn for_each(&self, visit: &mut impl FnMut(&Arc<Mailbox>)) {
        self.exact.iter().chain(&self.tail).for_each(&mut *visit);
        for node in self.any.iter().chain(self.named.values()) {
            node.for_each(visit);
        }
    }
}

#[cfg(test)]
mod tests {
    use loom_proto::topic;
    use proptest::prelude::*;

    use super::*;
    use crate::config::Qos;
    use crate::ledger::Ledger;
    use crate::mailbox::Doorbell;

    fn mailbox(pattern: &str) -> Arc<Mailbox> {
        Arc::new(Mailbox::new(
            0,
            pattern.into(),
            Qos::Batched,
            1,
            Arc::new(Doorbell::default()),
            0,
            Arc::new(Ledger::new(0)),
        ))
    }

    fn matching(table: &RoutingTable, topic: &str) -> Vec<String> {
        let mut found = Vec::new();
        table.matches(topic, &mut found);
        let mut patterns: Vec<_> = found
            .iter()
            .map(|mailbox| mailbox.pattern().to_string())
            .collect();
        patterns.sort_unstable();
        patterns
    }

    #[test]
    fn a_snapshot_does_not_see_later_changes() {
        let mut table = RoutingTable::default();
        table.insert(&mailbox("a.b"));
        let before = table.clone();
        table.insert(&mailbox("a.*"));
        assert_eq!(matching(&before, "a.b"), ["a.b"]);
        assert_eq!(matching(&table, "a.b"), ["a.*", "a.b"]);
    }

    #[test]
    fn removing_all_leaves_no_node_behind() {
        let mut table = RoutingTable::default();
        let mailboxes: Vec<_> = ["a.b", "a.b", "a.*.c", "a.>", ">", "*"].map(mailbox).into();
        for mailbox in &mailboxes {
            table.insert(mailbox);
        }
        for mailbox in &mailboxes {
            table.remove(mailbox);
        }
        assert!(table.root.is_empty());
    }

    fn segments(choice: &'static str) -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(choice, 1..5)
    }

    proptest! {
        #[test]
        fn the_trie_agrees_with_the_definition(
            patterns in prop::collection::vec((segments("[ab*]"), any::<bool>()), 0..20),
            removed in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
            topic in segments("[ab]"),
        ) {
            let topic = topic.join(".");
            let mut mailboxes: Vec<_> = patterns
                .iter()
                .map(|(segments, tail)| mailbox(&(segments.join(".") + if *tail { ".>" } else { "" })))
                .collect();
            let mut table = RoutingTable::default();
            for mailbox in &mailboxes {
                table.insert(mailbox);
            }
            for index in removed {
                if !mailboxes.is_empty() {
                    let gone = mailboxes.swap_remove(index.index(mailboxes.len()));
                    table.remove(&gone);
                }
            }
            let mut expected: Vec<_> = mailboxes
                .iter()
                .map(|mailbox| mailbox.pattern().to_string())
                .filter(|pattern| topic::matches(pattern, &topic))
                .collect();
            expected.sort_unstable();
            prop_assert_eq!(matching(&table, &topic), expected);
        }
    }
}
