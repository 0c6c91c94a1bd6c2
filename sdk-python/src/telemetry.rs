//! The process' span pipeline: one exporter, one source per agent; and the process' exit and fork.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use loom_telemetry::resource::resource;
use loom_telemetry::sink::SpanSink;
use loom_telemetry::{
    Exporter, ExporterConfig, FlushReport, Pipeline, PipelineConfig, PipelineStats, Sampler, Value,
};
use parking_lot::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::source::SpanSource;
use crate::value::Limits;
use crate::{logs, runtime, session, span};

/// Longest wait that a caller may ask for: a number from Python may be anything.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

struct Process {
    pipeline: Pipeline,
    sampler: Sampler,
    limits: Limits,
}

/// Locked only by threads that hold the GIL, and never across its release: a fork cannot find it locked.
static STATE: Mutex<Option<Process>> = Mutex::new(None);

/// `(is_complete, recorded, exported, dropped by reason, waiting, one line for logs)`.
type Report = (bool, u64, u64, HashMap<&'static str, u64>, u64, String);

/// Makes the source of one resource, and the pipeline when it is the first. Its spans are those of `agent_id`, where it is
/// an agent's. `overrides` stands for environment variables.
/// Returns the source, and warnings about settings that were not understood.
#[pyfunction]
#[pyo3(signature = (service_name, instance_id, agent_id, attributes, overrides, /))]
#[expect(
    clippy::needless_pass_by_value,
    reason = "made of a Python dictionary for this call"
)]
pub(crate) fn span_source(
    service_name: &str,
    instance_id: &str,
    agent_id: Option<&str>,
    attributes: Vec<(String, String)>,
    overrides: HashMap<String, String>,
) -> PyResult<(SpanSource, Vec<String>)> {
    let get = |name: &str| {
        let own = overrides.get(name).cloned();
        own.or_else(|| std::env::var(name).ok())
    };
    let mut warnings = Vec::new();
    let mut state = STATE.lock();
    let process = match &mut *state {
        Some(process) => process,
        none => none.insert(start(get, &mut warnings)?),
    };
    let python = [("telemetry.sdk.language".to_owned(), "python".to_owned())];
    let extra = python
        .into_iter()
        .chain(attributes)
        .map(|(key, value)| (Value::Text(key), Value::Text(value)));
    let resource = resource(service_name, instance_id, extra, get);
    let name = resource
        .iter()
        .find(|(key, _)| key.as_str() == Some("service.name"))
        .and_then(|(_, value)| value.as_str())
        .unwrap_or(service_name)
        .to_owned();
    let recorder = process.pipeline.recorder(resource);
    let source = SpanSource::new(recorder, process.sampler, process.limits, &name, agent_id);
    Ok((source, warnings))
}

fn start(get: impl Fn(&str) -> Option<String>, warnings: &mut Vec<String>) -> PyResult<Process> {
    let sampler = Sampler::from_env(&get).unwrap_or_else(|error| {
        warnings.push(format!("{error}; every trace is recorded"));
        Sampler::default()
    });
    let mut sinks: Vec<Box<dyn SpanSink>> = Vec::new();
    let exporter = ExporterConfig::from_env(&get).and_then(|config| match config {
        Some(config) => match runtime::handle() {
            Ok(runtime) => Exporter::start(config, &runtime).map(Some),
            Err(error) => {
                warnings.push(format!("spans are not exported: {error}"));
                Ok(None)
            }
        },
        None => Ok(None),
    });
    match exporter {
        Ok(Some(exporter)) => sinks.push(Box::new(exporter)),
        Ok(None) => {}
        // Telemetry never changes behaviour: the agent works without the export.
        Err(error) => warnings.push(format!("spans are not exported: {error}")),
    }
    let pipeline = Pipeline::start(sinks, PipelineConfig::default())
        .map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    Ok(Process {
        pipeline,
        sampler,
        limits: Limits::from_env(&get),
    })
}

fn pipeline() -> Option<Pipeline> {
    let state = STATE.lock();
    state.as_ref().map(|process| process.pipeline.clone())
}

