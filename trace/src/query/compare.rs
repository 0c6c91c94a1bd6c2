//! Two traces by their structure: spans with the same path of services and names are one node. A pure function.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::Serialize;
use utoipa::ToSchema;

use crate::model::SpanId;
use crate::outline::Outline;

/// Nodes of one answer. More are no comparison that anybody reads.
const MAX_NODES: usize = 2_000;
/// A longer path is a loop of agents that call each other, and all paths of it together would be long.
const MAX_DEPTH: usize = 64;
/// Of services and names only so much is told, and compared.
const MAX_CHARS: usize = 200;

/// What two traces have in common, and what one of them has alone.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Comparison {
    /// Each after the one that it stands below.
    pub nodes: Vec<Node>,
    /// A trace has more spans, or deeper ones, than are compared. What is far from the root is missing.
    pub truncated: bool,
}

/// The spans of one path.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ComparedNode)]
pub struct Node {
    /// From a root down to these spans, `service: name` each.
    #[schema(value_type = Vec<String>)]
    pub path: Vec<Arc<str>>,
    /// What the first trace has there.
    pub a: Option<Side>,
    /// What the second has.
    pub b: Option<Side>,
}

/// Spans of one trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
#[schema(as = ComparedSide)]
pub struct Side {
    /// How many there are.
    pub count: u64,
    /// How long all of them took together, in ns.
    pub duration_ns: u64,
}

/// Compares two traces. Nodes side by side are in the order of their begin after that of their trace.
pub fn compare(a: &Outline, b: &Outline) -> Comparison {
    let mut tree = Tree::default();
    let is_whole = [(0, a), (1, b)].map(|(side, trace)| tree.add(side, trace));
    let is_known = !a.truncated && !b.truncated;
    let (nodes, all) = tree.finish();
    Comparison {
        nodes,
        truncated: !(all && is_known && is_whole == [true, true]),
    }
}

/// Where the paths of both traces are put together. Node 0 stands above all roots.
struct Tree {
    nodes: Vec<Place>,
    /// The child of a node by its label.
    children: FxHashMap<(usize, usize), usize>,
    labels: Vec<Arc<str>>,
    label_of: HashMap<Arc<str>, usize>,
}

/// A node while it is gathered.
#[derive(Clone)]
struct Place {
    parent: usize,
    depth: usize,
    label: usize,
    /// Its earliest span, in ns after the begin of that span's trace.
    begin: u64,
    sides: [Option<Side>; 2],
}

impl Default for Tree {
    fn default() -> Self {
        let above_all = Place {
            parent: 0,
            depth: 0,
            label: 0,
            begin: 0,
            sides: [None; 2],
        };
        Self {
            nodes: vec![above_all],
            children: FxHashMap::default(),
            labels: Vec::new(),
            label_of: HashMap::new(),
        }
    }
}

impl Tree {
    /// Adds the spans of a trace; false where some are too deep.
    fn add(&mut self, side: usize, trace: &Outline) -> bool {
        let labels = self.labels_of(trace);
        let start_ns = trace.start_ns();
        let below = Below::of(trace);
        let mut is_added = vec![false; trace.spans.len()];
        let mut is_whole = true;
        // What no root leads to is a circle: it is entered where it begins.
        for root in below.roots.iter().copied().chain(0..trace.spans.len()) {
            let mut open = vec![(root, 0)];
            while let Some((place, parent)) = open.pop() {
                if std::mem::replace(&mut is_added[place], true) {
                    continue;
                }
                if self.nodes[parent].depth == MAX_DEPTH {
                    is_whole = false;
                    // What stands below it is left out with it.
                    open.extend(below.children(place).map(|child| (child, parent)));
                    continue;
                }
                let span = &trace.spans[place];
                let node = self.child(parent, labels[place]);
                let of_node = &mut self.nodes[node];
                of_node.begin = of_node.begin.min(span.start_ns - start_ns);
                let sum = of_node.sides[side].get_or_insert_default();
                sum.count += 1;
                let took_ns = span.end_ns.saturating_sub(span.start_ns);
                sum.duration_ns = sum.duration_ns.saturating_add(took_ns);
                open.extend(below.children(place).map(|child| (child, node)));
            }
        }
        is_whole
    }

