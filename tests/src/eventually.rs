//! Waiting by predicate.

use std::fmt::Debug;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

/// Long enough for a loaded machine; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

/// Asks again and again until the answer is `Ok`, and returns what is in it.
///
/// # Panics
/// When the patience is over: with `what` was awaited and the last answer.
pub async fn eventually<T, E: Debug>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + PATIENCE;
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        match ask().await {
            Ok(value) => return value,
            Err(last) => assert!(
                Instant::now() < deadline,
                "waited in vain until {what}; the last answer: {last:?}"
            ),
        }
    }
}
