//! Rules of the repository that no compiler checks, as tests: `cargo test` tells a newcomer which one he broke.

mod dependencies;
mod files;
mod layers;
mod workspace;
