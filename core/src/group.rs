//! A group: agents that share the events of a stream, until one of them has handled each.
//!
//! Members take events when they have room, and say what became of them. One task per group reads ahead in the journal,
//! watches the time, keeps dead letters, and saves how far the group has come; it ends with the last member. What is in
//! hand stands in `window`, which knows no time and no task.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use loom_proto::topic;
use loom_proto::wire::EventHead;
use loom_telemetry::ids::now_unix_nano;
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHasher};
use tokio::sync::Notify;

use crate::bus::EventBus;
use crate::event::Event;
use crate::journal::{Cursor, JournalError, JournalRead, Tried};
use crate::ledger::{InFlight, Ledger};
use crate::stream::Stream;

pub mod dead_letter;
mod feeder;
mod history;
mod in_hand;
pub mod letters;
mod member;
mod offsets;
mod patience;
mod position;
mod slot;
mod tried;
mod untold;
mod window;

pub use member::{Forwarded, GroupMember};
pub use position::GroupStart;
pub use window::{Attempt, Verdict};

use patience::Patience;
use untold::UntoldAttempts;
use window::{Settled, Window};

/// A share in a group, as a subscription asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// Name of the group.
    pub group: String,
    /// Events that this member may have in hand; 0 means the default.
    pub max_in_flight: usize,
    /// Attempts after which an event is dead; 0 means the default. What the first member says counts for its group.
    pub max_attempts: u32,
    /// How long an attempt may take; zero means the default. What the first member says counts for its group.
    pub timeout: Duration,
    /// Where a group begins that was not there before.
    pub start: GroupStart,
}

/// Limits of groups, and what counts where a member does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// Events that a member may have in hand.
    pub max_in_flight: usize,
    /// Attempts after which an event is dead.
    pub max_attempts: u32,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// How long an event rests after its first attempt; it doubles with each further one.
    pub first_rest: Duration,
    /// How long it rests at most.
    pub longest_rest: Duration,
    /// Events that a group has in memory at most: in hand, resting, or read ahead.
    pub open_events: usize,
    /// Offsets beyond the oldest event that is not settled which a group remembers. A group whose oldest event is tried
    /// again and again goes no further than this.
    pub remembered: usize,
    /// How often a group saves how far it has come.
    pub save_interval: Duration,
    /// Groups that may be open at once.
    pub max_groups: usize,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            max_in_flight: 256,
            max_attempts: 5,
            timeout: Duration::from_secs(30),
            first_rest: Duration::from_millis(500),
            longest_rest: Duration::from_secs(30),
            open_events: 8192,
            remembered: 65_536,
            save_interval: Duration::from_millis(100),
            max_groups: 1024,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Group {
    name: String,
    pattern: String,
    stream: Arc<Stream>,
    config: GroupConfig,
    ledger: Arc<Ledger>,
    state: Mutex<State>,
    /// Held while the disk is written.
    saving: Mutex<()>,
    /// The feeder has something to do.
    work: Notify,
    /// The feeder has ended.
    ended: Notify,
}

#[derive(Debug)]
struct State {
    window: Window,
    /// Where the group began when it was new.
    began: u64,
    /// What was settled beyond the floor when the group was loaded.
    settled_before: Vec<Range<u64>>,
    /// What was tried when the group was loaded, and is not read again yet.
    tried_before: VecDeque<Tried>,
    members: FxHashMap<u64, Member>,
    last_member: u64,
    /// Events whose dead letters are to be kept, in the order of their deaths.
    dead: VecDeque<u64>,
    is_fed: bool,
    /// The feeder waits for room.
    wants_room: bool,
    has_changed: bool,
    books: GroupBooks,
}

#[derive(Debug)]
struct Member {
    bell: Arc<Notify>,
    in_hand: usize,
    max_in_flight: usize,
    /// It wanted more than there was.
    is_hungry: bool,
}

