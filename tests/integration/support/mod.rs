//! What several tests share.
pub mod activations;
pub mod adbd;
pub mod desk;
pub mod emulator;
pub mod models;
pub mod networks;
pub mod processes;
pub mod program;
pub mod python;
pub mod root;
pub mod runs;
pub mod runtime;
pub mod skipped;
pub mod sshd;
