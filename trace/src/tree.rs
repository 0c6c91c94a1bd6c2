//! A trace as a tree in pre-order: what every view of a trace begins with.

pub mod waterfall;

use std::collections::{HashMap, HashSet};

use crate::model::{Span, SpanId};

/// One row of the tree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row<'a> {
    /// Distance from the root, 0 for roots.
    pub depth: usize,
    /// What stands in the row.
    pub node: Node<'a>,
    /// Row of the parent; `None` for roots.
    pub parent: Option<usize>,
    /// True when no sibling follows.
    pub is_last: bool,
}

/// What a row stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Node<'a> {
    /// A span.
    Span(&'a Span),
    /// A parent that is named by its children and not there.
    Missing(SpanId),
}

impl<'a> Node<'a> {
    /// The span, unless it is missing.
    pub fn span(&self) -> Option<&'a Span> {
        match self {
            Self::Span(span) => Some(span),
            Self::Missing(_) => None,
        }
    }
}

/// Rows of these spans of one trace: parents before their children, siblings by start. Each span has exactly one row,
/// whatever its parent claims: a missing parent gets a row of its own, and a cycle is cut at its earliest span.
pub fn tree(spans: &[Span]) -> Vec<Row<'_>> {
    let mut walk = Walk::new(spans);
    let known: HashSet<SpanId> = spans.iter().map(|span| span.span_id).collect();
    let mut tops = Vec::new();
    let mut missing: HashMap<SpanId, u64> = HashMap::new();
    for (index, span) in spans.iter().enumerate() {
        match span.parent_span_id {
            None => tops.push((span.start_ns, Place::Span(index))),
            Some(parent) if !known.contains(&parent) => {
                let first = missing.entry(parent).or_insert(u64::MAX);
                *first = span.start_ns.min(*first);
            }
            Some(_) => {}
        }
    }
    tops.extend(
        missing
            .into_iter()
            .map(|(id, first)| (first, Place::Missing(id))),
    );
    tops.sort_unstable();
    walk.descend(tops.into_iter().map(|(_, place)| place).collect());
    // What was not reached hangs in a cycle; from its earliest span all others of it are reached.
    for index in walk.unplaced() {
        if !walk.placed[index] {
            walk.descend(vec![Place::Span(index)]);
        }
    }
    walk.rows
}

/// What a row will stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Span(usize),
    Missing(SpanId),
}

struct Walk<'a> {
    spans: &'a [Span],
    /// Children by their parent, by start.
    children: HashMap<SpanId, Vec<usize>>,
    /// Spans that have a row, or will get one from the stack.
    placed: Vec<bool>,
    rows: Vec<Row<'a>>,
}

impl<'a> Walk<'a> {
    fn new(spans: &'a [Span]) -> Self {
        let mut children: HashMap<SpanId, Vec<usize>> = HashMap::new();
        for (index, span) in spans.iter().enumerate() {
            if let Some(parent) = span.parent_span_id {
                children.entry(parent).or_default().push(index);
            }
        }
        for siblings in children.values_mut() {
            siblings.sort_by_key(|&index| (spans[index].start_ns, spans[index].span_id));
        }
        Self {
            spans,
            children,
            placed: vec![false; spans.len()],
            rows: Vec::with_capacity(spans.len()),
        }
    }

    /// Adds these and all below them. With a stack of its own: a trace can be deeper than a thread's stack.
    fn descend(&mut self, tops: Vec<Place>) {
        let mut stack = Vec::new();
        self.push(&mut stack, tops, 0, None);
        while let Some(row) = stack.pop() {
            let id = match row.node {
                Node::Span(span) => span.span_id,
                Node::Missing(id) => id,
            };
            let parent = self.rows.len();
            self.rows.push(row);
            // Removed, so that of two spans with one id only the first has the children.
            let below = self.children.remove(&id).unwrap_or_default();
            let below = below.into_iter().filter(|&index| !self.placed[index]);
            let below = below.map(Place::Span).collect();
            self.push(&mut stack, below, row.depth + 1, Some(parent));
        }
    }

    /// Puts siblings on the stack, the first on top.
    fn push(
        &mut self,
        stack: &mut Vec<Row<'a>>,
        siblings: Vec<Place>,
        depth: usize,
        parent: Option<usize>,
    ) {
        for (after, place) in siblings.into_iter().rev().enumerate() {
            let node = match place {
                Place::Span(index) => {
                    self.placed[index] = true;
                    Node::Span(&self.spans[index])
                }
                Place::Missing(id) => Node::Missing(id),
            };
            stack.push(Row {
                depth,
                node,
                parent,
                is_last: after == 0,
            });
        }
    }

    /// Spans without a row, by start.
    fn unplaced(&self) -> Vec<usize> {
        let mut unplaced: Vec<usize> = (0..self.spans.len())
            .filter(|&index| !self.placed[index])
            .collect();
        unplaced.sort_by_key(|&index| self.spans[index].start_ns);
        unplaced
    }
}

#[cfg(test)]
#[path = "tree/tree_tests.rs"]
mod tests;
