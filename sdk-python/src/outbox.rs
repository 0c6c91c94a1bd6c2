//! Events on their way out: encoded once, batched by what is there, kept until the server has settled them.
//!
//! [`Outbox::publish`] writes the event straight into the open batch; the connection takes whole batches as frames. Every
//! event has a number, counted from 1 over the life of the client. On a stream the server counts from 1 again, so the
//! outbox remembers how many were settled when the stream began. What was sent and is not acknowledged stays here and
//! goes out again on the next stream under the same event ids: delivery to the bus is at least once. Outcomes of
//! acknowledged deliveries stand behind the events that were published before them, see `outcomes`.
//!
//! Bounds: events and bytes that are not settled. Beyond them `publish` says so and the caller waits for room.

use std::collections::VecDeque;
use std::task::{Poll, Waker};

use bytes::Bytes;
use loom_proto::frame::{BATCH_BYTES, Frame};
use loom_proto::v1;
use loom_proto::wire::{self, EventParts, number};
use parking_lot::Mutex;

mod batch;
mod control;
mod outcomes;

use batch::Batch;
pub(crate) use control::Control;
pub(crate) use outcomes::OutcomeStats;
use outcomes::Outcomes;

/// Events that may be without acknowledgement until the server's Welcome says otherwise.
const FIRST_WINDOW: u64 = 4096;

/// How an attempt to publish ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Publish {
    /// Taken, under this number.
    Taken(u64),
    /// No room: try again after the next [`Settled::writable`].
    Full,
    /// The client has closed: nothing is sent any more.
    Closed,
}

/// What an acknowledgement changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    /// Somebody waits for room, and now there is some.
    pub(crate) writable: bool,
    /// Somebody waits for the settlement of an event up to this number.
    pub(crate) confirmed: Option<u64>,
}

/// The counters of an outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OutboxStats {
    /// Events taken from the agent.
    pub(crate) published: u64,
    /// Events that the server has settled.
    pub(crate) settled: u64,
    /// Events sent a second time after a lost connection.
    pub(crate) resent: u64,
    /// Events given up when the client closed.
    pub(crate) unconfirmed: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    byte_limit: usize,
}

#[derive(Debug)]
struct State {
    /// Being filled.
    open: Vec<u8>,
    open_events: u64,
    /// Full or to be sent again; oldest first.
    ready: VecDeque<Batch>,
    /// On the stream, not settled; oldest first.
    sent: VecDeque<Batch>,
    /// Events in `sent`.
    in_flight: u64,
    /// Bytes in all three.
    bytes: usize,
    assigned: u64,
    settled: u64,
    resent: u64,
    unconfirmed: u64,
    /// Value of `settled` when the stream began.
    stream_base: u64,
    /// Which stream may take frames: an older one that is still being torn down must not.
    stream: u64,
    window: u64,
    control: Control,
    outcomes: Outcomes,
    connection: Connection,
    is_closed: bool,
    somebody_waits: bool,
    /// The server is to be asked to acknowledge what was sent.
    ask: bool,
    /// Numbers whose settlement somebody waits for, ascending.
    confirms: VecDeque<u64>,
}

#[derive(Debug)]
enum Connection {
    /// Nothing may be taken.
    Down,
    /// Hello was said: nothing may be taken before Welcome.
    Greeting(Option<Waker>),
    /// The stream is open; the waker is set when it found nothing.
    Up(Option<Waker>),
    /// The same, and it ends when all has been taken.
    Leaving(Option<Waker>),
}

impl Outbox {
    pub(crate) fn new(byte_limit: usize) -> Self {
        Self {
            state: Mutex::new(State {
                open: Vec::new(),
                open_events: 0,
                ready: VecDeque::new(),
                sent: VecDeque::new(),
                in_flight: 0,
                bytes: 0,
                assigned: 0,
                settled: 0,
                resent: 0,
                unconfirmed: 0,
                stream_base: 0,
                stream: 0,
                window: FIRST_WINDOW,
                control: Control::default(),
                outcomes: Outcomes::default(),
                connection: Connection::Down,
                is_closed: false,
                somebody_waits: false,
                ask: false,
                confirms: VecDeque::new(),
            }),
            byte_limit,
        }
    }

