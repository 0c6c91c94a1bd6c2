//! The task of a group: reads ahead, watches the time, keeps dead letters, saves how far the group has come.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::Group;
use super::dead_letter::DeadLetter;
use super::untold::UntoldAttempts;
use super::window::Late;
use crate::bus::EventBus;
use crate::instrument::Tracer;

/// Read from the journal at once.
const READ_BYTES: usize = 256 * 1024;
/// Pause after the disk or the bus has refused something.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

/// What is to be done next.
enum Step {
    Read(u64),
    Bury(DeadLetter),
    Save,
    /// Nothing, until something changes or this time has come.
    Wait {
        wants_events: bool,
        until: Option<Instant>,
    },
    End,
}

/// Runs until the group has no members.
pub(super) async fn run(group: Arc<Group>, bus: EventBus) {
    let mut progress = group.stream.journal().progress();
    let mut saved = Instant::now();
    let mut not_before = None;
    loop {
        // Marked before it is looked at, so that a commit in between is not missed.
        progress.borrow_and_update();
        let step = match not_before {
            Some(until) => Step::Wait {
                wants_events: false,
                until: Some(until),
            },
            None => group.next_step(saved),
        };
        let is_done = match step {
            Step::Read(from) => read(&group, &bus, from).await,
            Step::Bury(letter) => bury(&group, &bus, letter).await,
            Step::Save => {
                saved = Instant::now();
                save(&group).await
            }
            Step::Wait {
                wants_events,
                until,
            } => {
                wait(&group, &mut progress, wants_events, until).await;
                not_before = not_before.filter(|until| *until > Instant::now());
                true
            }
            Step::End => {
                save(&group).await;
                if group.may_end() {
                    return;
                }
                true
            }
        };
        if !is_done {
            not_before = Some(Instant::now() + REFUSED_PAUSE);
        }
    }
}

impl Group {
    fn next_step(&self, saved: Instant) -> Step {
        let mut state = self.state.lock();
        let state = &mut *state;
        let now = Instant::now();
        for Late {
            member,
            offset,
            attempt,
            settled,
        } in state.window.pass(now)
        {
            tracing::warn!(
                group = self.name,
                stream = self.stream.name(),
                offset,
                attempt,
                "an attempt took too long"
            );
            state.books.timed_out += 1;
            state.book(offset, settled, || "it took too long".to_owned());
            if let Some(member) = state.members.get_mut(&member) {
                member.in_hand -= 1;
            }
        }
        state.wake_members();
        while let Some(offset) = state.dead.pop_front() {
            if let Some((event, history)) = state.window.dead(offset) {
                return Step::Bury(DeadLetter {
                    offset,
                    event,
                    history,
                });
            }
        }
        if state.members.is_empty() {
            return Step::End;
        }
        let save_at = saved + self.config.save_interval;
        if state.has_changed && save_at <= now {
            return Step::Save;
        }
        let (remembered, open) = state.window.size();
        let has_room = open < self.config.open_events && remembered < self.config.remembered;
        let next = state.window.next();
        if has_room && next < self.stream.journal().end() {
            return Step::Read(next);
        }
        state.wants_room = !has_room;
        let save_at = state.has_changed.then_some(save_at);
        Step::Wait {
            wants_events: has_room,
            until: state.window.due().into_iter().chain(save_at).min(),
        }
    }

    /// Ends the feeder, unless somebody has joined meanwhile.
    fn may_end(&self) -> bool {
        let mut state = self.state.lock();
        let may_end = state.members.is_empty() && state.dead.is_empty();
        state.is_fed = !may_end;
        if may_end {
            self.ended.notify_waiters();
        }
        may_end
    }
}

async fn wait(
    group: &Group,
    progress: &mut tokio::sync::watch::Receiver<crate::journal::JournalProgress>,
    wants_events: bool,
    until: Option<Instant>,
) {
    #[expect(
        clippy::disallowed_methods,
        reason = "rests and timeouts of attempts are time itself"
    )]
    let time = sleep_until(until.unwrap_or_else(Instant::now));
    tokio::select! {
        _ = progress.changed(), if wants_events => {}
        () = group.work.notified() => {}
        () = time, if until.is_some() => {}
    }
}

/// The disk is asked on a thread that may wait for it.
async fn blocking<T: Send + 'static>(
    group: &Arc<Group>,
    work: impl FnOnce(&Group) -> T + Send + 'static,
) -> Option<T> {
    let group = Arc::clone(group);
    tokio::task::spawn_blocking(move || work(&group)).await.ok()
}

async fn read(group: &Arc<Group>, bus: &EventBus, from: u64) -> bool {
    let read = blocking(group, move |group| {
        group.stream.journal().read(from, READ_BYTES)
    });
    match read.await {
        Some(Ok(read)) => {
            let untold = group.fill(read);
            if !untold.is_empty() {
                let tracer = bus.tracer().clone();
                drop(tokio::spawn(tell(Arc::clone(group), tracer, untold)));
            }
            true
        }
        Some(Err(error)) => {
            tracing::error!(%error, group = group.name, stream = group.stream.name(), "a stream cannot be read");
            false
        }
        None => false,
    }
}

/// Events do not wait for room for their spans. There is one task for each read that finds attempts of an earlier server, and
/// these were bounded.
async fn tell(group: Arc<Group>, tracer: Tracer, untold: Vec<UntoldAttempts>) {
    for span in untold.iter().flat_map(|untold| untold.spans(&group)) {
        tracer.record(span).await;
    }
}

async fn save(group: &Arc<Group>) -> bool {
    match blocking(group, Group::save).await {
        Some(Ok(())) => true,
        Some(Err(error)) => {
            tracing::error!(%error, group = group.name, stream = group.stream.name(), "how far a group has come cannot be saved");
            false
        }
        None => false,
    }
}

/// Keeps a dead letter. Its event stays with the group until that is done.
async fn bury(group: &Group, bus: &EventBus, letter: DeadLetter) -> bool {
    let offset = letter.offset;
    let kept = keep(group, bus, &letter).await;
    match kept {
        Ok(()) => {
            tracing::warn!(
                group = group.name,
                stream = group.stream.name(),
                offset,
                attempts = letter.attempts(),
                error = letter.error(),
                "an event is dead"
            );
            group.buried(offset);
            true
        }
        Err(error) => {
            tracing::error!(%error, group = group.name, stream = group.stream.name(), offset, "a dead letter cannot be kept");
            group.state.lock().dead.push_front(offset);
            false
        }
    }
}

async fn keep(group: &Group, bus: &EventBus, letter: &DeadLetter) -> Result<(), String> {
    let event = letter.event(group.stream.name(), &group.name);
    let event = event.map_err(|error| error.to_string())?;
    let published = bus.publish_and_commit(event).await;
    let published = published.map_err(|error| error.to_string())?;
    if published.stored.is_none() {
        return Err("no stream keeps its topic".to_owned());
    }
    Ok(())
}