/// What a group has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupBooks {
    /// Events of its pattern that it has read.
    pub read: u64,
    /// Handled.
    pub acked: u64,
    /// Given up; each has a dead letter.
    pub dead: u64,
    /// Events in memory: in hand, resting or read ahead.
    pub open: u64,
    /// Events of the stream between the oldest that is not settled and the newest.
    pub lag: u64,
    /// Attempts that are to be made again.
    pub retried: u64,
    /// Attempts that took too long.
    pub timed_out: u64,
    /// Verdicts on attempts that were over.
    pub stale: u64,
    /// Offsets that cannot be read any more.
    pub damaged: u64,
    /// Offsets that retention had released before they were read.
    pub expired: u64,
}

impl Group {
    /// A group that goes on where it was saved.
    pub(crate) fn open(
        pattern: &str,
        stream: &Arc<Stream>,
        wanted: &Acknowledged,
        config: &GroupConfig,
        ledger: &Arc<Ledger>,
    ) -> Result<Self, JournalError> {
        let journal = stream.journal();
        let cursor = match journal.load_cursor(&wanted.group)? {
            Some(saved) => saved,
            None => Cursor::at(wanted.start.offset(&**journal)?),
        };
        let or = |wanted: Duration, default: Duration| {
            if wanted.is_zero() { default } else { wanted }
        };
        let patience = Patience {
            max_attempts: match wanted.max_attempts {
                0 => config.max_attempts,
                attempts => attempts,
            },
            timeout: or(wanted.timeout, config.timeout),
            first_rest: config.first_rest,
            longest_rest: config.longest_rest,
        };
        Ok(Self {
            name: wanted.group.clone(),
            pattern: pattern.to_owned(),
            stream: Arc::clone(stream),
            config: config.clone(),
            ledger: Arc::clone(ledger),
            state: Mutex::new(State {
                window: Window::new(cursor.floor, patience),
                began: cursor.began,
                settled_before: cursor.settled,
                tried_before: cursor.tried.into(),
                members: FxHashMap::default(),
                last_member: 0,
                dead: VecDeque::new(),
                is_fed: false,
                wants_room: false,
                // A new group is known from its first member on, not from its first event.
                has_changed: true,
                books: GroupBooks::default(),
            }),
            saving: Mutex::new(()),
            work: Notify::new(),
            ended: Notify::new(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Topics of the events that it wants.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Where they are kept.
    pub fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// How far it has come, without the attempts.
    pub fn progress(&self) -> Cursor {
        self.state.lock().place()
    }

    /// What it has done.
    pub fn books(&self) -> GroupBooks {
        let state = self.state.lock();
        let (_, open) = state.window.size();
        GroupBooks {
            open: open as u64,
            lag: self
                .stream
                .journal()
                .end()
                .saturating_sub(state.window.floor()),
            ..state.books
        }
    }

    /// Adds the events in memory.
    pub(crate) fn count(&self, in_flight: &mut InFlight) {
        for event in self.state.lock().window.open() {
            in_flight.add(event.account(), 1);
        }
    }

    /// Adds a member, whose `bell` rings when there may be something for it. Starts the feeder, on the runtime of the caller.
    pub(crate) fn join(
        self: &Arc<Self>,
        bus: &EventBus,
        bell: &Arc<Notify>,
        max_in_flight: usize,
    ) -> GroupMember {
        let mut state = self.state.lock();
        state.last_member += 1;
        let id = state.last_member;
        let member = Member {
            bell: Arc::clone(bell),
            in_hand: 0,
            max_in_flight: match max_in_flight {
                0 => self.config.max_in_flight,
                wanted => wanted.min(self.config.open_events),
            },
            is_hungry: true,
        };
        state.members.insert(id, member);
        state.wake_members();
        if !std::mem::replace(&mut state.is_fed, true) {
            drop(tokio::spawn(feeder::run(Arc::clone(self), bus.clone())));
        }
        GroupMember::new(self, id)
    }

    /// Saves how far it has come, if that has changed. Blocks for as long as the disk takes.
    pub(crate) fn save(&self) -> Result<(), JournalError> {
        // Two that save at once would leave the older cursor, or half of each.
        let _saving = self.saving.lock();
        let cursor = {
            let mut state = self.state.lock();
            if !std::mem::take(&mut state.has_changed) {
                return Ok(());
            }
            state.cursor()
        };
        let saved = self.stream.journal().save_cursor(&self.name, &cursor);
        if saved.is_err() {
            self.state.lock().has_changed = true;
        }
        saved
    }

    /// Takes what was read from the journal into the window. Returns attempts that an earlier server may not have told.
    fn fill(&self, read: JournalRead) -> Vec<UntoldAttempts> {
        let mut untold = Vec::new();
        let mut state = self.state.lock();
        let state = &mut *state;
        let next = state.window.next();
        if read.released > next {
            let expired = read.released - next;
            state.books.expired += expired;
            self.ledger.unreadable(expired, true);
            state.window.jump(read.released);
        }
        let unreadable = read.damaged.iter().map(|range| range.end - range.start);
        let unreadable = unreadable.sum::<u64>();
        state.books.damaged += unreadable;
        self.ledger.unreadable(unreadable, false);
        for (offset, mut event) in read.events {
            while state.window.next() < offset {
                state.window.skip();
            }
            if state.window.next() > offset {
                continue;
            }
            let was_settled = state
                .settled_before
                .iter()
                .any(|range| range.contains(&offset));
            if was_settled || !topic::matches(&self.pattern, event.topic()) {
                state.window.skip();
                continue;
            }
            state.books.read += 1;
            event.set_account(self.ledger.account(event.topic()));
            self.ledger.read_by_group(event.account());
            let thread = thread_of(&event);
            match state.tried_before(offset) {
                None => state.window.push(Arc::new(event), thread),
                Some(tried) => {
                    let event = Arc::new(event);
                    untold.extend(UntoldAttempts::of(&event, &tried));
                    state.push_tried(event, thread, tried);
                }
            }
        }
        while state.window.next() < read.next {
            state.window.skip();
        }
        let floor = state.window.floor();
        state.settled_before.retain(|range| range.end > floor);
        state.has_changed = true;
        state.wake_members();
        untold
    }

    fn buried(&self, offset: u64) {
        let mut state = self.state.lock();
        if let Some(event) = state.window.event(offset) {
            self.ledger.dead_lettered(event.account());
        }
        state.window.buried(offset);
        state.books.dead += 1;
        state.has_changed = true;
        state.wake_members();
    }
}

impl State {
    fn place(&self) -> Cursor {
        let mut settled = self.window.settled_ranges();
        // What lies beyond the window was not read again yet.
        let next = self.window.next();
        let beyond = self.settled_before.iter().filter(|range| range.end > next);
        settled.extend(beyond.map(|range| range.start.max(next)..range.end));
        Cursor {
            began: self.began,
            floor: self.window.floor(),
            settled,
            tried: Vec::new(),
        }
    }

    /// Its place and the attempts, as they are saved.
    fn cursor(&self) -> Cursor {
        Cursor {
            tried: self.tried(),
            ..self.place()
        }
    }

    /// Something is to be saved. Whether the feeder is to be woken for it, which does so when its time has come.
    fn change(&mut self) -> bool {
        !std::mem::replace(&mut self.has_changed, true)
    }

    /// Rings for those who wanted more than there was.
    fn wake_members(&mut self) {
        if self.window.ready() == 0 {
            return;
        }
        for member in self.members.values_mut() {
            if std::mem::take(&mut member.is_hungry) {
                member.bell.notify_one();
            }
        }
    }

    /// Books what came of an attempt, and remembers why it failed.
    fn book(&mut self, offset: u64, settled: Settled, error: impl FnOnce() -> String) {
        self.has_changed = true;
        match settled {
            Settled::Stale => self.books.stale += 1,
            Settled::Done => self.books.acked += 1,
            Settled::Again => {
                self.books.retried += 1;
                self.window.failed(offset, error(), now_unix_nano());
            }
            Settled::Dead => {
                self.window.failed(offset, error(), now_unix_nano());
                self.dead.push_back(offset);
            }
        }
    }
}

/// Hash of an event's thread id; 0 without one. Two threads with one hash wait for each other, and lose nothing by it.
fn thread_of(event: &Event) -> u64 {
    match EventHead::scan(event.wire()) {
        Ok(head) if !head.envelope.thread_id.is_empty() => {
            let mut hasher = FxHasher::default();
            head.envelope.thread_id.hash(&mut hasher);
            hasher.finish().max(1)
        }
        _ => 0,
    }
}
