//! The handle: everything that other crates do with traces begins here.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::config::Config;
use crate::counters::{CounterValues, Counters};
use crate::error::{DecodeError, FlushError, IngestError, SpoolError, StoreError};
use crate::indexer::{Indexer, Signal, now_ms};
use crate::otlp::{Rejected, scan};
use crate::packing::pack;
use crate::prices::Prices;
use crate::query::Query;
use crate::spool::{Position, Spool};
use crate::store::reader::ReaderPool;
use crate::store::{self, Writer};

/// A running trace store. Cheap to clone; the indexer thread ends with [`TraceStore::close`] or the last clone.
#[derive(Debug, Clone)]
pub struct TraceStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    ingest: Ingest,
    query: Query,
    database: PathBuf,
    indexed: watch::Receiver<Position>,
    indexer: Mutex<Option<JoinHandle<()>>>,
    /// Held for as long as the directory is ours.
    _lock: File,
    /// Dropped last: takes the directory with it.
    _ephemeral: Option<tempfile::TempDir>,
}

impl TraceStore {
    /// Opens the data directory, finishes what an earlier process left in the spool, and starts the indexer.
    ///
    /// # Errors
    /// `Locked` when another process uses the directory.
    pub fn open(config: Config) -> Result<Self, StoreError> {
        let query_timeout = Duration::from_millis(config.query_timeout_ms);
        let ephemeral = if config.ephemeral {
            Some(
                tempfile::Builder::new()
                    .prefix("loom-")
                    .tempdir()
                    .map_err(|source| StoreError::Io {
                        action: "create a temporary directory in",
                        path: std::env::temp_dir(),
                        source,
                    })?,
            )
        } else {
            None
        };
        let dir = ephemeral
            .as_ref()
            .map_or(config.data_dir.as_path(), |temp| temp.path());
        let lock = store::lock(dir)?;
        let database = dir.join(store::FILE);
        let prices = match &config.prices {
            Some(path) => Prices::read(path)?,
            None => Prices::own()?,
        };
        let writer = Writer::open(&database, prices)?;
        let (spool, reader, backlog) =
            Spool::open(&dir.join("spool"), config.spool, writer.position()?)?;

        let counters = Arc::new(Counters::default());
        Counters::add(&counters.backlog, backlog.spans);
        Counters::add(&counters.lag, backlog.spans);
        let indexer = Indexer {
            signal: Arc::default(),
            indexed: watch::Sender::new(reader.position()),
            spool: spool.clone(),
            reader,
            writer,
            counters: Arc::clone(&counters),
            linger: Duration::from_millis(config.linger_ms),
            retention: config.retention,
        };
        let signal = Arc::clone(&indexer.signal);
        let indexed = indexer.indexed.subscribe();
        let thread = std::thread::Builder::new()
            .name("loom-indexer".to_owned())
            .spawn(move || indexer.run())
            .map_err(|source| StoreError::Io {
                action: "start the indexer thread for",
                path: database.clone(),
                source,
            })?;
        signal.work();

        let pool = ReaderPool::new(&database, config.readers, query_timeout);
        Ok(Self {
            inner: Arc::new(Inner {
                ingest: Ingest {
                    shared: Arc::new(IngestShared {
                        spool,
                        signal,
                        counters,
                        closed: AtomicBool::new(false),
                        large_request: tokio::sync::Mutex::default(),
                    }),
                },
                query: Query::new(pool),
                database,
                indexed,
                indexer: Mutex::new(Some(thread)),
                _lock: lock,
                _ephemeral: ephemeral,
            }),
        })
    }

    /// The door for encoded OTLP requests.
    pub fn ingest(&self) -> Ingest {
        self.inner.ingest.clone()
    }

    /// Answers questions about what is stored.
    pub fn query(&self) -> Query {
        self.inner.query.clone()
    }

    /// Counters since the start.
    pub fn counters(&self) -> CounterValues {
        self.inner.ingest.shared.counters.values()
    }

    /// Bytes of the database and the spool on disk.
    pub fn disk_bytes(&self) -> u64 {
        let size = |suffix: &str| {
            let mut path = self.inner.database.clone().into_os_string();
            path.push(suffix);
            fs::metadata(path).map_or(0, |m| m.len())
        };
        size("") + size("-wal") + self.inner.ingest.shared.spool.used_bytes()
    }

    /// True while the indexer runs.
    pub fn is_ready(&self) -> bool {
        self.inner
            .indexer
            .lock()
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
    }

    /// Waits until everything that was accepted before this call can be queried.
    ///
    /// # Errors
    /// When that takes longer than `deadline`. Nothing is lost then: the spans stay in the spool.
    pub async fn flush(&self, deadline: Duration) -> Result<(), FlushError> {
        let shared = &self.inner.ingest.shared;
        let start = Instant::now();
        let target = shared.spool.tail();
        let mut indexed = self.inner.indexed.clone();
        shared.signal.hurry();
        let reached = |at: &Position| *at >= target;
        match tokio::time::timeout(deadline, indexed.wait_for(reached)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(FlushError {
                lag: self.counters().lag,
                waited: start.elapsed(),
            }),
        }
    }

