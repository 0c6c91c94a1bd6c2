//! How attributes are stored: what many spans have in common once, as a shape, and beside each span the rest.
//!
//! A shape is a list of keys. Each value is either a constant of the shape, or a column of the span's row (its ids, whom it
//! is about), or it stands in the row's own list of values. All of it is JSON, so that the view `spans` puts the attributes together
//! with SQLite's own functions: `[["topic",1,"sensor.data"],["event_id",2,"event"],["messaging.message.body.size",0,0]]`.

use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::model::value::to_json;
use crate::model::{Attributes, Identity, SpanId, TraceId, Value};

/// A column of the row that says what an attribute says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Column {
    /// Lower-case hex.
    Trace,
    /// Lower-case hex.
    Span,
    /// A UUID as lower-case text.
    Event,
    /// And the six of [`Identity`].
    Agent,
    /// See there.
    Workflow,
    /// See there.
    Session,
    /// See there.
    User,
    /// See there.
    Tenant,
    /// See there.
    Thread,
}

impl Column {
    /// Ids first: hardly anything else is as long.
    pub(super) const ALL: [Self; 9] = [
        Self::Event,
        Self::Trace,
        Self::Span,
        Self::Agent,
        Self::Workflow,
        Self::Session,
        Self::User,
        Self::Tenant,
        Self::Thread,
    ];
}

/// Where a value stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Place {
    /// In the row's list.
    Listed(usize),
    /// In the shape.
    Constant(Value),
    /// In a column of the row.
    Column(Column),
}

/// The keys of attributes, and where their values are.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Shape(pub(super) Vec<(String, Place)>);

/// What else is known of a row.
#[derive(Debug)]
pub(super) struct Known<'a> {
    /// Its trace.
    pub(super) trace_id: TraceId,
    /// Its id.
    pub(super) span_id: SpanId,
    /// The event that it is about, a UUID as text.
    pub(super) event: Option<&'a str>,
    /// Whom it is about.
    pub(super) who: &'a Identity,
}

impl Known<'_> {
    /// Whether a column says this.
    pub(super) fn says(&self, column: Column, text: &str) -> bool {
        match column {
            Column::Trace => is_hex(self.trace_id.as_bytes(), text),
            Column::Span => is_hex(self.span_id.as_bytes(), text),
            _ => self.text(column).is_some_and(|said| said == text),
        }
    }

    fn text(&self, column: Column) -> Option<&str> {
        match column {
            Column::Trace | Column::Span => None,
            Column::Event => self.event,
            Column::Agent => self.who.agent.as_deref(),
            Column::Workflow => self.who.workflow.as_deref(),
            Column::Session => self.who.session.as_deref(),
            Column::User => self.who.user.as_deref(),
            Column::Tenant => self.who.tenant.as_deref(),
            Column::Thread => self.who.thread.as_deref(),
        }
    }

    /// What a column says.
    pub(super) fn value(&self, column: Column) -> Value {
        match column {
            Column::Trace => Value::String(self.trace_id.to_string()),
            Column::Span => Value::String(self.span_id.to_string()),
            _ => self.text(column).map_or(Value::Empty, Value::from),
        }
    }
}

/// Whether a text is these bytes in lower-case hex.
fn is_hex(bytes: &[u8], text: &str) -> bool {
    let digit = |digit: u8| char::from_digit(u32::from(digit), 16).map(|digit| digit as u8);
    let mut pairs = text.as_bytes().chunks_exact(2).zip(bytes);
    text.len() == 2 * bytes.len()
        && pairs.all(|(pair, byte)| {
            digit(byte >> 4) == Some(pair[0]) && digit(byte & 15) == Some(pair[1])
        })
}

impl Shape {
    /// The attributes of a row that lists these values; `column` tells what its columns say.
    pub(super) fn attributes(
        &self,
        values: &[Value],
        mut column: impl FnMut(Column) -> Result<Value, StoreError>,
    ) -> Result<Attributes, StoreError> {
        let pairs = self.0.iter().map(|(key, place)| {
            let value = match place {
                Place::Listed(at) => values.get(*at).cloned().unwrap_or(Value::Empty),
                Place::Constant(value) => value.clone(),
                Place::Column(named) => column(*named)?,
            };
            Ok((key.clone(), value))
        });
        pairs.collect::<Result<_, _>>().map(Attributes)
    }

    /// Without all other keys.
    pub(super) fn only(mut self, keys: &[&str]) -> Self {
        self.0.retain(|(key, _)| keys.contains(&key.as_str()));
        self
    }

    /// The attributes of every row, if they are the same.
    pub(super) fn constants(&self) -> Option<Attributes> {
        let pairs = self.0.iter().map(|(key, place)| match place {
            Place::Constant(value) => Some((key.clone(), value.clone())),
            Place::Listed(_) | Place::Column(_) => None,
        });
        Some(Attributes(pairs.collect::<Option<_>>()?))
    }

    /// As it is stored.
    pub(super) fn to_json(&self) -> String {
        let part = |(key, place): &(String, Place)| match place {
            Place::Listed(at) => to_json(&(key, 0, at)),
            Place::Constant(value) => to_json(&(key, 1, value)),
            Place::Column(column) => to_json(&(key, 2, column)),
        };
        let parts: Vec<_> = self.0.iter().map(part).collect();
        format!("[{}]", parts.join(","))
    }

    /// Undoes the JSON.
    pub(super) fn from_json(json: &str) -> serde_json::Result<Self> {
        let parts: Vec<(String, u8, serde_json::Value)> = serde_json::from_str(json)?;
        let place = |(key, kind, what): (String, u8, serde_json::Value)| {
            let place = match kind {
                0 => Place::Listed(serde_json::from_value(what)?),
                1 => Place::Constant(serde_json::from_value(what)?),
                _ => Place::Column(serde_json::from_value(what)?),
            };
            Ok((key, place))
        };
        Ok(Self(
            parts.into_iter().map(place).collect::<Result<_, _>>()?,
        ))
    }
}
