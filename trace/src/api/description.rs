//! What the description of the API says beside its routes.

use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Info, License, OpenApi, OpenApiBuilder};

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

/// The description of these routes, with everything else.
pub(super) fn complete(mut routes: OpenApi) -> OpenApi {
    let mut info = Info::new("Loom", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "Times are RFC 3339 in UTC (`*_time`, `*_at`), or ns since the Unix epoch as text (`*_ns`). What nobody has \
         measured is null, never 0. Parameters that a route does not know are ignored. `docs/api.md` says more."
            .to_owned(),
    );
    let mut license = License::new("Apache 2.0");
    license.identifier = Some("Apache-2.0".to_owned());
    info.license = Some(license);
    let components = routes.components.get_or_insert_default();
    components.schemas.extend(error::schemas());
    let tags =
        TAGS.map(|(name, what)| TagBuilder::new().name(name).description(Some(what)).build());
    OpenApiBuilder::from(routes)
        .info(info)
        .tags(Some(tags))
        .build()
}
