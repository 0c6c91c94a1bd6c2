//! Events and links of a span, within the limits.

use loom_telemetry::record::{FreeDetail, SpanLink};
use pyo3::prelude::*;

use crate::otel::Api;
use crate::source::SpanSource;
use crate::value;

/// Beyond the limit the oldest goes, as in the Python SDK.
pub(super) fn push_bounded<T>(list: &mut Vec<T>, dropped: &mut u32, limit: usize, item: T) {
    if list.len() >= limit {
        *dropped += 1;
        if limit == 0 {
            return;
        }
        list.remove(0);
    }
    list.push(item);
}

/// Reads links of the API into records; those with an invalid context and no attributes are left out.
pub(crate) fn read_link(
    source: &SpanSource,
    context: &Bound<'_, PyAny>,
    attributes: Option<&Bound<'_, PyAny>>,
) -> PyResult<Option<SpanLink>> {
    let limits = source.limits();
    let mut link = SpanLink::default();
    let mut dropped = 0;
    value::set_all(
        &mut link.attributes,
        &mut dropped,
        limits.inner_attributes,
        limits.value_length,
        attributes,
    )?;
    let Some(other) = Api::read_span_context(context)? else {
        return Ok(None);
    };
    link.context = other.context;
    link.tracestate = other.tracestate.map(String::from).unwrap_or_default();
    Ok(Some(link))
}

/// Adds links at a span's start.
pub(crate) fn put_links(
    source: &SpanSource,
    detail: &mut FreeDetail,
    links: &Bound<'_, PyAny>,
) -> PyResult<()> {
    for link in links.try_iter()? {
        let link = link?;
        let attributes = link.getattr("attributes")?;
        if let Some(link) = read_link(source, &link.getattr("context")?, Some(&attributes))? {
            push_bounded(
                &mut detail.links,
                &mut detail.dropped_links,
                source.limits().links,
                link,
            );
        }
    }
    Ok(())
}
