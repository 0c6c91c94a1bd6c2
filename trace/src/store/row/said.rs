//! Some attributes of many rows: what else a row says is not looked at.

use std::collections::hash_map::Entry;
use std::rc::Rc;

use rusqlite::{Connection, Row};
use rustc_hash::FxHashMap;

use super::event::{Event, uuid_text};
use super::referred::Referred;
use super::{from_json, json_text, span_id};
use crate::error::StoreError;
use crate::model::{Attributes, Value};
use crate::store::shape::{Column, Shape};

/// The columns of a row with which [`SaidReader::said`] begins, and how many they are.
pub(crate) const SAID: &str =
    "trace, span_id, shape, own, event, agent, workflow, session, user, tenant, thread";
pub(crate) const SAID_WIDTH: usize = 11;
/// Where the span's id is among them.
pub(crate) const SAID_SPAN_ID: usize = 1;

/// Reads the attributes with some keys.
#[derive(Debug)]
pub(crate) struct SaidReader<'c> {
    keys: &'static [&'static str],
    shapes: FxHashMap<i64, Part>,
    /// For the other columns of a row.
    pub(crate) referred: Referred<'c>,
}

/// What a shape tells of the keys.
#[derive(Debug)]
enum Part {
    /// Every row with this shape says the same.
    Same(Rc<Attributes>),
    /// The values stand beside the row, some of them at least.
    Own(Shape),
}

impl Part {
    fn of(shape: Shape) -> Self {
        match shape.constants() {
            Some(same) => Self::Same(Rc::new(same)),
            None => Self::Own(shape),
        }
    }
}

impl<'c> SaidReader<'c> {
    /// A reader of the attributes with these keys.
    pub(crate) fn new(conn: &'c Connection, keys: &'static [&'static str]) -> Self {
        Self {
            keys,
            shapes: FxHashMap::default(),
            referred: Referred::new(conn),
        }
    }

    /// What a row that begins with [`SAID`] says, in the order in which it says it.
    pub(crate) fn said(&mut self, row: &Row<'_>) -> Result<Rc<Attributes>, StoreError> {
        let keys = self.keys;
        let Some(number) = row.get::<_, Option<i64>>(2)? else {
            let mut all: Attributes = from_json("attributes", json_text(row, 3)?)?;
            all.0.retain(|(key, _)| keys.contains(&key.as_str()));
            return Ok(Rc::new(all));
        };
        let part = match self.shapes.entry(number) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Part::of(self.referred.shape(number)?.only(keys))),
        };
        match part {
            Part::Same(said) => Ok(Rc::clone(said)),
            Part::Own(shape) => {
                let own: Vec<Value> = from_json("attributes", json_text(row, 3)?)?;
                let referred = &mut self.referred;
                let said = shape.attributes(&own, |column| value(referred, row, column))?;
                Ok(Rc::new(said))
            }
        }
    }
}

/// What a column of a row that begins with [`SAID`] says.
fn value(referred: &mut Referred<'_>, row: &Row<'_>, column: Column) -> Result<Value, StoreError> {
    let name = match column {
        Column::Trace => return Ok(Value::String(referred.trace(row.get(0)?)?.to_string())),
        Column::Span => return Ok(Value::String(span_id(row, SAID_SPAN_ID)?.to_string())),
        Column::Event => {
            let event: Option<Event> = row.get(4)?;
            return Ok(event.map_or(Value::Empty, |event| Value::String(uuid_text(event))));
        }
        Column::Agent => 5,
        Column::Workflow => 6,
        Column::Session => 7,
        Column::User => 8,
        Column::Tenant => 9,
        Column::Thread => 10,
    };
    let Some(number) = row.get::<_, Option<i64>>(name)? else {
        return Ok(Value::Empty);
    };
    Ok(Value::String(referred.names.text(number)?))
}
