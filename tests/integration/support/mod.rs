//! What several tests share.
pub mod networks;
