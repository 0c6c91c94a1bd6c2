//! The journal against a model, a disk that fails, and damage.

mod appending;
mod crash;
mod damage;
mod events;
mod faults;
mod model;
mod opening;
mod support;
