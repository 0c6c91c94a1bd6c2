//! Whose spans they are: the resource and the scope that stand once for many spans.

use loom_proto::wire::Value::{Bytes, Varint};

use super::message::{Message, uint32};
use super::spare::Spare;
use super::value::attribute;
use crate::model::{Resource, Scope};
use crate::otlp::number::{entity_ref, resource, resource_spans, scope, scope_spans};
use crate::otlp::wire::WireError;

/// Reads a `ResourceSpans` without its spans. The resource may stand behind them, so they are read in a second walk.
pub(super) fn resource(mut message: Message<'_>, spare: &mut Spare) -> Result<Resource, WireError> {
    let mut resource = Resource::default();
    let mut schema_url = "";
    while let Some(field) = message.next()? {
        match field {
            (resource_spans::RESOURCE, Bytes(inner)) => {
                merge_resource(message.inner(inner)?, &mut resource, spare)?;
            }
            (resource_spans::SCOPE_SPANS, Bytes(_)) => {}
            (resource_spans::SCHEMA_URL, Bytes(text)) => schema_url = message.text(text)?,
            (number, _) => message.skip(number, resource_spans::KNOWN)?,
        }
    }
    schema_url.clone_into(&mut resource.schema_url);
    Ok(resource)
}

fn merge_resource(
    mut message: Message<'_>,
    resource: &mut Resource,
    spare: &mut Spare,
) -> Result<(), WireError> {
    while let Some(field) = message.next()? {
        match field {
            (resource::ATTRIBUTES, Bytes(pair)) => {
                attribute(
                    &message,
                    resource::ATTRIBUTES,
                    pair,
                    &mut resource.attributes,
                    spare,
                )?;
            }
            (resource::DROPPED_ATTRIBUTES_COUNT, Varint(count)) => {
                resource.dropped_attributes = uint32(count);
            }
            (resource::ENTITY_REFS, Bytes(inner)) => check_entity_ref(message.inner(inner)?)?,
            (number, _) => message.skip(number, resource::KNOWN)?,
        }
    }
    Ok(())
}

/// Says which of the resource's attributes identify it. Nothing of it is kept.
fn check_entity_ref(mut message: Message<'_>) -> Result<(), WireError> {
    while let Some(field) = message.next()? {
        match field {
            (
                entity_ref::SCHEMA_URL
                | entity_ref::TYPE
                | entity_ref::ID_KEYS
                | entity_ref::DESCRIPTION_KEYS,
                Bytes(text),
            ) => _ = message.text(text)?,
            (number, _) => message.skip(number, entity_ref::KNOWN)?,
        }
    }
    Ok(())
}

/// Reads a `ScopeSpans` without its spans, for the same reason.
pub(super) fn scope(mut message: Message<'_>, spare: &mut Spare) -> Result<Scope, WireError> {
    let mut scope = Scope::default();
    let mut schema_url = "";
    while let Some(field) = message.next()? {
        match field {
            (scope_spans::SCOPE, Bytes(inner)) => {
                merge_scope(message.inner(inner)?, &mut scope, spare)?;
            }
            (scope_spans::SPANS, Bytes(_)) => {}
            (scope_spans::SCHEMA_URL, Bytes(text)) => schema_url = message.text(text)?,
            (number, _) => message.skip(number, scope_spans::KNOWN)?,
        }
    }
    schema_url.clone_into(&mut scope.schema_url);
    Ok(scope)
}

fn merge_scope(
    mut message: Message<'_>,
    scope: &mut Scope,
    spare: &mut Spare,
) -> Result<(), WireError> {
    while let Some(field) = message.next()? {
        match field {
            (scope::NAME, Bytes(text)) => message.text(text)?.clone_into(&mut scope.name),
            (scope::VERSION, Bytes(text)) => message.text(text)?.clone_into(&mut scope.version),
            (scope::ATTRIBUTES, Bytes(pair)) => {
                attribute(
                    &message,
                    scope::ATTRIBUTES,
                    pair,
                    &mut scope.attributes,
                    spare,
                )?;
            }
            (scope::DROPPED_ATTRIBUTES_COUNT, Varint(count)) => {
                scope.dropped_attributes = uint32(count);
            }
            (number, _) => message.skip(number, scope::KNOWN)?,
        }
    }
    Ok(())
}
