//! What the native part has to say, on its way to Python's logger `loom`.
//!
//! The I/O thread and the exporter write `tracing` events. They must not wait for the GIL, so the lines stand in a bounded
//! queue until an agent's event loop, or a flush, hands them to `logging`.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::link::Link;

/// Lines that wait; more are dropped.
const LIMIT: usize = 256;

/// A line and its level, in the numbers of Python's `logging`.
pub(crate) type Line = (u8, String);

static LINES: Mutex<VecDeque<Line>> = Mutex::new(VecDeque::new());
static WAITING: AtomicBool = AtomicBool::new(false);
/// Whom to wake for a new line.
static LISTENERS: Mutex<Vec<Weak<Link>>> = Mutex::new(Vec::new());

/// Collects the lines of our own crates from INFO up; spans of `tracing` are not used here.
struct Collector;

/// Starts the collection. Another subscriber of the same process image is impossible: the extension has its own `tracing`.
pub(crate) fn install() {
    // A second import of the extension finds the first one's subscriber, which is as good.
    let _installed_before = tracing::subscriber::set_global_default(Collector);
}

/// This client's event loop takes lines.
pub(crate) fn listen(link: Weak<Link>) {
    let mut listeners = LISTENERS.lock();
    listeners.retain(|link| link.strong_count() > 0);
    listeners.push(link);
}

/// The clients that are there.
pub(crate) fn listeners() -> Vec<std::sync::Arc<Link>> {
    LISTENERS.lock().iter().filter_map(Weak::upgrade).collect()
}

/// The child of a fork does not tell its parent's lines. A lock that was held by another thread stays as it is: then the
/// child has no lines of the I/O thread, which it does not have either.
pub(crate) fn forked() {
    WAITING.store(false, Ordering::Release);
    if let Some(mut lines) = LINES.try_lock() {
        lines.clear();
    }
    if let Some(mut listeners) = LISTENERS.try_lock() {
        std::mem::forget(std::mem::take(&mut *listeners));
    }
}

/// Takes the lines that wait.
pub(crate) fn take() -> Vec<Line> {
    if !WAITING.swap(false, Ordering::AcqRel) {
        return Vec::new();
    }
    LINES.lock().drain(..).collect()
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && *metadata.level() <= Level::INFO
            && metadata.target().starts_with("loom_")
    }

    fn new_span(&self, _attributes: &Attributes<'_>) -> Id {
        // Never enabled, yet the trait wants an id, and ids are not zero.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Id::from_u64(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let level = match *event.metadata().level() {
            Level::ERROR => 40,
            Level::WARN => 30,
            _ => 20,
        };
        {
            let mut lines = LINES.lock();
            if lines.len() >= LIMIT {
                return;
            }
            lines.push_back((level, text.line()));
        }
        WAITING.store(true, Ordering::Release);
        for link in LISTENERS.lock().iter().filter_map(Weak::upgrade) {
            link.inbox.wake.signal();
        }
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

/// `message key=value …`.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn line(self) -> String {
        self.message + &self.fields
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _infallible = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}
