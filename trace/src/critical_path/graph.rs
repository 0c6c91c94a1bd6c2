//! Who waits for whom, and what has caused what, by places of spans.

use std::collections::HashMap;
use std::mem;

use loom_proto::semconv::attribute;

use super::Part;
use crate::model::{SpanId, SpanKind, Value};
use crate::outline::{GenAi, Outline, OutlineSpan, Step};

/// Handlers of one delivery that are looked at. It has one; only a made-up trace has more than a few.
const MAX_HANDLERS: usize = 64;

#[derive(Debug)]
pub(super) struct Graph {
    /// When each span begins, ns since the Unix epoch.
    pub(super) begin: Vec<u64>,
    /// When it ends; for the server of a call not after its client.
    pub(super) end: Vec<u64>,
    /// What its own time is spent on.
    pub(super) own: Vec<Part>,
    /// Its parent; no span is its own ancestor.
    parent: Vec<Option<usize>>,
    children: Lists<usize>,
    /// What it waits for while it runs, the latest arrival first.
    inputs: Lists<Input>,
    /// How many of these have been taken, or came too late.
    next: Vec<usize>,
    /// Spans that it is linked to.
    links: Lists<usize>,
    /// Spans from which the walk has gone on by a link. It does so once, so that links in a circle end.
    crossed: Vec<bool>,
}

/// Something that a span waits for.
#[derive(Debug, Clone, Copy)]
struct Input {
    arrival: u64,
    span: usize,
}

/// Lists of one owner each, in one piece of memory.
#[derive(Debug)]
struct Lists<T> {
    starts: Vec<usize>,
    items: Vec<T>,
}

impl<T: Copy> Lists<T> {
    /// Of pairs of owner and item; the items of an owner keep their order.
    fn of(owners: usize, pairs: impl Iterator<Item = (usize, T)> + Clone) -> Self {
        let mut starts = vec![0; owners + 1];
        for (owner, _) in pairs.clone() {
            starts[owner + 1] += 1;
        }
        for owner in 0..owners {
            starts[owner + 1] += starts[owner];
        }
        let mut by_owner: Vec<(usize, T)> = pairs.collect();
        by_owner.sort_by_key(|&(owner, _)| owner);
        Self {
            starts,
            items: by_owner.into_iter().map(|(_, item)| item).collect(),
        }
    }

    fn get(&self, owner: usize) -> &[T] {
        &self.items[self.starts[owner]..self.starts[owner + 1]]
    }
}

impl Graph {
    pub(super) fn of(outline: &Outline) -> Self {
        let spans = &outline.spans;
        let mut places: HashMap<SpanId, usize> = HashMap::with_capacity(spans.len());
        for (place, span) in spans.iter().enumerate() {
            places.entry(span.span_id).or_insert(place);
        }
        let parent = acyclic(spans, &places);
        let of_parents = parent.iter().enumerate();
        let children = Lists::of(
            spans.len(),
            of_parents.filter_map(|(child, parent)| Some(((*parent)?, child))),
        );
        let links = deciding_links(outline, &places);
        let mut graph = Self {
            begin: spans.iter().map(|span| span.start_ns).collect(),
            end: spans.iter().map(|span| span.end_ns).collect(),
            own: vec![Part::Work; spans.len()],
            parent,
            children,
            inputs: Lists::of(0, std::iter::empty()),
            next: vec![0; spans.len()],
            links: Lists::of(spans.len(), links.iter().copied()),
            crossed: vec![false; spans.len()],
        };
        graph.descend(spans);
        let inputs = graph.all_inputs(spans, &links);
        graph.inputs = Lists::of(spans.len(), inputs.iter().copied());
        graph
    }

    /// The latest input of a span that came not after this moment, and when. Each is told once.
    pub(super) fn next_input(&mut self, span: usize, now: u64) -> Option<(usize, u64)> {
        let inputs = self.inputs.get(span);
        let next = &mut self.next[span];
        while let Some(input) = inputs.get(*next) {
            *next += 1;
            if input.arrival <= now {
                return Some((input.span, input.arrival));
            }
        }
        None
    }

    /// What has caused a span that begins at this moment, and since when it could have begun.
    pub(super) fn cause(
        &mut self,
        outline: &Outline,
        span: usize,
        now: u64,
    ) -> Option<(usize, u64)> {
        let above = self.parent[span].map(|parent| {
            // A handler of a delivery is caused by it, everything else below it by its handler: a dead letter is.
            let of_handler = outline.spans[parent].step == Step::Forward
                && outline.spans[span].step != Step::Handler;
            let handler = of_handler.then(|| self.handler(outline, parent, now));
            let cause = handler.flatten().unwrap_or(parent);
            (cause, self.end[cause].min(now))
        });
        if mem::replace(&mut self.crossed[span], true) {
            return above;
        }
        let is_attempt = outline.spans[span].step == Step::Forward;
        let linked = self.links.get(span).iter().filter_map(|&link| {
            // An attempt waits for what became of the one before.
            let handler = is_attempt.then(|| self.handler(outline, link, now));
            match handler.flatten() {
                Some(handler) => Some((handler, self.end[handler].min(now))),
                None => (self.end[link] <= now).then(|| (link, self.end[link])),
            }
        });
        // Of two that came at one moment the parent.
        linked.chain(above).max_by_key(|&(_, arrival)| arrival)
    }

