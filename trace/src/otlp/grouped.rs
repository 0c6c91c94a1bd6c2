//! Spans by resource and scope, as OTLP nests them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{Resource, Scope, Span};

/// The spans of one resource.
#[derive(Debug)]
pub struct OfResource<'a> {
    /// Who made them.
    pub resource: &'a Resource,
    /// Its spans by scope, in the order of each scope's first span.
    pub scopes: Vec<OfScope<'a>>,
}

/// The spans of one scope of a resource.
#[derive(Debug)]
pub struct OfScope<'a> {
    /// What made them.
    pub scope: &'a Scope,
    /// In the order in which they came.
    pub spans: Vec<&'a Span>,
}

/// Groups spans, in the order of each resource's first span. Spans that share a resource or a scope in memory, as the store's
/// reader makes them, stand together.
pub fn grouped<'a>(spans: impl IntoIterator<Item = &'a Span>) -> Vec<OfResource<'a>> {
    let mut resources: Vec<OfResource<'a>> = Vec::new();
    let mut resource_places = HashMap::new();
    let mut scope_places = HashMap::new();
    for span in spans {
        let at_resource = *resource_places
            .entry(Arc::as_ptr(&span.resource))
            .or_insert_with(|| {
                resources.push(OfResource {
                    resource: &span.resource,
                    scopes: Vec::new(),
                });
                resources.len() - 1
            });
        let scopes = &mut resources[at_resource].scopes;
        let at_scope = *scope_places
            .entry((at_resource, Arc::as_ptr(&span.scope)))
            .or_insert_with(|| {
                scopes.push(OfScope {
                    scope: &span.scope,
                    spans: Vec::new(),
                });
                scopes.len() - 1
            });
        scopes[at_scope].spans.push(span);
    }
    resources
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{service, span};

    #[test]
    fn spans_stand_below_what_they_share() {
        let (a, b) = (service("a"), service("b"));
        let other_scope = Arc::new(Scope {
            name: "other".to_owned(),
            ..Scope::default()
        });
        let of = |id, resource: &Arc<Resource>, scope: &Arc<Scope>| Span {
            resource: Arc::clone(resource),
            scope: Arc::clone(scope),
            ..span(id, 0, "x", 0, 1)
        };
        let scope = Arc::new(Scope::default());
        let spans = [
            of(1, &a, &scope),
            of(2, &b, &scope),
            of(3, &a, &other_scope),
            of(4, &a, &scope),
        ];
        let shown: Vec<_> = grouped(&spans)
            .iter()
            .map(|group| {
                let scopes = group.scopes.iter();
                let ids = scopes.map(|scope| {
                    let ids = scope.spans.iter().map(|span| span.span_id.as_bytes()[7]);
                    ids.collect::<Vec<_>>()
                });
                (group.resource.service(), ids.collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(
            shown,
            [("a", vec![vec![1, 4], vec![3]]), ("b", vec![vec![2]])]
        );
    }
}
