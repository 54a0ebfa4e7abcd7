//! What several tests share.
pub mod models;
pub mod networks;
