//! Names to choose from: services, and what begins with some letters.

use std::collections::BTreeSet;
use std::str::FromStr;

use rusqlite::Connection;
use serde::Serialize;
use utoipa::ToSchema;

use super::Query;
use super::topology::topic;
use crate::error::{QueryError, StoreError};
use crate::store::blocks::{self, List};
use crate::store::names::Names as Texts;
use crate::store::row::{SELECT, SpanReader};

/// Names of one answer.
const MAX_NAMES: usize = 20;
/// Publishes among which topics are looked for, the newest ones.
const MAX_PUBLISHES: usize = 2_000;

/// A service, and how many operations it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Different names and kinds of its spans.
    pub operations: u64,
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Suggest {
    /// Ids of agents.
    Agent,
    /// Names of services.
    Service,
    /// Names of spans.
    Operation,
    /// Topics of the newest events.
    Topic,
    /// Ids of workflows.
    Workflow,
}

impl FromStr for Suggest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "agent" => Ok(Self::Agent),
            "service" => Ok(Self::Service),
            "operation" => Ok(Self::Operation),
            "topic" => Ok(Self::Topic),
            "workflow" => Ok(Self::Workflow),
            _ => Err(format!(
                "must be agent, service, operation, topic or workflow, got {text:?}"
            )),
        }
    }
}

impl Query {
    /// All services by name.
    pub async fn service_list(&self) -> Result<Vec<Service>, QueryError> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT name, (SELECT count(*) FROM operations WHERE service = services.name) FROM services
                 ORDER BY name",
            )?;
            let services = statement.query_map([], |row| {
                Ok(Service {
                    name: row.get(0)?,
                    operations: row.get::<_, i64>(1)?.unsigned_abs(),
                })
            })?;
            Ok(services.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Names that begin with these letters, upper or lower case alike: 20 at most, sorted.
    pub async fn suggest(&self, field: Suggest, prefix: String) -> Result<Vec<String>, QueryError> {
        self.read(move |conn| suggest(conn, field, &prefix)).await
    }
}

fn suggest(conn: &Connection, field: Suggest, prefix: &str) -> Result<Vec<String>, StoreError> {
    let prefix = prefix.to_lowercase();
    let mut found = BTreeSet::new();
    let mut take = |name: &str| {
        if name.to_lowercase().starts_with(&prefix) {
            found.insert(name.to_owned());
        }
    };
    match field {
        Suggest::Topic => newest_topics(conn, take)?,
        Suggest::Agent => each_used(conn, List::Agent, take)?,
        Suggest::Workflow => each_used(conn, List::Workflow, take)?,
        Suggest::Service | Suggest::Operation => {
            let sql = if field == Suggest::Service {
                "SELECT name FROM services"
            } else {
                "SELECT DISTINCT name FROM operations"
            };
            let mut statement = conn.prepare_cached(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                take(&row.get::<_, String>(0)?);
            }
        }
    }
    Ok(found.into_iter().take(MAX_NAMES).collect())
}

/// Whom the spans of any block are about.
fn each_used(conn: &Connection, list: List, mut take: impl FnMut(&str)) -> Result<(), StoreError> {
    let mut names = Texts::new(conn);
    for value in blocks::values(conn, list, i64::MIN..=i64::MAX)? {
        names.find(value)?.map(&mut take);
    }
    Ok(())
}

fn newest_topics(conn: &Connection, mut take: impl FnMut(&str)) -> Result<(), StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "{SELECT} WHERE role = 2 ORDER BY start_ns DESC LIMIT {MAX_PUBLISHES}"
    ))?;
    let mut rows = statement.query([])?;
    let mut reader = SpanReader::new(conn);
    while let Some(row) = rows.next()? {
        if let Some(topic) = topic(&reader.span(row)?.attributes) {
            take(topic);
        }
    }
    Ok(())
}
