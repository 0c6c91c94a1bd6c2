//! What a connection's halves wait with. `model` builds them over other ones, whose every step it decides about.

pub(crate) use parking_lot::Mutex;
pub(crate) use tokio::sync::Notify;