    /// The latest handler of a delivery that had begun before this moment.
    fn handler(&self, outline: &Outline, forward: usize, now: u64) -> Option<usize> {
        if outline.spans[forward].step != Step::Forward {
            return None;
        }
        let children = self.children.get(forward).iter().take(MAX_HANDLERS);
        children
            .copied()
            .filter(|&child| outline.spans[child].step == Step::Handler && self.begin[child] < now)
            .max_by_key(|&child| self.end[child])
    }

    /// Says what each span's own time is spent on, and keeps servers within their clients: parents before their children.
    fn descend(&mut self, spans: &[OutlineSpan]) {
        let mut stack: Vec<usize> = (0..spans.len())
            .filter(|&span| self.parent[span].is_none())
            .collect();
        while let Some(place) = stack.pop() {
            stack.extend(self.children.get(place));
            let (span, parent) = (&spans[place], self.parent[place]);
            self.own[place] = own(span, parent.map(|parent| self.own[parent]));
            if let Some(parent) = parent.filter(|&parent| is_call(&spans[parent], span)) {
                let during = self.begin[parent]..=self.end[parent];
                let within = |time: u64| time.clamp(*during.start(), *during.end());
                self.begin[place] = within(self.begin[place]);
                self.end[place] = within(self.end[place]);
            }
        }
    }

    /// What spans wait for: children that they waited for, and what they are linked to.
    fn all_inputs(&self, spans: &[OutlineSpan], links: &[(usize, usize)]) -> Vec<(usize, Input)> {
        let children = self.parent.iter().enumerate();
        let children = children.filter_map(|(child, parent)| {
            let parent = (*parent)?;
            is_waited_for(&spans[parent], &spans[child]).then_some((parent, child))
        });
        let mut inputs: Vec<_> = children
            .chain(links.iter().copied())
            .filter(|&(owner, span)| {
                // What came before it began is a cause and no input; what came after its end came too late.
                self.begin[owner] < self.end[span] && self.end[span] <= self.end[owner]
            })
            .map(|(owner, span)| {
                let arrival = self.end[span];
                (owner, Input { arrival, span })
            })
            .collect();
        // Of two that arrived at one moment the longer one.
        inputs.sort_by_key(|(owner, input)| {
            let Input { arrival, span } = *input;
            (*owner, std::cmp::Reverse(arrival), self.begin[span], span)
        });
        inputs
    }
}

/// What the own time of a span is spent on, by what it is or else by what its parent's is.
fn own(span: &OutlineSpan, above: Option<Part>) -> Part {
    match span.step {
        Step::Publish | Step::Forward | Step::Invoke => return Part::Delivery,
        Step::Handler | Step::Action => return Part::Work,
        Step::Other => {}
    }
    match above {
        _ if span.gen_ai == GenAi::ModelCall => Part::Llm,
        _ if span.gen_ai == GenAi::Tool => Part::Tool,
        Some(part @ (Part::Llm | Part::Tool)) => part,
        _ => Part::Work,
    }
}

/// A client, and the server that it waits for.
fn is_call(parent: &OutlineSpan, child: &OutlineSpan) -> bool {
    (parent.kind, child.kind) == (SpanKind::Client, SpanKind::Server)
}

/// Whether a span waits for this child. Nobody waits for what comes of an event.
fn is_waited_for(parent: &OutlineSpan, child: &OutlineSpan) -> bool {
    !matches!(parent.step, Step::Publish | Step::Forward)
        && child.step != Step::Publish
        && (parent.kind, child.kind) != (SpanKind::Producer, SpanKind::Consumer)
}

/// Parents by place; of a circle the earliest span has none.
fn acyclic(spans: &[OutlineSpan], places: &HashMap<SpanId, usize>) -> Vec<Option<usize>> {
    let mut parents: Vec<Option<usize>> = spans
        .iter()
        .map(|span| places.get(&span.parent_span_id?).copied())
        .collect();
    // Number of the walk upwards that has met a span first; 0: none has.
    let mut met = vec![0; spans.len()];
    for first in 0..spans.len() {
        let walk = first + 1;
        let mut at = first;
        while met[at] == 0 {
            met[at] = walk;
            let Some(parent) = parents[at] else { break };
            if met[parent] != walk {
                at = parent;
                continue;
            }
            // This very walk was here before: a circle.
            let mut earliest = parent;
            let mut around = parents[parent];
            while let Some(next) = around.filter(|&next| next != parent) {
                if spans[next].start_ns < spans[earliest].start_ns {
                    earliest = next;
                }
                around = parents[next];
            }
            parents[earliest] = None;
            break;
        }
    }
    parents
}

/// Links within the trace as pairs of places. Where events are joined the last of them is marked: what stands before it in
/// the list came before, whatever the clocks say, and decides nothing.
fn deciding_links(outline: &Outline, places: &HashMap<SpanId, usize>) -> Vec<(usize, usize)> {
    let mut links: Vec<(usize, usize)> = Vec::new();
    // Where the links of the current join begin.
    let mut join = 0;
    let mut owner = None;
    for link in &outline.links {
        if owner.replace(link.from) != Some(link.from) {
            join = links.len();
        }
        let to = places.get(&link.span_id).copied();
        let from = link.from as usize;
        let Some(to) = to.filter(|&to| link.trace_id == outline.id && to != from) else {
            continue;
        };
        let is_last = link.attributes.get(attribute::JOIN_LAST) == Some(&Value::Bool(true));
        if is_last {
            links.truncate(join);
        }
        links.push((from, to));
        if is_last {
            join = links.len();
        }
    }
    links
}
