//! The frames between those who make them and those who read them.
//!
//! The last frames are kept, so that a reader whose connection broke goes on where it was, without a gap or a double: frames
//! are numbered, and a reader says which one it had last.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::data::{Hello, Reset, ResetReason};
use super::frame::{Channel, Frame};

/// Frames, and bytes of them, that are kept for readers which come again.
const KEPT: usize = 1024;
const KEPT_BYTES: usize = 8 << 20;
/// Frames that a reader may be behind before it loses some.
const BEHIND: usize = 256;

/// See the module.
#[derive(Debug)]
pub(super) struct Hub {
    /// Tells the frames of this server from those of one before it.
    boot: String,
    state: Mutex<State>,
    sender: broadcast::Sender<Arc<Frame>>,
    /// Readers there are.
    readers: watch::Sender<usize>,
    /// Whether somebody makes frames of whatever happens from now on.
    is_live: watch::Sender<bool>,
    end: CancellationToken,
}

#[derive(Debug)]
struct State {
    /// Number of the newest frame.
    newest: u64,
    /// Whoever had an older frame than this one last has missed some that are not kept.
    floor: u64,
    kept: VecDeque<Arc<Frame>>,
    bytes: usize,
}

/// Where a reader begins.
#[derive(Debug, PartialEq, Eq)]
enum Begin {
    /// With the next frame.
    Now,
    /// Right after the frame that it had.
    Resumed,
    /// With the next frame, and it has missed some: why.
    Reset(ResetReason),
}

/// A reader's end. Dropping it is leaving.
#[derive(Debug)]
pub(super) struct Reader {
    hub: Arc<Hub>,
    backlog: VecDeque<Arc<Frame>>,
    receiver: broadcast::Receiver<Arc<Frame>>,
    /// Number of the frame before its first.
    pub(super) seq: u64,
    begin: Begin,
}

/// What a reader gets.
#[derive(Debug)]
pub(super) enum Read {
    Frame(Arc<Frame>),
    /// So many frames came while it did not read; they are gone.
    Gap(u64),
}

impl Hub {
    pub(super) fn new(end: CancellationToken) -> Self {
        Self {
            boot: loom_telemetry::ids::new_span_id().to_string(),
            state: Mutex::new(State {
                newest: 0,
                floor: 0,
                kept: VecDeque::new(),
                bytes: 0,
            }),
            sender: broadcast::Sender::new(BEHIND),
            readers: watch::Sender::new(0),
            is_live: watch::Sender::new(false),
            end,
        }
    }

    /// The id of a frame, as readers say it when they come again.
    pub(super) fn id(&self, seq: u64) -> String {
        format!("{}-{seq}", self.boot)
    }

    /// Adds a frame.
    pub(super) fn send(&self, channel: Channel, data: String) {
        let mut state = self.state.lock();
        state.newest += 1;
        state.bytes += data.len();
        let frame = Arc::new(Frame {
            seq: state.newest,
            channel,
            data,
        });
        state.kept.push_back(Arc::clone(&frame));
        while (state.kept.len() > KEPT || state.bytes > KEPT_BYTES)
            && let Some(oldest) = state.kept.pop_front()
        {
            state.bytes -= oldest.data.len();
            state.floor = oldest.seq;
        }
        // Under the lock, so that a reader that begins now gets each frame once. Nobody there is no error.
        _ = self.sender.send(frame);
    }

    /// Becomes a reader, once frames are made of whatever happens; `None` when the server ends before.
    pub(super) async fn read(self: &Arc<Self>, last_id: Option<&str>) -> Option<Reader> {
        self.readers.send_modify(|readers| *readers += 1);
        let mut reader = Reader {
            hub: Arc::clone(self),
            backlog: VecDeque::new(),
            receiver: self.sender.subscribe(),
            seq: 0,
            begin: Begin::Now,
        };
        let mut is_live = self.is_live.subscribe();
        let state = loop {
            let live = is_live.wait_for(|is_live| *is_live);
            self.end.run_until_cancelled(live).await?.ok()?;
            let state = self.state.lock();
            // It ends under the lock, and not while there is a reader.
            if *self.is_live.borrow() {
                break state;
            }
        };
        reader.receiver = self.sender.subscribe();
        reader.seq = state.newest;
        if let Some(last_id) = last_id {
            match self.resume(&state, last_id) {
                Ok(last) => {
                    reader.seq = last;
                    reader.begin = Begin::Resumed;
                    let missed = state.kept.iter().filter(|frame| frame.seq > last);
                    reader.backlog = missed.cloned().collect();
                }
                Err(why) => reader.begin = Begin::Reset(why),
            }
        }
        drop(state);
        Some(reader)
    }

    fn resume(&self, state: &State, last_id: &str) -> Result<u64, ResetReason> {
        let (boot, seq) = last_id.rsplit_once('-').ok_or(ResetReason::UnknownId)?;
        let seq: u64 = seq.parse().map_err(|_| ResetReason::UnknownId)?;
        if boot != self.boot {
            return Err(ResetReason::ServerRestarted);
        }
        if seq > state.newest {
            return Err(ResetReason::UnknownId);
        }
        if seq < state.floor {
            return Err(ResetReason::Expired);
        }
        Ok(seq)
    }

    /// Says that frames are made of whatever happens from now on.
    pub(super) fn go_live(&self) {
        self.is_live.send_replace(true);
    }

