//! What the parts that wait for each other are made of. `model.rs` builds the same parts over other ones, whose every step it
//! decides about.

pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

pub(crate) use parking_lot::{Mutex, RwLock};
pub(crate) use tokio::sync::Notify;
