//! A publish that has to wait: for the disk before it is on the bus, or for room in mailboxes after.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::{EventBus, Progress, Published};
use crate::error::PublishError;
use crate::event::Event;
use crate::instrument::HopSpan;
use crate::journal::JournalError;
use crate::ledger::DropReason;
use crate::mailbox::{Mailbox, Offer};
use crate::stream::Stream;

/// A publish that waits. Dropping it gives up what it waits for: the event, or the deliveries without room, which are
/// counted.
#[derive(Debug)]
#[must_use = "finish it, or what waits is lost"]
pub struct Waiting {
    bus: EventBus,
    deadline: Instant,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Too much waits for the disk already; nothing has happened yet.
    Disk(Box<Event>, Arc<Stream>),
    /// Some mailboxes are full.
    Room(Box<Room>),
}

#[derive(Debug)]
struct Room {
    bus: EventBus,
    event: Arc<Event>,
    /// `None` when it has ended.
    span: Option<HopSpan>,
    published: Published,
    full: Vec<Arc<Mailbox>>,
}

impl Waiting {
    pub(super) fn for_the_disk(bus: &EventBus, event: Event, stream: &Arc<Stream>) -> Self {
        Self {
            bus: bus.clone(),
            deadline: bus.deadline(),
            stage: Stage::Disk(Box::new(event), Arc::clone(stream)),
        }
    }

    pub(super) fn for_room(
        bus: &EventBus,
        event: Arc<Event>,
        span: HopSpan,
        published: Published,
        full: Vec<Arc<Mailbox>>,
    ) -> Self {
        bus.shared.ledger.waits(event.account(), full.len());
        let room = Room {
            bus: bus.clone(),
            event,
            span: Some(span),
            published,
            full,
        };
        Self {
            bus: bus.clone(),
            deadline: bus.deadline(),
            stage: Stage::Room(Box::new(room)),
        }
    }

    /// Waits until the disk and every mailbox have answered, or the time is up: then a delivery without room is lost and
    /// counted.
    ///
    /// # Errors
    /// The event was not taken.
    ///
    /// # Cancel safety
    /// Dropping the future is dropping the [`Waiting`].
    pub async fn finish(self) -> Result<Published, PublishError> {
        let (mut event, stream) = match self.stage {
            Stage::Room(room) => return Ok(room.finish(self.deadline).await),
            Stage::Disk(event, stream) => (event, stream),
        };
        let mut progress = stream.journal().progress();
        loop {
            // Marked before the attempt, so that a commit in between is not missed.
            progress.borrow_and_update();
            match self.bus.publish_now(*event)? {
                Progress::Done(published) => return Ok(published),
                Progress::Waiting(waiting) => match waiting.stage {
                    Stage::Room(room) => return Ok(room.finish(waiting.deadline).await),
                    Stage::Disk(again, _) => event = again,
                },
            }
            if !matches!(
                timeout_at(self.deadline, progress.changed()).await,
                Ok(Ok(()))
            ) {
                return Err(PublishError::NotStored {
                    stream: stream.name().to_owned(),
                    source: JournalError::Full,
                });
            }
        }
    }
}

impl Room {
    async fn finish(mut self, deadline: Instant) -> Published {
        while let Some(mailbox) = self.full.last().cloned() {
            match timeout_at(deadline, mailbox.offer_when_room(&self.event)).await {
                Ok(Offer::Taken) => {}
                Ok(Offer::Closed | Offer::Full) => self.published.lost += 1,
                Err(_) => {
                    self.published.lost += 1;
                    self.book_lost(1);
                }
            }
            self.full.pop();
            self.bus.shared.ledger.waited(self.event.account(), 1);
        }
        self.ended()
    }

    /// All mailboxes have answered, or were given up.
    fn ended(&mut self) -> Published {
        let published = self.published.clone();
        match self.span.take() {
            Some(span) => published.with_span(span, &self.bus.shared.tracer, &self.event),
            None => published,
        }
    }

    fn book_lost(&self, deliveries: usize) {
        let lost = std::iter::repeat_n(self.event.account(), deliveries);
        self.bus
            .shared
            .ledger
            .dropped(DropReason::Backpressure, lost);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let given_up = std::mem::take(&mut self.full).len();
        self.published.lost += given_up as u32;
        self.book_lost(given_up);
        let ledger = &self.bus.shared.ledger;
        ledger.waited(self.event.account(), given_up);
        // Nobody waits for the disk any more.
        let mut published = self.ended();
        published.end(&self.bus.shared.tracer, &Ok(()));
    }
}