    /// Takes no more spans, flushes, and ends the indexer thread. Queries still work; a second call does nothing.
    ///
    /// # Errors
    /// When not all spans were indexed within `deadline`. They are indexed by the next process, unless the store is
    /// ephemeral.
    pub async fn close(&self, deadline: Duration) -> Result<(), FlushError> {
        let start = Instant::now();
        self.inner
            .ingest
            .shared
            .closed
            .store(true, Ordering::Release);
        let thread = self.inner.indexer.lock().take();
        let Some(thread) = thread else {
            return Ok(());
        };
        let flushed = self.flush(deadline).await;
        self.inner.ingest.shared.signal.stop();
        let end = tokio::task::spawn_blocking(move || thread.join());
        // One transaction and a checkpoint at most; beyond the deadline the thread ends by itself.
        let left = deadline
            .saturating_sub(start.elapsed())
            .max(Duration::from_secs(1));
        match tokio::time::timeout(left, end).await {
            Ok(Ok(Ok(()))) => {}
            Ok(_) => tracing::error!("the indexer thread has panicked"),
            Err(_) => tracing::warn!("the indexer is still ending its last transaction"),
        }
        flushed
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.ingest.shared.closed.store(true, Ordering::Release);
        self.ingest.shared.signal.stop();
        if let Some(thread) = self.indexer.get_mut().take()
            && thread.join().is_err()
        {
            tracing::error!("the indexer thread has panicked");
        }
    }
}

/// The in-process door. Cheap to clone, safe to use from many threads.
#[derive(Debug, Clone)]
pub struct Ingest {
    shared: Arc<IngestShared>,
}

#[derive(Debug)]
struct IngestShared {
    spool: Spool,
    signal: Arc<Signal>,
    counters: Arc<Counters>,
    closed: AtomicBool,
    large_request: tokio::sync::Mutex<()>,
}

/// What became of a request that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accepted {
    /// Spans that will be stored. They survive the death of this process.
    pub spans: u64,
    /// Spans that were left out.
    pub rejected: Rejected,
}

impl Ingest {
    /// Takes an encoded `ExportTraceServiceRequest`: checks it, writes it to the spool, returns.
    ///
    /// Blocks for one write to the page cache, which is microseconds for the usual size; from async code hand large
    /// requests to `spawn_blocking`.
    ///
    /// # Errors
    /// `Malformed`: do not send it again. `Spool` and `Closed`: nothing was kept, send it again later.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a door has no further use for the request, and may not know what becomes of it"
    )]
    pub fn append(&self, request: Bytes) -> Result<Accepted, IngestError> {
        let counters = &self.shared.counters;
        let scanned = scan(&request).map_err(|error| {
            Counters::add(&counters.malformed_requests, 1);
            DecodeError::from(error)
        })?;
        let spans = scanned.accepted();
        self.keep(&request, spans)?;
        counters.rejected(&scanned.rejected);
        Ok(Accepted {
            spans,
            rejected: scanned.rejected,
        })
    }

    /// Takes a request of `spans` spans that this process encoded itself, so that nothing in it needs a check.
    ///
    /// # Errors
    /// Those of [`Ingest::append`] but `Malformed`.
    pub fn append_own(&self, request: &Bytes, spans: u64) -> Result<(), IngestError> {
        self.keep(request, spans)
    }

    fn keep(&self, request: &[u8], spans: u64) -> Result<(), IngestError> {
        let shared = &*self.shared;
        let counters = &shared.counters;
        if shared.closed.load(Ordering::Acquire) {
            Counters::add(&counters.refused_closed, spans);
            return Err(IngestError::Closed);
        }
        if spans > 0 {
            // Before the write, because the indexer may be faster than this thread.
            Counters::add(&counters.lag, spans);
            // A span takes at least 28 bytes, so 32 bits count all spans of a record.
            let result = shared.spool.append(&pack(request), spans as u32, now_ms());
            if let Err(error) = result {
                counters.arrived(spans);
                let reason = match error {
                    SpoolError::Full { .. } => &counters.refused_spool_full,
                    _ => &counters.refused_spool_error,
                };
                Counters::add(reason, spans);
                return Err(error.into());
            }
            shared.signal.work();
        }
        Counters::add(&counters.requests, 1);
        Counters::add(&counters.accepted, spans);
        Ok(())
    }

    /// The turn of a large request.
    pub(crate) async fn large_request(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.shared.large_request.lock().await
    }

    /// Counts a request that was refused before it came here.
    pub(crate) fn count_malformed(&self) {
        Counters::add(&self.shared.counters.malformed_requests, 1);
    }
}
