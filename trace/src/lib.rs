//! From OTLP to an answered query. Knows nothing of the bus.
//!
//! The data goes in one direction, each step is one room:
//!
//! | room | what happens there |
//! | --- | --- |
//! | [`collector`] | OTLP/gRPC and OTLP/HTTP doors: limit, decompress, answer |
//! | [`otlp`] | look at the bytes at the door; decode them behind the spool |
//! | [`spool`] | append-only log: what was acknowledged survives `kill -9` |
//! | `indexer` | one thread: spool to database, retention |
//! | [`model`] | a span as plain data |
//! | [`measure`], [`prices`] | figures of model calls and handlers |
//! | [`store`] | SQLite: one writer, several readers |
//! | [`query`] | trace by id, search, services, operations |
//! | [`check`] | what is wrong with a trace |
//! | [`outline`] | a trace without the bodies of its spans |
//! | [`critical_path`] | what the duration of a trace was spent on |
//! | [`tree`] | a trace as a tree, and as a waterfall in the terminal |
//! | [`api`] | HTTP: Jaeger's JSON, a page for humans, metrics |
//!
//! [`TraceStore`] is the handle over all of it.

pub mod api;
pub mod check;
pub mod collector;
pub mod config;
mod counters;
pub mod critical_path;
pub mod error;
mod indexer;
pub mod measure;
pub mod model;
pub mod otlp;
pub mod outline;
mod packing;
pub mod prices;
mod published;
pub mod query;
pub mod spool;
pub mod store;
#[cfg(test)]
mod testing;
pub mod time_text;
mod trace_store;
pub mod tree;
pub mod verify;

pub use config::{ApiConfig, CollectorConfig, Config};
pub use counters::CounterValues;
pub use error::{DecodeError, FlushError, IngestError, QueryError, SpoolError, StoreError};
pub use prices::{Prices, PricesError};
pub use published::{PublishStatus, PublishedEvent};
pub use trace_store::{Accepted, Ingest, TraceStore};
