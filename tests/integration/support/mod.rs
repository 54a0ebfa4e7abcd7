//! What several tests share.
pub mod models;
pub mod activations;
pub mod networks;
pub mod runs;
