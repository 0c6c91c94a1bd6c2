//! What a span must be: one tree of conditions for every search, whoever asks.
//!
//! A condition is SQL as far as the small columns of a span say it, and Rust for the rest, which is looked at only in spans that
//! pass the SQL. Values are always bound, never part of the SQL.

use loom_proto::semconv::attribute;
use rusqlite::types::Value as SqlValue;

use super::attribute::has_attribute;
use super::words::Words;
use crate::model::{Span, StatusCode, Value};
use crate::store::blocks::List;
use crate::store::row::signed;

/// Conditions for one and the same span.
#[derive(Debug, Clone, PartialEq)]
pub enum Predicate {
    /// All of these; of none: every span.
    All(Vec<Predicate>),
    /// At least one of these; of none: no span.
    Any(Vec<Predicate>),
    /// Not this.
    Not(Box<Predicate>),
    /// A field has exactly this value.
    Is(Field, String),
    /// An attribute of the span, of its resource, scope, events or links, or a field of it by the name of its tag in Jaeger
    /// (`query/attribute.rs`). Values are compared as text.
    Attribute(String, String),
    /// The status.
    Status(StatusCode),
    /// Duration at least this, ns.
    AtLeast(u64),
    /// Duration at most this, ns.
    AtMost(u64),
    /// Start not before this, ns since the Unix epoch.
    From(u64),
    /// Start not after this, ns since the Unix epoch.
    To(u64),
    /// It holds these words.
    Holds(Words),
}

/// What a span is compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// Name of the service.
    Service,
    /// The agent that the span is about.
    Agent,
    /// The workflow that it belongs to.
    Workflow,
    /// The session that it belongs to.
    Session,
    /// The user on whose behalf it ran.
    User,
    /// The tenant that it belongs to.
    Tenant,
    /// The conversation that it belongs to.
    Thread,
    /// Topic of the event that it is about.
    Topic,
    /// Its name.
    Operation,
}

impl Field {
    /// Its column, where it has one.
    fn column(self) -> Option<&'static str> {
        match self {
            Self::Service => Some("service_id"),
            Self::Agent => Some("agent"),
            Self::Workflow => Some("workflow"),
            Self::Session => Some("session"),
            Self::User => Some("user"),
            Self::Tenant => Some("tenant"),
            Self::Thread => Some("thread"),
            Self::Operation => Some("name"),
            Self::Topic => None,
        }
    }

    /// What its column is compared with: the number of a text.
    fn value(self) -> &'static str {
        match self {
            Self::Service => "(SELECT id FROM services WHERE name = ?)",
            _ => "(SELECT id FROM names WHERE text = ?)",
        }
    }

    /// The lists of its values, where there are some.
    fn list(self) -> Option<List> {
        match self {
            Self::Service => Some(List::Service),
            Self::Agent => Some(List::Agent),
            Self::Workflow => Some(List::Workflow),
            Self::Session => Some(List::Session),
            Self::User => Some(List::User),
            Self::Tenant => Some(List::Tenant),
            Self::Thread => Some(List::Thread),
            Self::Operation | Self::Topic => None,
        }
    }

    fn is(self, wanted: &str, span: &Span) -> bool {
        let who = &span.identity;
        let value = match self {
            Self::Service => return span.service() == wanted,
            Self::Operation => return span.name == wanted,
            Self::Topic => return has_topic(span, wanted),
            Self::Agent => &who.agent,
            Self::Workflow => &who.workflow,
            Self::Session => &who.session,
            Self::User => &who.user,
            Self::Tenant => &who.tenant,
            Self::Thread => &who.thread,
        };
        value.as_deref() == Some(wanted)
    }
}

fn has_topic(span: &Span, wanted: &str) -> bool {
    let keys = [attribute::TOPIC, attribute::MESSAGING_DESTINATION];
    let said =
        |key| matches!(span.attributes.get(key), Some(Value::String(topic)) if topic == wanted);
    keys.into_iter().any(said)
}

/// A piece of SQL with its values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sql {
    /// A condition that every span meets which is meant.
    pub(super) text: String,
    /// What stands for its question marks.
    pub(super) values: Vec<SqlValue>,
    /// No other span meets it.
    pub(super) is_exact: bool,
}

impl Sql {
    fn exact(text: impl Into<String>, values: Vec<SqlValue>) -> Self {
        Self {
            text: text.into(),
            values,
            is_exact: true,
        }
    }

