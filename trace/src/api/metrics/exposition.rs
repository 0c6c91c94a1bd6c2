//! Metrics as text: Prometheus' format 0.0.4, or `OpenMetrics` 1.0, which has units, an end, and exemplars.

use std::fmt::Write as _;

use loom_proto::semconv::metric;

use super::histogram::Histogram;

/// In which format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Of all versions of Prometheus.
    Prometheus,
    /// Of who asks for it.
    OpenMetrics,
}

/// What the samples of a family are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts values by their size.
    Histogram,
}

/// Samples of one name.
#[derive(Debug, Clone)]
pub struct Family {
    name: &'static str,
    kind: Kind,
    samples: Vec<(Labels, Value)>,
}

#[derive(Debug, Clone)]
enum Value {
    Number(u64),
    Histogram(Box<Histogram>),
}

/// Names and values that tell samples of one family apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels(String);

impl Labels {
    /// No labels: the family has one sample.
    pub const NONE: Self = Self(String::new());

    /// Values may be any text.
    pub fn of<const N: usize>(pairs: [(&str, &str); N]) -> Self {
        let mut text = String::new();
        for (name, value) in pairs {
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(name);
            text.push_str("=\"");
            for char in value.chars() {
                match char {
                    '\\' => text.push_str("\\\\"),
                    '"' => text.push_str("\\\""),
                    '\n' => text.push_str("\\n"),
                    char => text.push(char),
                }
            }
            text.push('"');
        }
        Self(text)
    }

    /// These and one more, in braces; nothing of nothing.
    fn with(&self, more: &str) -> String {
        match (self.0.as_str(), more) {
            ("", "") => String::new(),
            (one, "") | ("", one) => format!("{{{one}}}"),
            (labels, more) => format!("{{{labels},{more}}}"),
        }
    }
}

impl Family {
    /// A family of plain numbers. Its meaning is the one that the name has in [`metric`].
    pub fn new(
        name: &'static str,
        kind: Kind,
        samples: impl IntoIterator<Item = (Labels, u64)>,
    ) -> Self {
        let samples = samples.into_iter();
        Self {
            name,
            kind,
            samples: samples
                .map(|(labels, number)| (labels, Value::Number(number)))
                .collect(),
        }
    }

    /// A family of one number.
    pub fn single(name: &'static str, kind: Kind, value: u64) -> Self {
        Self::new(name, kind, [(Labels::NONE, value)])
    }

    pub(super) fn histograms(
        name: &'static str,
        samples: impl IntoIterator<Item = (Labels, Histogram)>,
    ) -> Self {
        let samples = samples.into_iter();
        Self {
            name,
            kind: Kind::Histogram,
            samples: samples
                .map(|(labels, histogram)| (labels, Value::Histogram(Box::new(histogram))))
                .collect(),
        }
    }
}

