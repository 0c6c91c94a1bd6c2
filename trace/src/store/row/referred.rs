//! What rows refer to by number, each read once.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};
use rustc_hash::FxHashMap;

use super::from_json;
use crate::error::StoreError;
use crate::model::{Resource, Scope, TraceId};
use crate::store::names::Names;
use crate::store::shape::Shape;

/// Texts, resources, scopes and traces by their numbers.
#[derive(Debug)]
pub(crate) struct Referred<'c> {
    conn: &'c Connection,
    pub(crate) names: Names<'c>,
    resources: FxHashMap<i64, Arc<Resource>>,
    scopes: FxHashMap<i64, Arc<Scope>>,
    /// The last one that was asked for: spans of one trace come together.
    trace: Option<(i64, TraceId)>,
}

impl<'c> Referred<'c> {
    pub(super) fn new(conn: &'c Connection) -> Self {
        Self {
            conn,
            names: Names::new(conn),
            resources: FxHashMap::default(),
            scopes: FxHashMap::default(),
            trace: None,
        }
    }

    /// The id of that trace.
    pub(super) fn trace(&mut self, number: i64) -> Result<TraceId, StoreError> {
        if let Some((last, id)) = self.trace
            && last == number
        {
            return Ok(id);
        }
        let id: [u8; 16] = self
            .conn
            .prepare_cached("SELECT trace_id FROM traces WHERE id = ?1")?
            .query_row([number], |row| row.get(0))?;
        let id = TraceId::from_bytes(&id).ok_or_else(|| super::not_an_id(0))?;
        self.trace = Some((number, id));
        Ok(id)
    }

    /// The resource of that number; an empty one if the row has gone.
    pub(crate) fn resource(&mut self, number: i64) -> Result<Arc<Resource>, StoreError> {
        let sql = "SELECT body FROM resources WHERE id = ?1";
        read_once(&mut self.resources, number, || {
            from_json("resource", body(self.conn, sql, number)?.as_deref())
        })
    }

    /// The scope of that number; an empty one if the row has gone.
    pub(crate) fn scope(&mut self, number: i64) -> Result<Arc<Scope>, StoreError> {
        let sql = "SELECT body FROM scopes WHERE id = ?1";
        read_once(&mut self.scopes, number, || {
            from_json("scope", body(self.conn, sql, number)?.as_deref())
        })
    }

    /// The shape of that number, which the caller remembers; an empty one if the row has gone.
    pub(super) fn shape(&self, number: i64) -> Result<Shape, StoreError> {
        let body = body(self.conn, "SELECT body FROM shapes WHERE id = ?1", number)?;
        let shape = body.map(|body| Shape::from_json(&body)).transpose();
        let shape = shape.map_err(|source| StoreError::Corrupt {
            what: "shape",
            source,
        })?;
        Ok(shape.unwrap_or_default())
    }
}

fn read_once<T>(
    known: &mut FxHashMap<i64, Arc<T>>,
    number: i64,
    read: impl FnOnce() -> Result<T, StoreError>,
) -> Result<Arc<T>, StoreError> {
    let found = match known.entry(number) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(new) => new.insert(Arc::new(read()?)),
    };
    Ok(Arc::clone(found))
}

fn body(conn: &Connection, sql: &str, number: i64) -> Result<Option<String>, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement.query_row([number], |row| row.get(0)).optional()?)
}
