//! What the description of the API says beside its routes.

use std::collections::BTreeSet;

use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{ArrayItems, SchemaType, Type};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Info, License, OpenApi, OpenApiBuilder, Ref, RefOr, Schema};

use super::error;

const TAGS: [(&str, &str); 10] = [
    ("traces", "Traces and their spans."),
    ("events", "Events, and what became of them."),
    (
        "executions",
        "Handlers of events and calls, open and ended.",
    ),
    ("agents", "Agents, connected and gone."),
    ("workflows", "What belongs to one piece of work."),
    ("topology", "Agents, topics and what goes between them."),
    ("metrics", "How many, how long, how dear."),
    ("dead letters", "Events that nobody could handle."),
    ("names", "Names to choose from."),
    ("server", "The server itself."),
];

/// How the macro begins the names of pages, before the name of what they list.
const PAGE: &str = "Page_";

/// The description of these routes, with everything else.
pub(super) fn complete(mut routes: OpenApi) -> OpenApi {
    let mut info = Info::new("Loom", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "Times are RFC 3339 in UTC (`*_time`, `*_at`), or ns since the Unix epoch as text (`*_ns`). What nobody has \
         measured is null, never 0 and never left out. Parameters that a route does not know are ignored. `docs/api.md` says more."
            .to_owned(),
    );
    let mut license = License::new("Apache 2.0");
    license.identifier = Some("Apache-2.0".to_owned());
    info.license = Some(license);
    let components = routes.components.get_or_insert_default();
    components.schemas.extend(error::schemas());
    let asked = bodies(&routes.paths.paths);
    for (name, schema) in &mut components.schemas {
        if !asked.contains(name) {
            require_nullable(schema);
        }
        if let Some(item) = name.strip_prefix(PAGE) {
            refer_to_items(schema, item);
        }
    }
    let tags =
        TAGS.map(|(name, what)| TagBuilder::new().name(name).description(Some(what)).build());
    OpenApiBuilder::from(routes)
        .info(info)
        .tags(Some(tags))
        .build()
}

/// The macro writes the items of a generic page out; they have a schema of their own, as everywhere else.
fn refer_to_items(page: &mut RefOr<Schema>, item: &str) {
    if let RefOr::T(Schema::Object(page)) = page
        && let Some(RefOr::T(Schema::Array(items))) = page.properties.get_mut("items")
    {
        items.items = RefOr::from(Ref::from_schema_name(item)).into();
    }
}

/// Names of the schemas of requests.
fn bodies<'a>(paths: impl IntoIterator<Item = (&'a String, &'a PathItem)>) -> BTreeSet<String> {
    let operations = paths.into_iter().flat_map(|(_, item)| {
        let all: [&Option<Operation>; 4] = [&item.post, &item.put, &item.patch, &item.delete];
        all.into_iter().flatten()
    });
    let bodies = operations.filter_map(|operation| here(operation.request_body.as_ref()?));
    let contents = bodies.flat_map(|body| body.content.values());
    let names = contents.filter_map(|content| match &here(content)?.schema {
        Some(RefOr::Ref(schema)) => schema.ref_location.rsplit('/').next(),
        _ => None,
    });
    names.map(str::to_owned).collect()
}

/// What stands here; `None` of what is only referred to.
fn here<T>(part: &RefOr<T>) -> Option<&T> {
    match part {
        RefOr::T(part) => Some(part),
        RefOr::Ref(_) => None,
    }
}

/// An answer says null and leaves nothing out, which the macro cannot know: it takes an `Option` for a field that need not be there.
/// A field that may be left out is never null, and says so by `nullable = false`.
fn require_nullable(schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Object(object) => {
            for (name, property) in &mut object.properties {
                if may_be_null(property) && !object.required.contains(name) {
                    object.required.push(name.clone());
                }
                require_nullable(property);
            }
        }
        Schema::AllOf(all) => all.items.iter_mut().for_each(require_nullable),
        Schema::OneOf(one) => one.items.iter_mut().for_each(require_nullable),
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                require_nullable(items);
            }
        }
        _ => {}
    }
}

fn may_be_null(schema: &RefOr<Schema>) -> bool {
    match here(schema) {
        Some(Schema::Object(object)) => match &object.schema_type {
            SchemaType::Type(kind) => *kind == Type::Null,
            SchemaType::Array(kinds) => kinds.contains(&Type::Null),
            SchemaType::AnyValue => false,
        },
        Some(Schema::OneOf(one)) => one.items.iter().any(may_be_null),
        _ => false,
    }
}