/// The whole page.
pub(super) fn render(families: &[Family], format: Format) -> String {
    let mut text = String::new();
    for family in families {
        family.render(format, &mut text);
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

impl Family {
    /// Writing to a String does not fail.
    fn render(&self, format: Format, text: &mut String) {
        let base = self.name.strip_suffix("_total").unwrap_or(self.name);
        // A counter's family has no suffix in OpenMetrics, its samples have.
        let family = match format {
            Format::Prometheus => self.name,
            Format::OpenMetrics => base,
        };
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let known = metric::ALL.iter().find(|known| known.value == self.name);
        let help = known.map_or("", |known| known.meaning.trim());
        _ = writeln!(text, "# HELP {family} {help}\n# TYPE {family} {kind}");
        let unit = ["seconds", "bytes"]
            .into_iter()
            .find(|unit| base.ends_with(unit));
        if let (Format::OpenMetrics, Some(unit)) = (format, unit) {
            _ = writeln!(text, "# UNIT {family} {unit}");
        }
        for (labels, value) in &self.samples {
            match value {
                Value::Number(number) => {
                    _ = writeln!(text, "{}{} {number}", self.name, labels.with(""));
                }
                Value::Histogram(histogram) => self.histogram(labels, histogram, format, text),
            }
        }
    }

    fn histogram(&self, labels: &Labels, histogram: &Histogram, format: Format, text: &mut String) {
        let name = self.name;
        for bucket in histogram.buckets() {
            let le = if bucket.le.is_infinite() {
                "+Inf".to_owned()
            } else {
                // Always with a point, as OpenMetrics writes it.
                format!("{:?}", bucket.le)
            };
            let of_bucket = labels.with(&format!("le=\"{le}\""));
            _ = write!(text, "{name}_bucket{of_bucket} {}", bucket.count);
            if let (Format::OpenMetrics, Some(exemplar)) = (format, bucket.exemplar) {
                _ = write!(
                    text,
                    " # {{trace_id=\"{}\",span_id=\"{}\"}} {:?} {}.{:03}",
                    exemplar.trace_id,
                    exemplar.span_id,
                    exemplar.value,
                    exemplar.time_ns / 1_000_000_000,
                    exemplar.time_ns / 1_000_000 % 1_000,
                );
            }
            text.push('\n');
        }
        let labels = labels.with("");
        _ = writeln!(text, "{name}_count{labels} {}", histogram.count());
        _ = writeln!(text, "{name}_sum{labels} {:?}", histogram.sum());
    }
}

#[cfg(test)]
mod tests {
    use super::super::histogram::Exemplar;
    use super::*;
    use crate::testing::{BASE, MS, span_id, trace_id};

    fn families() -> Vec<Family> {
        let mut histogram = Histogram::default();
        histogram.observe(Exemplar {
            trace_id: trace_id(1),
            span_id: span_id(2),
            value: 0.003,
            time_ns: BASE + 7 * MS,
        });
        let hostile = Labels::of([("agent", "a\"\\\n}é"), ("status", "ok")]);
        vec![
            Family::single(metric::BUS_PUBLISHED, Kind::Counter, 7),
            Family::single(metric::STORE_BYTES, Kind::Gauge, 8),
            Family::new(metric::BUS_DROPPED, Kind::Counter, []),
            Family::histograms(metric::EXECUTION_DURATION, [(hostile, histogram)]),
        ]
    }

    #[test]
    fn as_prometheus_reads_it() {
        let text = render(&families(), Format::Prometheus);
        let head = "# HELP loom_bus_published_total Events that the bus accepted.
# TYPE loom_bus_published_total counter
loom_bus_published_total 7
# HELP loom_store_bytes Bytes of the trace store on disk.
# TYPE loom_store_bytes gauge
loom_store_bytes 8
# HELP loom_bus_dropped_total Deliveries lost, by reason.
# TYPE loom_bus_dropped_total counter
# HELP loom_execution_duration_seconds ";
        assert!(text.starts_with(head), "{text}");
        let labels = r#"agent="a\"\\\n}é",status="ok""#;
        for line in [
            format!("loom_execution_duration_seconds_bucket{{{labels},le=\"0.0025\"}} 0\n"),
            format!("loom_execution_duration_seconds_bucket{{{labels},le=\"0.005\"}} 1\n"),
            format!("loom_execution_duration_seconds_bucket{{{labels},le=\"1.0\"}} 1\n"),
            format!("loom_execution_duration_seconds_bucket{{{labels},le=\"+Inf\"}} 1\n"),
            format!("loom_execution_duration_seconds_count{{{labels}}} 1\n"),
            format!("loom_execution_duration_seconds_sum{{{labels}}} 0.003\n"),
        ] {
            assert!(text.contains(&line), "{line} in {text}");
        }
        assert!(!text.contains("# UNIT") && !text.contains("trace_id") && !text.contains("EOF"));
    }

    #[test]
    fn as_open_metrics() {
        let text = render(&families(), Format::OpenMetrics);
        let head = "# HELP loom_bus_published Events that the bus accepted.
# TYPE loom_bus_published counter
loom_bus_published_total 7
# HELP loom_store_bytes Bytes of the trace store on disk.
# TYPE loom_store_bytes gauge
# UNIT loom_store_bytes bytes
loom_store_bytes 8
";
        assert!(text.starts_with(head), "{text}");
        assert!(text.contains("# UNIT loom_execution_duration_seconds seconds\n"));
        let exemplar = format!(
            "le=\"0.005\"}} 1 # {{trace_id=\"{}\",span_id=\"0000000000000002\"}} 0.003 1767225600.007\n",
            "01".repeat(16)
        );
        assert!(text.contains(&exemplar), "{text}");
        assert_eq!(
            text.matches("trace_id=").count(),
            1,
            "in its own bucket only"
        );
        assert!(text.ends_with("\n# EOF\n"));
    }
}