    /// The label of each span.
    fn labels_of(&mut self, trace: &Outline) -> Vec<usize> {
        let mut known: FxHashMap<(u32, u32), usize> = FxHashMap::default();
        let spans = trace.spans.iter();
        spans
            .map(|span| {
                let label = known.entry((span.service, span.name));
                *label.or_insert_with(|| {
                    let service = &trace.services[span.service as usize];
                    let name = &trace.names[span.name as usize];
                    self.label(&format!("{}: {}", short(service), short(name)))
                })
            })
            .collect()
    }

    fn label(&mut self, text: &str) -> usize {
        if let Some(label) = self.label_of.get(text) {
            return *label;
        }
        let text: Arc<str> = text.into();
        self.labels.push(Arc::clone(&text));
        self.label_of.insert(text, self.labels.len() - 1);
        self.labels.len() - 1
    }

    fn child(&mut self, parent: usize, label: usize) -> usize {
        let next = self.nodes.len();
        let child = *self.children.entry((parent, label)).or_insert(next);
        if child == next {
            self.nodes.push(Place {
                parent,
                depth: self.nodes[parent].depth + 1,
                label,
                begin: u64::MAX,
                sides: [None; 2],
            });
        }
        child
    }

    /// The nodes that are told, and whether these are all.
    fn finish(self) -> (Vec<Node>, bool) {
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        for (place, node) in self.nodes.iter().enumerate().skip(1) {
            children[node.parent].push(place);
        }
        // By nothing that depends on which trace came first.
        let order = |&place: &usize| {
            let node = &self.nodes[place];
            (node.begin, &self.labels[node.label])
        };
        for siblings in &mut children {
            siblings.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
        }
        // Level by level from the roots, until there are enough.
        let mut is_told = vec![false; self.nodes.len()];
        let mut next = VecDeque::from([0]);
        let mut room = MAX_NODES + 1;
        while let Some(place) = next.pop_front().filter(|_| room > 0) {
            is_told[place] = true;
            room -= 1;
            next.extend(&children[place]);
        }
        let is_all = is_told.iter().all(|told| *told);
        let mut nodes = Vec::new();
        let mut path = Vec::new();
        let mut open: Vec<usize> = children[0].iter().rev().copied().collect();
        while let Some(place) = open.pop() {
            if !is_told[place] {
                continue;
            }
            let node = &self.nodes[place];
            path.truncate(node.depth - 1);
            path.push(Arc::clone(&self.labels[node.label]));
            let [a, b] = node.sides;
            nodes.push(Node {
                path: path.clone(),
                a,
                b,
            });
            open.extend(children[place].iter().rev());
        }
        (nodes, is_all)
    }
}

/// Which spans stand below which.
struct Below {
    roots: Vec<usize>,
    /// First child and next sibling of each span, the latest first.
    first: Vec<Option<usize>>,
    next: Vec<Option<usize>>,
}

impl Below {
    fn of(trace: &Outline) -> Self {
        let place_of: FxHashMap<SpanId, usize> = trace
            .spans
            .iter()
            .enumerate()
            .map(|(place, span)| (span.span_id, place))
            .collect();
        let mut below = Self {
            roots: Vec::new(),
            first: vec![None; trace.spans.len()],
            next: vec![None; trace.spans.len()],
        };
        for (place, span) in trace.spans.iter().enumerate() {
            let parent = span.parent_span_id.and_then(|id| place_of.get(&id));
            match parent {
                Some(&parent) => {
                    below.next[place] = below.first[parent].replace(place);
                }
                None => below.roots.push(place),
            }
        }
        below
    }

    fn children(&self, place: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(self.first[place], |place| self.next[*place])
    }
}

fn short(text: &str) -> &str {
    let end = text.char_indices().nth(MAX_CHARS).map(|(end, _)| end);
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
