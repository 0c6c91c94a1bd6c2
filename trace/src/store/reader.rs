//! The pool of readers.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::error::{QueryError, StoreError};

/// SQLite looks at the deadline after this many of its instructions, well below a millisecond.
const INSTRUCTIONS_PER_LOOK: i32 = 10_000;

/// Runs closures on threads of its own, each with a connection. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ReaderPool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    permits: Arc<Semaphore>,
    /// Threads that wait for work. Who came last is taken first: one question after the other is answered by one thread,
    /// which finds the pages and the memory of the one before.
    idle: Mutex<Vec<Reader>>,
    timeout: Duration,
}

/// A thread that reads, by the way in which it is given work. It ends when this is dropped.
#[derive(Debug)]
struct Reader(mpsc::SyncSender<Job>);

/// Is given the thread's connection, if it has one.
type Job = Box<dyn FnOnce(&mut Option<Connection>) + Send>;

impl Reader {
    fn start(path: &Path) -> Result<Self, StoreError> {
        // It is given a job when it has none: one has room while it goes back to its queue.
        let (jobs, next) = mpsc::sync_channel::<Job>(1);
        let read = move || {
            let mut conn = None;
            for job in next {
                job(&mut conn);
            }
        };
        let thread = thread::Builder::new().name("loom-reader".to_owned());
        thread.spawn(read).map_err(|source| StoreError::Io {
            action: "start a thread that reads",
            path: path.to_owned(),
            source,
        })?;
        Ok(Self(jobs))
    }
}

impl ReaderPool {
    /// A pool of at most `size` threads; each query may take `timeout`, the wait for a thread included.
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

    /// Runs `work` on a reading thread in one read transaction: it sees the database at one moment. It runs to its end even when
    /// nobody waits for the answer any more.
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
        match self.start(permit, deadline, work)?.await {
            Ok(Err(StoreError::Sqlite(error))) if interrupted(&error) => {
                Err(QueryError::Timeout(timeout))
            }
            Ok(result) => Ok(result?),
            // The work has panicked, and its thread is gone.
            Err(_) => Err(QueryError::Cancelled),
        }
    }

    /// Hands the work to a thread.
    fn start<T: Send + 'static>(
        &self,
        permit: OwnedSemaphorePermit,
        deadline: Instant,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T, StoreError>>, StoreError> {
        let idle = self.shared.idle.lock().pop();
        let reader = match idle {
            Some(reader) => reader,
            None => Reader::start(&self.shared.path)?,
        };
        let (answer, answered) = oneshot::channel();
        let jobs = reader.0.clone();
        let shared = Arc::clone(&self.shared);
        let job: Job = Box::new(move |conn| {
            let result = shared.run(conn, deadline, work);
            // In this order, so that whoever asks next is given this thread.
            shared.idle.lock().push(reader);
            drop(permit);
            // Nobody may wait for it any more.
            _ = answer.send(result);
        });
        // Were the thread gone, the answer's sender would go with the job.
        _ = jobs.send(job);
        Ok(answered)
    }
}

impl Shared {
    fn run<T>(
        &self,
        held: &mut Option<Connection>,
        deadline: Instant,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut conn = match held.take() {
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
        // A connection that has failed is not used again.
        if result.is_ok() {
            *held = Some(conn);
        }
        result
    }
}

fn interrupted(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread::ThreadId;

    use super::*;
    use crate::store::{FILE, open};

    fn pool(size: usize) -> (tempfile::TempDir, ReaderPool) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(FILE);
        open(&path).expect("created");
        (dir, ReaderPool::new(&path, size, Duration::from_secs(30)))
    }

    async fn thread_of_a_question(pool: &ReaderPool) -> ThreadId {
        let asked = pool.read(|_| Ok(thread::current().id()));
        asked.await.expect("answered")
    }

    #[tokio::test]
    async fn one_question_after_the_other_is_answered_by_one_thread() {
        let (_dir, pool) = pool(4);
        let mut threads = HashSet::new();
        for _ in 0..50 {
            threads.insert(thread_of_a_question(&pool).await);
        }
        assert_eq!(threads.len(), 1);
    }

    #[tokio::test]
    async fn as_many_questions_are_answered_at_once_as_there_may_be_threads() {
        let (_dir, pool) = pool(2);
        // Each goes on when the other one is there.
        let (first, there) = mpsc::sync_channel(1);
        let (second, back) = mpsc::sync_channel(1);
        let one = pool.read(move |_| {
            first.send(()).expect("the other waits");
            Ok(back.recv().is_ok())
        });
        let other = pool.read(move |_| {
            second.send(()).expect("the other waits");
            Ok(there.recv().is_ok())
        });
        let (one, other) = tokio::join!(one, other);
        assert!(one.expect("answered") && other.expect("answered"));
    }

    #[tokio::test]
    async fn a_panic_is_the_end_of_one_question_alone() {
        let (_dir, pool) = pool(1);
        let before = thread_of_a_question(&pool).await;
        let panics = pool.read(|_| -> Result<(), StoreError> { panic!("on purpose") });
        assert!(matches!(panics.await, Err(QueryError::Cancelled)));
        assert_ne!(thread_of_a_question(&pool).await, before);
    }
}
