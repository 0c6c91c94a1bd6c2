//! Histograms of what was handled, made of the spans that are stored: nobody pays for them but who asks for the page.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use loom_proto::semconv::metric;

use super::exposition::{Family, Labels};
use super::histogram::{Exemplar, Histogram};
use crate::error::QueryError;
use crate::indexer::now_ms;
use crate::query::Query;
use crate::query::handled::{Handled, HandledPlace};

/// What is younger is looked at the next time: the spans above a handler may come after it.
const SETTLED_MS: u64 = 2_000;
/// Handlers of one read.
const PAGE: usize = 10_000;
/// One page of metrics waits for as many reads as fit into this time; the rest is looked at the next time.
const BUDGET: Duration = Duration::from_secs(1);
/// Agents and topics beyond the limit are one.
const OTHERS: &str = "(other)";

/// What was handled since the server began.
#[derive(Debug)]
pub(super) struct Histograms {
    since_ns: u64,
    place: Option<HandledPlace>,
    /// By agent, and whether the handler failed.
    durations: Limited<[Histogram; 2]>,
    /// By topic: until the delivery, and until the handler.
    waits: Limited<[Histogram; 2]>,
}

impl Histograms {
    /// Of what begins from now on, with so many agents, and so many topics, of their own.
    pub(super) fn new(labels: usize) -> Self {
        Self {
            since_ns: now_ms().saturating_mul(1_000_000),
            place: None,
            durations: Limited::new(labels),
            waits: Limited::new(labels),
        }
    }

    /// Adds what was stored since the last time.
    pub(super) async fn catch_up(&mut self, query: &Query) -> Result<(), QueryError> {
        let deadline = Instant::now() + BUDGET;
        let until_ms = now_ms().saturating_sub(SETTLED_MS);
        let mut place = match self.place {
            Some(place) => place,
            None => match query.handled_since(self.since_ns).await? {
                Some(place) => place,
                None => return Ok(()),
            },
        };
        loop {
            let page = query.handled_after(place, until_ms, PAGE).await?;
            place = page.next;
            self.place = Some(place);
            for handled in &page.handlers {
                self.add(handled);
            }
            if page.handlers.len() < PAGE || Instant::now() >= deadline {
                return Ok(());
            }
        }
    }

    fn add(&mut self, handled: &Handled) {
        let exemplar = |ns: u64| Exemplar {
            trace_id: handled.trace_id,
            span_id: handled.span_id,
            value: ns as f64 / 1e9,
            time_ns: handled.start_ns + handled.duration_ns.unwrap_or_default(),
        };
        if let Some(took_ns) = handled.duration_ns {
            let agent = handled.agent.as_deref().unwrap_or_default();
            let of_agent = self.durations.of(agent);
            of_agent[usize::from(handled.is_error)].observe(exemplar(took_ns));
        }
        let waited = [handled.delivery_wait_ns, handled.publish_to_handle_ns];
        if waited != [None, None] {
            let topic = handled.operation.as_deref().unwrap_or_default();
            let of_topic = self.waits.of(topic);
            for (histogram, waited_ns) in of_topic.iter_mut().zip(waited) {
                if let Some(ns) = waited_ns {
                    histogram.observe(exemplar(ns));
                }
            }
        }
    }

    pub(super) fn families(&self) -> Vec<Family> {
        let durations = self.durations.all().flat_map(|(agent, histograms)| {
            ["ok", "error"]
                .into_iter()
                .zip(histograms)
                .filter(|(_, histogram)| histogram.count() > 0)
                .map(move |(status, histogram)| {
                    let labels = Labels::of([("agent", agent), ("status", status)]);
                    (labels, histogram.clone())
                })
        });
        let waits = |which: usize| {
            self.waits
                .all()
                .filter(move |(_, histograms)| histograms[which].count() > 0)
                .map(move |(topic, histograms)| {
                    let labels = Labels::of([("topic", topic)]);
                    (labels, histograms[which].clone())
                })
        };
        vec![
            Family::histograms(metric::EXECUTION_DURATION, durations),
            Family::histograms(metric::DELIVERY_WAIT, waits(0)),
            Family::histograms(metric::PUBLISH_TO_HANDLE, waits(1)),
        ]
    }
}

/// Values by a name, of which there may be any number: the first ones that come have their own, the others share one.
#[derive(Debug)]
struct Limited<T> {
    own: BTreeMap<String, T>,
    others: T,
    limit: usize,
}

impl<T: Default> Limited<T> {
    fn new(limit: usize) -> Self {
        Self {
            own: BTreeMap::new(),
            others: T::default(),
            limit,
        }
    }

    /// A name keeps what it has: a counter must not begin anew.
    fn of(&mut self, name: &str) -> &mut T {
        if !self.own.contains_key(name) {
            if self.own.len() >= self.limit || name == OTHERS {
                return &mut self.others;
            }
            self.own.insert(name.to_owned(), T::default());
        }
        self.own.get_mut(name).expect("it was put there")
    }

    fn all(&self) -> impl Iterator<Item = (&str, &T)> {
        let own = self.own.iter().map(|(name, value)| (name.as_str(), value));
        own.chain([(OTHERS, &self.others)])
    }
}

#[cfg(test)]
mod tests {
    use super::super::exposition::{Format, render};
    use super::*;
    use crate::testing::{BASE, MS, span_id, trace_id};

    fn handled(agent: &str, is_error: bool) -> Handled {
        Handled {
            trace_id: trace_id(1),
            span_id: span_id(1),
            agent: Some(agent.to_owned()),
            operation: Some("orders".to_owned()),
            is_error,
            start_ns: BASE,
            duration_ns: Some(20 * MS),
            delivery_wait_ns: Some(2 * MS),
            publish_to_handle_ns: Some(3 * MS),
        }
    }

    fn shown(histograms: &Histograms) -> Vec<String> {
        let text = render(&histograms.families(), Format::Prometheus);
        let counts = text.lines().filter(|line| line.contains("_count"));
        counts.map(str::to_owned).collect()
    }

    #[test]
    fn agents_and_topics_are_limited() {
        let mut histograms = Histograms::new(2);
        for (agent, is_error) in [
            ("a", false),
            ("b", true),
            ("c", false),
            ("a", false),
            ("d", true),
            (OTHERS, true),
        ] {
            histograms.add(&handled(agent, is_error));
        }
        let expected = [
            "loom_execution_duration_seconds_count{agent=\"a\",status=\"ok\"} 2",
            "loom_execution_duration_seconds_count{agent=\"b\",status=\"error\"} 1",
            "loom_execution_duration_seconds_count{agent=\"(other)\",status=\"ok\"} 1",
            "loom_execution_duration_seconds_count{agent=\"(other)\",status=\"error\"} 2",
            "loom_delivery_wait_seconds_count{topic=\"orders\"} 6",
            "loom_publish_to_handle_seconds_count{topic=\"orders\"} 6",
        ];
        assert_eq!(shown(&histograms), expected);
        assert_eq!(shown(&Histograms::new(0)), Vec::<String>::new());
    }

    #[test]
    fn what_nobody_measured_is_in_no_histogram() {
        let mut histograms = Histograms::new(2);
        histograms.add(&Handled {
            duration_ns: None,
            delivery_wait_ns: None,
            publish_to_handle_ns: None,
            ..handled("a", true)
        });
        assert_eq!(shown(&histograms), Vec::<String>::new());
    }
}
