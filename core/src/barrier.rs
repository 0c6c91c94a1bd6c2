//! The barrier: a capability of the server itself, where callers wait until so many of them have come.
//!
//! A call is an arrival, and its answer lets the caller go on: the broker's deadline, its cancellation and its spans apply as
//! they do to every call. Whoever dies or gives up while it waits has not come, so a round ends when as many as it needs wait
//! **at the same time**. The call that completes a round answers all of them, and the next arrival begins the next round.
//!
//! An arrival has an id of its caller's choice. When the connection was lost after the round was complete, the caller comes
//! again with the same id and is told so, instead of waiting alone in the next round. The rounds live in memory: the next
//! server knows none of them, and callers that come again meet there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use loom_proto::Code;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::broker::{ActionBroker, ActionCall, ActionOutput, Answer, Provider, Registration};
use crate::error::InvokeError;

/// Name of the capability.
pub const CAPABILITY: &str = "_loom.barrier";
/// Most parties of a barrier.
pub const MAX_PARTIES: u32 = 10_000;
/// Longest name of a barrier, and longest id of an arrival, in bytes.
pub const MAX_NAME: usize = 128;

/// Arrivals of complete rounds that are remembered for callers that come again.
const REMEMBERED: usize = 4096;

/// Where callers meet. See the module.
#[derive(Debug, Default)]
pub struct Barrier {
    rounds: Arc<Mutex<Rounds>>,
}

/// Arguments of a call, as JSON.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Arrival {
    /// The barrier.
    name: String,
    /// How many must come.
    parties: u32,
    /// Tells this arrival from others of the same caller.
    id: String,
    /// How long it waits, in milliseconds.
    timeout_ms: u32,
}

/// The result of a call, as JSON.
#[derive(Clone, Debug, Serialize)]
struct Passed {
    /// How many had come before this one: 0 to `parties - 1`, each once.
    position: u32,
}

#[derive(Debug, Default)]
struct Rounds {
    /// The round of each barrier where somebody waits.
    open: FxHashMap<String, Round>,
    /// Positions in rounds that are complete, by barrier and arrival.
    passed: FxHashMap<Key, Passed>,
    /// The same in the order in which they are forgotten.
    order: VecDeque<Key>,
    next_seat: u64,
}

type Key = (String, String);

#[derive(Debug)]
struct Round {
    parties: u32,
    /// In the order of arrival.
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    seat: u64,
    arrival: String,
    go_on: oneshot::Sender<Passed>,
}

/// What an arrival finds.
enum Place {
    /// The round is complete.
    Through(Passed),
    /// It waits, until the round is complete or the seat is dropped.
    Waits(Seat, oneshot::Receiver<Passed>),
}

/// Gives the place up when its caller goes.
struct Seat {
    rounds: Arc<Mutex<Rounds>>,
    name: String,
    number: u64,
}

impl Barrier {
    /// Makes the barrier callable for as long as the registration lives.
    pub fn serve(broker: &ActionBroker) -> Registration {
        let provider: Arc<dyn Provider> = Arc::new(Self::default());
        broker.register(vec![CAPABILITY.to_owned()], &provider)
    }
}

impl Provider for Barrier {
    fn agent_id(&self) -> &'static str {
        "loom"
    }

    fn call(&self, call: ActionCall) -> Answer {
        let rounds = Arc::clone(&self.rounds);
        Box::pin(async move {
            let arrival = read(&call.args)?;
            let (name, parties) = (arrival.name.clone(), arrival.parties);
            let patience = Duration::from_millis(arrival.timeout_ms.into());
            let passed = match take_place(&rounds, arrival)? {
                Place::Through(passed) => passed,
                Place::Waits(seat, mut go_on) => match timeout(patience, &mut go_on).await {
                    Ok(Ok(passed)) => passed,
                    // Only a second arrival under the same id takes the sender away.
                    Ok(Err(_)) => return Err(refusal("another arrival has the same id")),
                    Err(_) => seat
                        .leave(&mut go_on)
                        .map_err(|came| InvokeError::Handler {
                            code: Code::DeadlineExceeded,
                            message: format!(
                                "{came} of {parties} came to the barrier {name:?} within {} ms",
                                patience.as_millis()
                            ),
                        })?,
                },
            };
            let result = serde_json::to_vec(&passed).unwrap_or_default();
            Ok(ActionOutput {
                result: Bytes::from(result),
                content_type: "application/json".to_owned(),
            })
        })
    }
}

