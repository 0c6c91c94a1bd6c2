//! The bridge as agents meet it: over a real listener, by raw messages.

mod actions;
mod agent;
mod delivery;
mod faults;
mod limits;
mod traces;
