//! What is known of a run, durably.
mod record;

pub use record::*;