fn wait(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0))
        .unwrap_or(LONGEST_WAIT)
        .min(LONGEST_WAIT)
}

/// Waits, without the GIL, until everything recorded so far is settled. None: nothing was ever recorded.
#[pyfunction]
#[pyo3(signature = (seconds, /))]
pub(crate) fn flush_spans(py: Python<'_>, seconds: f64) -> Option<Report> {
    let pipeline = pipeline()?;
    let deadline = Instant::now() + wait(seconds);
    Some(report(&py.detach(|| pipeline.flush(deadline))))
}

/// The same, and nothing is recorded afterwards by the sources that exist. New sources get a new pipeline.
#[pyfunction]
#[pyo3(signature = (seconds, /))]
pub(crate) fn shutdown_spans(py: Python<'_>, seconds: f64) -> Option<Report> {
    let pipeline = STATE.lock().take()?.pipeline;
    let deadline = Instant::now() + wait(seconds);
    Some(report(&py.detach(|| pipeline.shutdown(deadline))))
}

/// The counters of this moment. None: nothing was ever recorded.
#[pyfunction]
pub(crate) fn span_stats() -> Option<Report> {
    let stats = pipeline()?.stats();
    Some(report(&FlushReport {
        is_complete: true,
        stats,
    }))
}

fn report(report: &FlushReport) -> Report {
    let PipelineStats {
        recorded,
        refused,
        waiting,
        // The SDK asks its own sampler before it hands a span over.
        sampled_out: _,
        sinks,
    } = &report.stats;
    let mut dropped: HashMap<&'static str, u64> = HashMap::new();
    let lost = sinks.iter().flat_map(|sink| sink.dropped.iter());
    for (reason, spans) in refused.iter().chain(lost) {
        *dropped.entry(reason.as_str()).or_default() += spans;
    }
    dropped.retain(|_, spans| *spans > 0);
    let queued: u64 = sinks.iter().map(|sink| sink.queued).sum();
    (
        report.is_complete,
        *recorded,
        sinks.iter().map(|sink| sink.exported).sum(),
        dropped,
        waiting + queued,
        report.to_string(),
    )
}

/// Lines for Python's logger: level and text.
#[pyfunction]
pub(crate) fn take_logs() -> Vec<logs::Line> {
    logs::take()
}

/// Sets what is called with recorded spans that start and end. It stays for the life of the process.
#[pyfunction]
#[pyo3(signature = (on_start, on_end, /))]
pub(crate) fn set_span_hooks(py: Python<'_>, on_start: Py<PyAny>, on_end: Py<PyAny>) {
    span::set_hooks(py, on_start, on_end);
}

/// The child of a fork has none of its parent's threads: it starts from nothing.
#[pyfunction]
pub(crate) fn after_fork_in_child() {
    runtime::forked();
    logs::forked();
    // Its thread is gone, and its locks may be held for ever.
    std::mem::forget(STATE.lock().take());
}

/// The last thing of the process: lets agents that nobody stopped send what they hold, flushes spans and stops the I/O thread within the time given, without the GIL.
/// Returns the report when spans were lost.
#[pyfunction]
#[pyo3(signature = (seconds, /))]
pub(crate) fn leave_process(py: Python<'_>, seconds: f64) -> Option<Report> {
    let deadline = Instant::now() + wait(seconds);
    // Half of the time for the events, which come before their spans.
    py.detach(|| session::leave_all(Instant::now() + wait(seconds) / 2));
    let process = STATE.lock().take();
    let lost = process.map(|process| {
        let done = py.detach(|| process.pipeline.shutdown(deadline));
        report(&done)
    });
    let left = deadline.saturating_duration_since(Instant::now());
    // A thread that will not end cannot hurt the interpreter: it never touches it.
    let _ended = py.detach(|| runtime::stop(left.max(Duration::from_millis(100))));
    lost.filter(|(is_complete, _, _, dropped, _, _)| !is_complete || !dropped.is_empty())
}
