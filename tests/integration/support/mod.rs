//! What several tests share.
pub mod activations;
pub mod networks;
pub mod runs;