    /// Takes an event. `confirm` asks for [`Settled::confirmed`] when it is settled.
    pub(crate) fn publish(&self, event: &EventParts<'_>, confirm: bool) -> Publish {
        let mut state = self.state.lock();
        if state.is_closed {
            return Publish::Closed;
        }
        if state.outstanding() >= state.window || state.bytes >= self.byte_limit {
            state.somebody_waits = true;
            let waker = state.ask();
            drop(state);
            wake(waker);
            return Publish::Full;
        }
        let before = state.open.len();
        wire::put_event(&mut state.open, event);
        state.bytes += state.open.len() - before;
        state.open_events += 1;
        state.assigned += 1;
        let number = state.assigned;
        if confirm {
            state.confirms.push_back(number);
            state.ask = true;
        }
        if state.open.len() >= BATCH_BYTES {
            state.close_batch();
        }
        let waker = state.take_waker();
        drop(state);
        wake(waker);
        Publish::Taken(number)
    }

    /// Changes what is to be said beside events.
    pub(crate) fn control<T>(&self, change: impl FnOnce(&mut Control) -> T) -> T {
        let mut state = self.state.lock();
        let result = change(&mut state.control);
        let waker = state.take_waker();
        drop(state);
        wake(waker);
        result
    }

    /// Takes the outcome of a delivery that came on `stream`; it goes out when all that was taken so far is settled. Where
    /// that stream is gone it is dropped, and the server delivers again. True: the delivery's credit may come back at once,
    /// since there are at most `free` outcomes; else it comes with [`Outbox::take_left_outcomes`].
    #[must_use]
    pub(crate) fn answer(&self, stream: u64, outcome: &v1::Outcome, free: usize) -> bool {
        let mut state = self.state.lock();
        if !state.is_open(stream) {
            state.outcomes.count_late();
            return true;
        }
        let after = state.assigned;
        let is_free = state.outcomes.put(after, outcome, free);
        state.ask |= after > state.settled;
        let waker = state.take_waker();
        drop(state);
        wake(waker);
        is_free
    }

    /// Whether outcomes of deliveries that came on `stream` can reach the server.
    pub(crate) fn is_open(&self, stream: u64) -> bool {
        self.state.lock().is_open(stream)
    }

    /// How many outcomes that kept credit were sent or dropped since the last look.
    pub(crate) fn take_left_outcomes(&self) -> u32 {
        self.state.lock().outcomes.take_left()
    }

    /// Asks for [`Settled::confirmed`] when all that was taken so far is settled. `None`: it is already.
    pub(crate) fn confirm_all(&self) -> Option<u64> {
        let mut state = self.state.lock();
        let last = state.assigned;
        if state.settled == last {
            return None;
        }
        if state.confirms.back() != Some(&last) {
            state.confirms.push_back(last);
        }
        let waker = state.ask();
        drop(state);
        wake(waker);
        Some(last)
    }

    /// A stream begins with Hello. Returns its number for [`Outbox::poll_frame`].
    pub(crate) fn greet(&self) -> u64 {
        let mut state = self.state.lock();
        state.control = Control::default();
        state.outcomes.drop_all();
        state.connection = Connection::Greeting(None);
        state.stream += 1;
        state.stream
    }

