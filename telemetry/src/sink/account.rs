//! The books of one sink: `handed over = exported + dropped + queued`, at every moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use super::DropReason;

/// The counters of one sink. All of them change under one lock, once for each batch.
#[derive(Debug)]
pub struct Account {
    name: &'static str,
    books: Mutex<Books>,
    settled: Condvar,
}

#[derive(Debug, Default)]
struct Books {
    /// Number of the next batch.
    next: u64,
    /// Batches not yet settled, with their spans.
    open: BTreeMap<u64, usize>,
    exported: u64,
    dropped: DropCounts,
}

/// What became of the spans that were handed to a sink, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkStats {
    /// The sink's name.
    pub name: &'static str,
    /// Spans that reached their destination.
    pub exported: u64,
    /// Spans lost, by reason.
    pub dropped: DropCounts,
    /// Spans not yet settled.
    pub queued: u64,
}

/// Lost spans by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DropCounts([u64; DropReason::ALL.len()]);

/// Spans on their way to one sink. Dropping it without settling counts its spans as [`DropReason::SinkClosed`].
#[derive(Debug)]
#[must_use = "an unsettled batch counts as lost"]
pub struct SpanBatch {
    request: Bytes,
    spans: usize,
    number: u64,
    account: Arc<Account>,
    is_settled: bool,
}

// ---- Account ----

impl Account {
    /// An account for the sink of this name.
    pub fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self {
            name,
            books: Mutex::default(),
            settled: Condvar::new(),
        })
    }

    /// Opens a batch; the pipeline does this for each request and sink, and a test of a sink may.
    pub fn open(self: &Arc<Self>, request: Bytes, spans: usize) -> SpanBatch {
        let mut books = self.books.lock();
        let number = books.next;
        books.next += 1;
        books.open.insert(number, spans);
        SpanBatch {
            request,
            spans,
            number,
            account: Arc::clone(self),
            is_settled: false,
        }
    }

    /// Waits until all batches opened so far are settled; false when the deadline passes first.
    pub fn wait(&self, deadline: Instant) -> bool {
        let mut books = self.books.lock();
        let end = books.next;
        loop {
            if books.open.keys().next().is_none_or(|&first| first >= end) {
                return true;
            }
            if self.settled.wait_until(&mut books, deadline).timed_out() {
                return books.open.keys().next().is_none_or(|&first| first >= end);
            }
        }
    }

    /// The counters, all of one moment.
    pub fn stats(&self) -> SinkStats {
        let books = self.books.lock();
        SinkStats {
            name: self.name,
            exported: books.exported,
            dropped: books.dropped,
            queued: books.open.values().map(|&spans| spans as u64).sum(),
        }
    }
}

// ---- SpanBatch ----

impl SpanBatch {
    /// The encoded OTLP request; cloning it copies nothing.
    pub fn request(&self) -> &Bytes {
        &self.request
    }

    /// How many spans the request holds.
    pub fn spans(&self) -> usize {
        self.spans
    }

    /// The spans have reached their destination.
    pub fn exported(self) {
        self.rejected(0);
    }

    /// The request has arrived, but so many of its spans were rejected.
    pub fn rejected(mut self, spans: u64) {
        let rejected = spans.min(self.spans as u64);
        self.settle(self.spans as u64 - rejected, rejected, DropReason::Rejected);
    }

    /// The spans are lost.
    pub fn dropped(mut self, reason: DropReason) {
        self.settle(0, self.spans as u64, reason);
    }

    fn settle(&mut self, exported: u64, dropped: u64, reason: DropReason) {
        self.is_settled = true;
        let mut books = self.account.books.lock();
        books.open.remove(&self.number);
        books.exported += exported;
        books.dropped.add(reason, dropped);
        drop(books);
        self.account.settled.notify_all();
    }
}

impl Drop for SpanBatch {
    fn drop(&mut self) {
        if !self.is_settled {
            self.settle(0, self.spans as u64, DropReason::SinkClosed);
        }
    }
}

// ---- DropCounts ----

impl DropCounts {
    /// Spans lost for this reason.
    pub fn get(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// Spans lost for any reason.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The reasons that occurred, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> {
        self.all().filter(|(_, count)| *count > 0)
    }

    /// Every reason with its count, those that have not occurred among them.
    pub fn all(&self) -> impl Iterator<Item = (DropReason, u64)> {
        DropReason::ALL.into_iter().zip(self.0)
    }

    pub(crate) fn add(&mut self, reason: DropReason, spans: u64) {
        self.0[reason as usize] += spans;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn passed() -> Instant {
        Instant::now()
    }

    #[test]
    fn each_batch_is_settled_once_and_adds_up() {
        let account = Account::new("test");
        account.open(Bytes::new(), 1).exported();
        account.open(Bytes::new(), 10).rejected(3);
        account.open(Bytes::new(), 10).rejected(u64::MAX);
        account.open(Bytes::new(), 100).dropped(DropReason::Expired);
        drop(account.open(Bytes::new(), 1000));
        let waiting = account.open(Bytes::new(), 10_000);

        let stats = account.stats();
        assert_eq!((stats.exported, stats.queued), (8, 10_000));
        assert_eq!(
            stats.dropped.iter().collect::<Vec<_>>(),
            [
                (DropReason::Expired, 100),
                (DropReason::Rejected, 13),
                (DropReason::SinkClosed, 1000),
            ]
        );
        waiting.exported();
        assert_eq!(account.stats().queued, 0);
    }

    #[test]
    fn waiting_is_for_what_was_opened_before_it() {
        let account = Account::new("test");
        assert!(account.wait(passed()));
        let first = account.open(Bytes::new(), 1);
        let second = account.open(Bytes::new(), 1);
        second.exported();
        assert!(!account.wait(passed()), "the first is still open");

        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| account.wait(Instant::now() + Duration::from_secs(60)));
            first.exported();
            assert!(waiter.join().expect("no panic"));
        });
    }

    #[test]
    fn a_reason_stands_at_its_place() {
        for (place, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
        }
    }
}
