//! The pool of reading connections.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::error::{QueryError, StoreError};

/// SQLite looks at the deadline after this many of its instructions, well below a millisecond.
const INSTRUCTIONS_PER_LOOK: i32 = 10_000;

/// Lends connections to blocking closures. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ReaderPool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
    timeout: Duration,
}

impl ReaderPool {
    /// A pool of at most `size` connections; each query may take `timeout`, the wait for a connection included.
    pub fn new(path: &Path, size: usize, timeout: Duration) -> Self {
        Self {
            shared: Arc::new(Shared {
                path: path.to_owned(),
                permits: Arc::new(Semaphore::new(size.max(1))),
                idle: Mutex::new(Vec::new()),
                timeout,
            }),
        }
    }

    /// Runs `work` on a blocking thread in one read transaction: it sees the database at one moment.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, QueryError> {
        let timeout = self.shared.timeout;
        let deadline = Instant::now() + timeout;
        let permit = Arc::clone(&self.shared.permits).acquire_owned();
        let permit = tokio::time::timeout(timeout, permit)
            .await
            .map_err(|_| QueryError::Timeout(timeout))?
            .map_err(|_| QueryError::Cancelled)?;
        let shared = Arc::clone(&self.shared);
        let result = tokio::task::spawn_blocking(move || {
            // Held to the end of the work, even when nobody waits for the answer any more.
            let _permit = permit;
            shared.run(deadline, work)
        });
        match result.await.map_err(|_| QueryError::Cancelled)? {
            Err(StoreError::Sqlite(error)) if interrupted(&error) => {
                Err(QueryError::Timeout(timeout))
            }
            result => Ok(result?),
        }
    }
}

impl Shared {
    fn run<T>(
        &self,
        deadline: Instant,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = self.idle.lock().pop();
        let mut conn = match idle {
            Some(conn) => conn,
            None => super::open_reader(&self.path)?,
        };
        conn.progress_handler(
            INSTRUCTIONS_PER_LOOK,
            Some(move || Instant::now() >= deadline),
        )?;
        let transaction = conn.transaction()?;
        let result = work(&transaction);
        drop(transaction);
        // A connection that has failed is not lent again.
        if result.is_ok() {
            self.idle.lock().push(conn);
        }
        result
    }
}

fn interrupted(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted)
}