    /// Welcome came: everything that is not settled goes out.
    pub(crate) fn connected(&self, window: u32) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.window = u64::from(window.max(1));
        state.stream_base = state.settled;
        state.resent += state.in_flight;
        state.in_flight = 0;
        state.ask = !state.confirms.is_empty() || state.somebody_waits;
        while let Some(batch) = state.sent.pop_back() {
            state.ready.push_front(batch);
        }
        let waker = state.take_waker();
        state.connection = Connection::Up(None);
        drop(guard);
        wake(waker);
    }

    /// The stream is gone, and with it what was said beside events. Its task is woken to find that out: else the request
    /// would stay open, and the server would wait for it until the agent has been silent for too long.
    pub(crate) fn disconnected(&self) {
        let mut state = self.state.lock();
        let waker = state.take_waker();
        state.connection = Connection::Down;
        state.outcomes.drop_all();
        state.control = Control::default();
        drop(state);
        wake(waker);
    }

    /// The stream shall end when all has been sent.
    pub(crate) fn leave(&self) {
        let mut state = self.state.lock();
        let waker = state.take_waker();
        if matches!(state.connection, Connection::Up(_)) {
            state.connection = Connection::Leaving(None);
        }
        drop(state);
        wake(waker);
    }

    /// Gives up what is not settled and returns how many events that were. The client is closing.
    pub(crate) fn abandon(&self) -> u64 {
        let mut state = self.state.lock();
        state.is_closed = true;
        let lost = state.assigned - state.settled;
        state.unconfirmed += lost;
        state.settled = state.assigned;
        state.outcomes.drop_all();
        let waker = state.take_waker();
        state.connection = Connection::Down;
        state.open = Vec::new();
        state.open_events = 0;
        state.ready.clear();
        state.sent.clear();
        state.in_flight = 0;
        state.bytes = 0;
        drop(state);
        wake(waker);
        lost
    }

    /// The server settled everything up to `through`, counted on this stream.
    /// A number beyond what was sent settles what was sent.
    pub(crate) fn acknowledged(&self, through: u64) -> Settled {
        let mut state = self.state.lock();
        let before = state.settled;
        let through = state.number_of(through);
        while state.settled < through {
            let Some(mut batch) = state.sent.pop_front() else {
                break;
            };
            let settles = (through - state.settled).min(batch.events);
            state.bytes -= batch.bytes.len();
            if settles < batch.events {
                batch = batch.without_first(settles);
                state.bytes += batch.bytes.len();
                state.sent.push_front(batch);
            }
            state.settled += settles;
            state.in_flight -= settles;
        }
        let mut confirmed = None;
        while state.confirms.front().is_some_and(|n| *n <= state.settled) {
            confirmed = state.confirms.pop_front();
        }
        // With the window half empty the waiting publisher fills it in one go.
        let writable = state.somebody_waits
            && state.outstanding() <= state.window / 2
            && state.bytes <= self.byte_limit / 2;
        if writable {
            state.somebody_waits = false;
        }
        // What somebody waits for may have been behind the window when the server was asked last. An answer without news
        // says that the disk is waited for: the server answers for that by itself, and asking again would be a busy wait.
        let has_news = state.settled > before;
        state.ask |= has_news
            && (!state.confirms.is_empty()
                || state.somebody_waits
                || state.outcomes.has_unready(state.settled));
        // Batches may wait for the window rather than for events.
        let has_work = state.ask || state.has_sendable() || state.outcomes.has_ready(state.settled);
        let waker = has_work.then(|| state.take_waker()).flatten();
        drop(state);
        wake(waker);
        Settled {
            writable,
            confirmed,
        }
    }

    /// The client's number of an event that the server counted on this stream.
    pub(crate) fn number(&self, on_stream: u64) -> u64 {
        self.state.lock().number_of(on_stream)
    }

    /// The next frame of a stream; `None` ends it.
    pub(crate) fn poll_frame(&self, stream: u64, waker: &Waker) -> Poll<Option<Frame>> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.stream != stream {
            return Poll::Ready(None);
        }
        match &mut state.connection {
            Connection::Down => return Poll::Ready(None),
            Connection::Greeting(slot) => {
                *slot = Some(waker.clone());
                return Poll::Pending;
            }
            Connection::Up(_) | Connection::Leaving(_) => {}
        }
        if let Some(bytes) = state.control.take() {
            return Poll::Ready(Some(Frame(bytes)));
        }
        let batch = state.next_batch();
        if let Some(bytes) = state.outcomes.frame(batch, state.settled) {
            return Poll::Ready(Some(Frame(bytes)));
        }
        // After the events that it is about.
        if std::mem::take(&mut state.ask) && state.in_flight > 0 {
            let mut ask = Vec::new();
            wire::put_varint_field(&mut ask, number::ACK_NOW, 1);
            return Poll::Ready(Some(Frame(ask.into())));
        }
        let is_done = state.ready.is_empty() && state.open_events == 0 && state.outcomes.is_empty();
        match &mut state.connection {
            Connection::Leaving(_) if is_done => {
                state.connection = Connection::Down;
                let mut goodbye = Vec::new();
                wire::put_varint_field(&mut goodbye, number::CLIENT_GOODBYE, 1);
                Poll::Ready(Some(Frame(goodbye.into())))
            }
            Connection::Up(slot) | Connection::Leaving(slot) | Connection::Greeting(slot) => {
                *slot = Some(waker.clone());
                Poll::Pending
            }
            Connection::Down => Poll::Ready(None),
        }
    }

    /// The counters of this moment.
    pub(crate) fn stats(&self) -> OutboxStats {
        let state = self.state.lock();
        OutboxStats {
            published: state.assigned,
            settled: state.settled - state.unconfirmed,
            resent: state.resent,
            unconfirmed: state.unconfirmed,
        }
    }

    /// The counters of the outcomes of this moment.
    pub(crate) fn outcome_stats(&self) -> OutcomeStats {
        self.state.lock().outcomes.stats()
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl State {
    fn outstanding(&self) -> u64 {
        self.assigned - self.settled
    }

    fn number_of(&self, on_stream: u64) -> u64 {
        self.stream_base.saturating_add(on_stream)
    }

    /// Whether `stream` is the one of this moment, and was welcomed.
    fn is_open(&self, stream: u64) -> bool {
        let is_up = matches!(self.connection, Connection::Up(_) | Connection::Leaving(_));
        is_up && self.stream == stream
    }

    fn has_sendable(&self) -> bool {
        self.in_flight < self.window && (self.open_events > 0 || !self.ready.is_empty())
    }

    /// Asks for an acknowledgement; returns whom to wake for it.
    fn ask(&mut self) -> Option<Waker> {
        self.ask = true;
        self.take_waker()
    }

    fn take_waker(&mut self) -> Option<Waker> {
        match &mut self.connection {
            Connection::Greeting(waker) | Connection::Up(waker) | Connection::Leaving(waker) => {
                waker.take()
            }
            Connection::Down => None,
        }
    }

    fn close_batch(&mut self) {
        // The next batch will likely be as large as this one; growing from nothing would copy it several times.
        let room = self.open.len().next_power_of_two().min(2 * BATCH_BYTES);
        let bytes = std::mem::replace(&mut self.open, Vec::with_capacity(room));
        self.ready.push_back(Batch {
            bytes: bytes.into(),
            events: std::mem::take(&mut self.open_events),
        });
    }

    /// Moves the oldest events that the window allows from `ready` to `sent`.
    fn next_batch(&mut self) -> Option<Bytes> {
        let room = self.window.saturating_sub(self.in_flight);
        if room == 0 {
            return None;
        }
        if self.ready.is_empty() && self.open_events > 0 {
            self.close_batch();
        }
        let mut batch = self.ready.pop_front()?;
        if batch.events > room {
            let (first, rest) = batch.split(room);
            self.ready.push_front(rest);
            batch = first;
        }
        let bytes = batch.bytes.clone();
        self.in_flight += batch.events;
        self.sent.push_back(batch);
        Some(bytes)
    }
}