fn read(args: &[u8]) -> Result<Arrival, InvokeError> {
    let arrival: Arrival = serde_json::from_slice(args)
        .map_err(|error| refusal(&format!("the arguments of {CAPABILITY}: {error}")))?;
    if !(1..=MAX_PARTIES).contains(&arrival.parties) {
        let message = format!(
            "a barrier has 1 to {MAX_PARTIES} parties, not {}",
            arrival.parties
        );
        return Err(refusal(&message));
    }
    if [&arrival.name, &arrival.id]
        .iter()
        .any(|text| text.is_empty() || text.len() > MAX_NAME)
    {
        let message = format!("name and id of an arrival have 1 to {MAX_NAME} bytes");
        return Err(refusal(&message));
    }
    Ok(arrival)
}

fn refusal(message: &str) -> InvokeError {
    InvokeError::Handler {
        code: Code::InvalidEvent,
        message: message.to_owned(),
    }
}

fn take_place(rounds: &Arc<Mutex<Rounds>>, arrival: Arrival) -> Result<Place, InvokeError> {
    let mut locked = rounds.lock();
    let state = &mut *locked;
    let key = (arrival.name, arrival.id);
    if let Some(passed) = state.passed.get(&key) {
        return Ok(Place::Through(passed.clone()));
    }
    let (name, id) = key;
    let round = state.open.entry(name.clone()).or_insert_with(|| Round {
        parties: arrival.parties,
        waiting: Vec::new(),
    });
    if round.parties != arrival.parties {
        return Err(refusal(&format!(
            "the barrier {name:?} waits for {} parties, not {}: all of them must name the same number",
            round.parties, arrival.parties
        )));
    }
    // A caller that has reconnected: the end of its first call may come after its second one.
    round.waiting.retain(|waiting| waiting.arrival != id);
    let (go_on, released) = oneshot::channel();
    let number = state.next_seat;
    state.next_seat += 1;
    round.waiting.push(Waiting {
        seat: number,
        arrival: id,
        go_on,
    });
    if round.waiting.len() < arrival.parties as usize {
        let seat = Seat {
            rounds: Arc::clone(rounds),
            name,
            number,
        };
        return Ok(Place::Waits(seat, released));
    }
    let position = state.complete(&name);
    Ok(Place::Through(position))
}

impl Rounds {
    /// Ends a barrier's round; returns the place of the one that came last.
    fn complete(&mut self, name: &str) -> Passed {
        let mut last = Passed { position: 0 };
        let round = self.open.remove(name);
        for (position, waiting) in (0..).zip(round.into_iter().flat_map(|round| round.waiting)) {
            last = Passed { position };
            self.remember((name.to_owned(), waiting.arrival), last.clone());
            // Whoever left this very moment has come all the same, and learns it when it comes again.
            drop(waiting.go_on.send(last.clone()));
        }
        last
    }

    fn remember(&mut self, key: Key, passed: Passed) {
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.passed.remove(&oldest);
        }
        self.order.push_back(key.clone());
        self.passed.insert(key, passed);
    }
}

impl Seat {
    /// Gives up: the time is over.
    ///
    /// # Errors
    /// The round is not complete; so many wait, this one among them. Otherwise its last party came this very moment.
    fn leave(self, released: &mut oneshot::Receiver<Passed>) -> Result<Passed, usize> {
        let rounds = Arc::clone(&self.rounds);
        let locked = rounds.lock();
        let came = locked
            .open
            .get(&self.name)
            .map_or(0, |round| round.waiting.len());
        let passed = released.try_recv().map_err(|_| came);
        drop(locked);
        passed
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut rounds = self.rounds.lock();
        if let Some(round) = rounds.open.get_mut(&self.name) {
            round.waiting.retain(|waiting| waiting.seat != self.number);
            if round.waiting.is_empty() {
                rounds.open.remove(&self.name);
            }
        }
    }
}