    /// Says that they are no more, if nobody reads: who comes again after this has missed something.
    pub(super) fn pause(&self) -> bool {
        let mut state = self.state.lock();
        if *self.readers.borrow() > 0 {
            return false;
        }
        self.is_live.send_replace(false);
        state.newest += 1;
        state.floor = state.newest;
        state.kept.clear();
        state.bytes = 0;
        true
    }

    /// How many read; changes wake whoever waits for them.
    pub(super) fn readers(&self) -> watch::Receiver<usize> {
        self.readers.subscribe()
    }
}

impl Reader {
    /// The next frame, or how many were lost; `None` when the server ends.
    pub(super) async fn next(&mut self) -> Option<Read> {
        if let Some(frame) = self.backlog.pop_front() {
            return Some(Read::Frame(frame));
        }
        let received = self.hub.end.run_until_cancelled(self.receiver.recv());
        match received.await? {
            Ok(frame) => Some(Read::Frame(frame)),
            Err(broadcast::error::RecvError::Lagged(frames)) => Some(Read::Gap(frames)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    /// What it is told first: the event, and what that says.
    pub(super) fn opening(&self) -> (&'static str, Value) {
        match self.begin {
            Begin::Now | Begin::Resumed => {
                let hello = Hello {
                    boot: self.hub.boot.clone(),
                    seq: self.seq.to_string(),
                };
                ("hello", json!(hello))
            }
            Begin::Reset(reason) => ("reset", json!(Reset { reason })),
        }
    }

    pub(super) fn hub(&self) -> &Hub {
        &self.hub
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.hub.readers.send_modify(|readers| *readers -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub() -> Arc<Hub> {
        let hub = Hub::new(CancellationToken::new());
        hub.go_live();
        Arc::new(hub)
    }

    async fn seqs(reader: &mut Reader, count: usize) -> Vec<u64> {
        let mut seqs = Vec::new();
        while seqs.len() < count {
            match reader.next().await.expect("it goes on") {
                Read::Frame(frame) => seqs.push(frame.seq),
                Read::Gap(frames) => panic!("{frames} lost"),
            }
        }
        seqs
    }

    #[tokio::test]
    async fn who_comes_again_gets_each_frame_once() {
        let hub = hub();
        let mut first = hub.read(None).await.expect("open");
        assert_eq!(first.begin, Begin::Now);
        for _ in 0..5 {
            hub.send(Channel::Events, "1".to_owned());
        }
        assert_eq!(seqs(&mut first, 2).await, [1, 2]);
        drop(first);
        hub.send(Channel::Events, "1".to_owned());
        let mut again = hub.read(Some(&hub.id(2))).await.expect("open");
        assert_eq!(again.begin, Begin::Resumed);
        hub.send(Channel::Events, "1".to_owned());
        assert_eq!(seqs(&mut again, 5).await, [3, 4, 5, 6, 7]);
    }

    #[tokio::test]
    async fn ids_that_lead_nowhere_are_told() {
        let hub = hub();
        hub.send(Channel::Stats, "1".to_owned());
        let begin = async |id: &str| match hub.read(Some(id)).await.expect("open").begin {
            Begin::Reset(why) => Some(why),
            Begin::Now | Begin::Resumed => None,
        };
        for (id, why) in [
            ("", ResetReason::UnknownId),
            ("x", ResetReason::UnknownId),
            ("x-y", ResetReason::UnknownId),
            ("other-1", ResetReason::ServerRestarted),
            (hub.id(2).as_str(), ResetReason::UnknownId),
            (hub.id(u64::MAX).as_str(), ResetReason::UnknownId),
        ] {
            assert_eq!(begin(id).await, Some(why), "{id:?}");
        }
        assert_eq!(begin(&hub.id(1)).await, None);
        assert!(hub.pause());
        hub.go_live();
        assert_eq!(begin(&hub.id(1)).await, Some(ResetReason::Expired));
        let _reader = hub.read(None).await;
        assert!(!hub.pause(), "somebody reads");
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let hub = hub();
        for _ in 0..9 {
            hub.send(Channel::Events, "x".repeat(1 << 20));
        }
        let state = hub.state.lock();
        assert_eq!((state.kept.len(), state.floor), (8, 1));
        assert!(state.bytes <= KEPT_BYTES);
        drop(state);
        for _ in 0..=KEPT {
            hub.send(Channel::Events, String::new());
        }
        assert_eq!(hub.state.lock().kept.len(), KEPT);
    }

    #[tokio::test]
    async fn who_is_too_slow_is_told_how_much_is_lost() {
        let hub = hub();
        let mut slow = hub.read(None).await.expect("open");
        for _ in 0..BEHIND + 3 {
            hub.send(Channel::Events, "1".to_owned());
        }
        assert!(matches!(slow.next().await, Some(Read::Gap(3))));
        assert_eq!(seqs(&mut slow, 2).await, [4, 5]);
    }

    #[tokio::test]
    async fn readers_are_counted_and_end_with_the_server() {
        let end = CancellationToken::new();
        let hub = Arc::new(Hub::new(end.clone()));
        hub.go_live();
        let readers = hub.readers();
        let mut one = hub.read(None).await.expect("open");
        assert_eq!(*readers.borrow(), 1);
        end.cancel();
        assert!(one.next().await.is_none());
        drop(one);
        assert_eq!(*readers.borrow(), 0);
    }
}
