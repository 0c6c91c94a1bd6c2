//! `loom run`: a project's agents as processes.
//!
//! Own children only, by their id; never a user's file is written. Who comes after another agent starts when that one is
//! connected, so no first event is lost. What an agent prints is shown with its name.

mod lines;
mod process;
mod python;
mod supervisor;

pub use process::{ProcessError, Surroundings};
pub use python::find_interpreter;
pub use supervisor::{Ended, Supervisor};