    /// A condition that says nothing.
    fn nothing() -> Self {
        Self {
            is_exact: false,
            ..Self::exact("1", Vec::new())
        }
    }

    fn join(parts: impl Iterator<Item = Self>, operator: &str, of_none: &str) -> Self {
        let mut texts = Vec::new();
        let mut joined = Self::exact("", Vec::new());
        for part in parts {
            texts.push(part.text);
            joined.values.extend(part.values);
            joined.is_exact &= part.is_exact;
        }
        joined.text = if texts.is_empty() {
            of_none.to_owned()
        } else {
            format!("({})", texts.join(operator))
        };
        joined
    }
}

impl Predicate {
    /// A field has this value, if one is wanted.
    pub(crate) fn optional(field: Field, value: Option<String>) -> Option<Self> {
        value.map(|value| Self::Is(field, value))
    }

    /// Whether a span is meant.
    pub(super) fn matches(&self, span: &Span) -> bool {
        match self {
            Self::All(all) => all.iter().all(|one| one.matches(span)),
            Self::Any(any) => any.iter().any(|one| one.matches(span)),
            Self::Not(one) => !one.matches(span),
            Self::Is(field, value) => field.is(value, span),
            Self::Attribute(key, value) => has_attribute(span, key, value),
            Self::Status(status) => span.status.code == *status,
            Self::AtLeast(ns) => span.duration_ns() >= *ns,
            Self::AtMost(ns) => span.duration_ns() <= *ns,
            Self::From(ns) => span.start_ns >= *ns,
            Self::To(ns) => span.start_ns <= *ns,
            Self::Holds(words) => words.are_in(span),
        }
    }

    /// The same as SQL over the columns of `span_rows`, as far as they say it. No index is used for it: who walks along a list
    /// names the rows.
    pub(super) fn sql(&self) -> Sql {
        let number = |ns: &u64| vec![SqlValue::from(signed(*ns))];
        match self {
            Self::All(all) => Sql::join(all.iter().map(Self::sql), " AND ", "1"),
            Self::Any(any) => Sql::join(any.iter().map(Self::sql), " OR ", "0"),
            Self::Not(one) => match one.sql() {
                // What a column does not say it does not say otherwise either.
                sql if sql.is_exact => Sql {
                    text: format!("NOT coalesce({}, 0)", sql.text),
                    ..sql
                },
                _ => Sql::nothing(),
            },
            Self::Is(field, value) => match field.column() {
                Some(column) => Sql::exact(
                    format!("+{column} = {}", field.value()),
                    vec![value.clone().into()],
                ),
                None => Sql::nothing(),
            },
            Self::Attribute(..) | Self::Holds(_) => Sql::nothing(),
            Self::Status(status) => Sql::exact(format!("+status = {}", *status as u8), Vec::new()),
            // Never negative, as the model has it.
            Self::AtLeast(ns) => Sql::exact("max(took_ns, 0) >= ?", number(ns)),
            Self::AtMost(ns) => Sql::exact("max(took_ns, 0) <= ?", number(ns)),
            Self::From(ns) => Sql::exact("+start_ns >= ?", number(ns)),
            Self::To(ns) => Sql::exact("+start_ns <= ?", number(ns)),
        }
    }

    /// Lists in each of which every span stands that is meant, with the text that they are about.
    pub(super) fn lists(&self) -> Vec<(List, &str)> {
        match self {
            Self::All(all) => all.iter().flat_map(Self::lists).collect(),
            Self::Is(field, value) => {
                let list = field.list();
                list.map(|list| (list, value.as_str()))
                    .into_iter()
                    .collect()
            }
            Self::Status(StatusCode::Error) => vec![(List::Failed, "")],
            _ => Vec::new(),
        }
    }

    /// First and last start of the spans that can be meant, ns since the Unix epoch.
    pub(super) fn starts(&self) -> (u64, u64) {
        match self {
            Self::All(all) => all
                .iter()
                .map(Self::starts)
                .fold((0, u64::MAX), |(from, to), (other_from, other_to)| {
                    (from.max(other_from), to.min(other_to))
                }),
            Self::From(ns) => (*ns, u64::MAX),
            Self::To(ns) => (0, *ns),
            _ => (0, u64::MAX),
        }
    }
}
